"""Bits, frequencies and columns against plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.encode.tables._bits import (
    index_bytes,
    pack,
    packed_bytes,
    smallest_integers,
    unpack,
)
from vecsmith.encode.tables._budget import largest
from vecsmith.encode.tables._columns import join
from vecsmith.encode.tables._frequency import frequency_groups, most_frequent


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 8), st.integers(1, 9), st.integers(0, 7), st.integers(0, 999))
def test_packed_codes_come_back(bits, count, rows, seed):
    codes = torch.from_numpy(np.random.default_rng(seed).integers(0, 1 << bits, (rows, count)))
    packed = pack(codes, bits)
    assert packed.shape == (rows, packed_bytes(count, bits)) and packed.dtype == torch.uint8
    assert packed_bytes(count, bits) == -(-count * bits // 8)
    assert torch.equal(unpack(packed, count, bits), codes)


def test_packing_by_hand():
    # 5 = 101, 3 = 011, 6 = 110, lowest bits first: 10111001|1
    assert pack(torch.tensor([[5, 3, 6]]), 3).tolist() == [[0b10011101, 0b1]]


@pytest.mark.parametrize("highest", [0, 255, 256, 32767, 32768, 2**31 - 1])
def test_smallest_integers_hold_the_highest(highest):
    kept = smallest_integers(torch.tensor([highest]), highest)
    assert int(kept) == highest and kept.element_size() == index_bytes(highest)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 30))
def test_most_frequent_values(counts, number):
    array = np.array(counts)
    exact = most_frequent(array, number)
    assert len(exact) == min(number, len(counts)) and sorted(set(exact)) == exact.tolist()
    rest = np.setdiff1d(np.arange(len(counts)), exact)
    if len(exact) and len(rest):
        assert array[exact].min() >= array[rest].max()
    together = most_frequent(array, number, exact=False)
    assert len(together) >= len(exact)
    if 0 < len(together) < len(counts):
        rest = np.setdiff1d(np.arange(len(counts)), together)
        assert array[together].min() > array[rest].max()


def test_ties_are_split_by_the_seed():
    counts = np.ones(100, np.int64)
    a, b, c = (most_frequent(counts, 50, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 6))
def test_groups_rise_with_the_count(counts, groups):
    array = np.array(counts)
    found = frequency_groups(array, groups)
    assert found.min() >= 0 and found.max() < groups
    for i in range(len(counts)):
        for j in range(len(counts)):
            if counts[i] == counts[j]:
                assert found[i] == found[j]
            elif counts[i] < counts[j]:
                assert found[i] <= found[j]


def test_groups_of_different_counts_are_equal():
    assert np.bincount(frequency_groups(np.arange(60), 6)).tolist() == [10] * 6


@given(st.integers(-5, 50), st.integers(-5, 50), st.integers(-10, 60))
def test_largest_is_the_last_that_fits(low, high, limit):
    fitting = [n for n in range(low, high + 1) if n <= limit]
    assert largest(low, high, lambda n: n <= limit) == (max(fitting) if fitting else None)


def test_columns_are_put_back_in_order():
    whole = torch.randn(3, 5, 2)
    parts = [([1, 4], whole[:, [1, 4]]), ([], whole[:, []]), ([0, 2, 3], whole[:, [0, 2, 3]])]
    assert torch.equal(join(parts), whole)
    assert torch.equal(join([([0, 1, 2, 3, 4], whole)]), whole)
