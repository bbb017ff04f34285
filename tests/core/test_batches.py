"""Batches of like length: every row once, little padding, an order of each generator's own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import like_length_batches


@given(
    st.lists(st.integers(0, 40), max_size=120),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_every_row_comes_once(lengths, batch_size, pool, seed):
    rng = np.random.default_rng(seed)
    batches = list(like_length_batches(lengths, batch_size, rng, pool=pool))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert all(len(batch) == batch_size for batch in batches) or len(lengths) % batch_size
    assert all(len(batch) <= batch_size for batch in batches)


def test_rows_of_like_length_stand_together():
    lengths = np.random.default_rng(0).integers(1, 50, 640)
    batches = list(like_length_batches(lengths, 32, np.random.default_rng(1)))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.05 * lengths.sum()
    # batches of short rows do not all come first
    means = [lengths[batch].mean() for batch in batches]
    assert means != sorted(means) and means != sorted(means, reverse=True)


def test_order_is_the_generators():
    def order(seed):
        found = like_length_batches([1, 2, 3] * 20, 4, np.random.default_rng(seed))
        return [batch.tolist() for batch in found]

    assert order(0) == order(0) != order(1)


def test_pools_are_drawn_and_not_the_whole_set():
    lengths = np.arange(100)
    batches = list(like_length_batches(lengths, 5, np.random.default_rng(0), pool=2))
    # ten rows drawn from anywhere are sorted together: their spread is far more than a batch
    assert np.mean([np.ptp(lengths[batch]) for batch in batches]) > 20
