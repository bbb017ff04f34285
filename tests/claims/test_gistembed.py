"""Scores and shares of the GISTEmbed claim, on worlds small enough to count by hand."""

from pathlib import Path

import numpy as np
import pytest

from vecsmith.claims.gistembed import (
    BATCH,
    Batch,
    World,
    draw_batches,
    struck_out,
    term_parts,
)
from vecsmith.core import numpy_generator


def world(*sizes: int) -> World:
    forms = [[f"term{k} form{i}" for i in range(size)] for k, size in enumerate(sizes)]
    every = np.arange(len(sizes))
    return World(forms, every, every, Path("unused"), 1)


def test_terms_have_the_mean_of_the_forms() -> None:
    some = world(4, 6, 9)
    values = numpy_generator(0, "values").uniform(size=19)
    parts = term_parts(values, some)
    assert parts.shape == (3,) and parts.mean() == pytest.approx(values.mean())
    by_hand = [values[:4].sum(), values[4:10].sum(), values[10:].sum()]
    mean = values.mean()
    expected = [
        mean + (total - mean * n) * 3 / 19 for total, n in zip(by_hand, (4, 6, 9), strict=True)
    ]
    assert parts == pytest.approx(expected)


def test_terms_of_one_size_are_plain_means() -> None:
    values = numpy_generator(0, "values").uniform(size=12)
    assert term_parts(values, world(4, 4, 4)) == pytest.approx(values.reshape(3, 4).mean(axis=1))


def test_forms_that_agree_count_once() -> None:
    # all forms of a term go up or down together: as many independent numbers as terms
    some = world(*[4] * 50)
    values = np.repeat(numpy_generator(0, "values").uniform(size=50), 4)
    of_terms = term_parts(values, some).std(ddof=1) / 50**0.5
    of_forms = values.std(ddof=1) / 200**0.5
    assert of_terms / of_forms == pytest.approx(2.0, rel=0.02)


class Oracle:
    """Looks like a guide: one axis a term."""

    def __init__(self, terms: int) -> None:
        self.terms = terms

    def lookup(self, keys):
        import torch

        return [torch.eye(self.terms)[keys[:, column]] for column in (0, 1)]


def test_oracle_strikes_out_exactly_what_was_planted() -> None:
    import torch

    some = world(*[4] * 80)
    batches = list(draw_batches(some, numpy_generator(0, "b"), 3, duplicated=0.5, wrong=0.0))
    keys = [torch.from_numpy(np.stack([b.terms, b.positive_terms], axis=1)) for b in batches]
    strict, margin = struck_out(batches, keys, Oracle(80), (0.0, 0.5))
    # two forms of one term are exactly as near as the positive, which is not nearer
    assert strict == (0.0, 0.0) and margin == (1.0, 0.0)


def test_nothing_planted_has_no_recall() -> None:
    import torch

    terms = np.arange(BATCH)
    batch = Batch(["q"] * BATCH, ["p"] * BATCH, terms, terms)
    keys = [torch.from_numpy(np.stack([terms, terms], axis=1))]
    ((recall, alarms),) = struck_out([batch], keys, Oracle(BATCH), (0.5,))
    assert np.isnan(recall) and alarms == 0.0
