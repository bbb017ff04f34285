import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import DataError
from vecsmith.encode.tables import hash_ids, hash_integers, hash_texts, salt_of, to_keys

WORD = (1 << 64) - 1
whole = st.integers(-(2**63), 2**63 - 1)


def mixed(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def text_hash(text):
    data = text.encode("utf-8", "surrogatepass")
    state = mixed((len(data) + 0x9E3779B97F4A7C15) & WORD)
    for start in range(0, len(data), 8):
        state = mixed(state ^ int.from_bytes(data[start : start + 8], "little"))
    return state & (WORD >> 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(whole, min_size=1, max_size=20), whole)
def test_torch_numpy_and_whole_numbers_of_python_agree(ids, salt):
    expected = [mixed((i + salt) & WORD) & (WORD >> 1) for i in ids]
    array = np.array(ids, np.int64)
    assert hash_integers(array, salt).tolist() == expected
    assert hash_ids(torch.from_numpy(array), torch.tensor(salt)).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=20))
def test_texts_are_hashed_alone(texts):
    assert hash_texts(texts).tolist() == [text_hash(text) for text in texts]


def test_zeros_at_the_end_and_lone_surrogates_count():
    texts = ["", "\0", "\0\0", "a", "a\0", "a\0\0\0\0\0\0\0\0", "\ud800", "ü" * 100]
    assert hash_texts(texts).tolist() == [text_hash(text) for text in texts]
    assert len(set(hash_texts(texts).tolist())) == len(texts)


def test_known_values():
    # splitmix64 of 0 with its usual increment as the salt: the generator's first output
    first = 0xE220A8397B1DCDAF
    golden = 0x9E3779B97F4A7C15 - (1 << 64)
    assert hash_integers(np.array([0]), golden).tolist() == [first & (WORD >> 1)]


def test_salts_differ_by_all_they_are_made_of():
    salts = {salt_of(s, n, c) for s in (0, 1, 10) for n in ("a", "b", "0/a") for c in (0, 1, 10)}
    assert len(salts) == 27


def test_hashes_spread_evenly():
    rows = hash_ids(torch.arange(100_000), torch.tensor(salt_of(0, "x", 0))) % 100
    counts = torch.bincount(rows, minlength=100).double()
    # chi-squared with 99 degrees of freedom: above 160 once in 10,000
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 160


def test_keys_of_all_kinds():
    assert to_keys(torch.tensor([[1, 2]], dtype=torch.int32)).tolist() == [[1, 2]]
    assert to_keys([3, -1]).tolist() == [3, -1]
    assert to_keys(np.array(["a", "b"])).tolist() == hash_texts(["a", "b"]).tolist()
    assert to_keys(["7"]).tolist() != to_keys([7]).tolist()
    assert to_keys([]).shape == (0,)
    for wrong in ([1.5], torch.tensor([1.0]), ["a", 1], [float("nan")], [None]):
        with pytest.raises(DataError, match="whole numbers"):
            to_keys(wrong)
