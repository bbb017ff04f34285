from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from vecsmith.core import ConfigError, Stamp
from vecsmith.encode.text._batches import (
    STEP,
    encode_in_batches,
    length_batches,
    padded_length,
    prompt_of,
    truncate,
)


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 600))
def test_each_row_is_in_one_batch_of_its_length_within_the_budget(lengths, budget):
    batches = list(length_batches(lengths, budget))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len({lengths[row] for row in batch}) == 1
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= budget


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(50, 200))
def test_no_batch_could_take_the_next_row(lengths, budget):
    batches = list(length_batches(lengths, budget))
    for batch, after in pairwise(batches):
        width = lengths[batch[0]]
        assert lengths[after[0]] != width or (len(batch) + 1) * width > budget


@given(st.integers(0, 600), st.none() | st.integers(1, 600))
def test_padding_is_to_the_next_step_and_within_the_model(length, most):
    padded = padded_length(length, most)
    assert padded >= length
    if most is None or most >= length:
        assert padded - length < STEP or length == 0
        assert most is None or padded <= most
        assert padded % STEP == 0 or padded == most


def word_tokenizer():
    vocabulary = {"?": 0, **{f"w{number}": number for number in range(1, 100)}}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def test_vectors_come_back_in_the_order_of_the_texts():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 20, 50)
    texts = [" ".join(f"w{n}" for n in rng.integers(1, 100, count)) for count in counts]
    shapes = []

    def forward(ids, mask):
        shapes.append(ids.shape)
        assert not ids[mask == 0].any()
        width = np.stack([mask.sum(1), (ids * mask).sum(1)], axis=1)
        return width.astype(np.float32)

    rows = [encoding.ids for encoding in word_tokenizer().encode_batch_fast(texts)]
    got = encode_in_batches(rows, forward, dims=2, token_budget=40)
    want = [(len(t.split()), sum(int(w[1:]) for w in t.split())) for t in texts]
    np.testing.assert_array_equal(got, want)
    assert len(shapes) > 5 and all(rows == 1 or rows * width <= 40 for rows, width in shapes)


def test_no_texts_give_no_rows():
    got = encode_in_batches([], lambda ids, mask: ids, dims=7)
    assert got.shape == (0, 7) and got.dtype == np.float32


def test_cut_vectors_are_unit_vectors_again():
    rng = np.random.default_rng(1)
    whole = rng.normal(size=(5, 8)).astype(np.float32)
    whole[4, :3] = 0
    cut = truncate(whole, 3)
    want = whole[:4, :3] / np.linalg.norm(whole[:4, :3], axis=1, keepdims=True)
    np.testing.assert_allclose(cut[:4], want, rtol=1e-6)
    assert np.isfinite(cut).all()
    assert truncate(whole, 8) is whole


def test_prompts_are_by_kind():
    stamp = Stamp("m", "w", 4, query_prompt="q: ", document_prompt="d: ")
    assert (prompt_of(stamp, "query"), prompt_of(stamp, "document")) == ("q: ", "d: ")
    with pytest.raises(ConfigError, match="'passage'"):
        prompt_of(stamp, "passage")
