"""The claim on aspects: its corpus, its items, and that the spaces are compared rightly."""

from types import SimpleNamespace

import numpy as np
import pytest

from vecsmith.claims import aspect_embeddings


@pytest.mark.slow
def test_corpus_has_one_package_a_source_and_several_aspects():
    docs = aspect_embeddings.corpus()
    assert 4_000 < len(docs) == len(set(docs.texts))
    has = [np.asarray(docs.matrix(name).sum(axis=1)).ravel() for name in docs.aspects]
    assert all(
        matrix.sum(axis=0).max() < aspect_embeddings.CAP for matrix in docs.matrices.values()
    )
    # common labels are dropped after the choice, so that a few are left with one aspect or none
    assert (np.sum([row > 0 for row in has], axis=0) >= 2).mean() > 0.3


@pytest.mark.slow
def test_no_document_is_on_both_sides(monkeypatch):
    def encode(texts, **_settings):
        return np.zeros((len(texts), 2), np.float32)

    monkeypatch.setattr(aspect_embeddings, "encode_cached", encode)
    for seed in (0, 1):
        world = aspect_embeddings.make_world(seed, quick=False)
        assert (len(world.train), len(world.test)) == (1800, 600)
        assert not set(world.train.texts) & set(world.test.texts)


def test_parts_of_documents_have_the_mean_of_queries():
    scores = {
        "task": SimpleNamespace(queries=np.array([0, 2]), figures={"p@10": np.array([0.2, 0.4])}),
        "data": SimpleNamespace(queries=np.array([2]), figures={"p@10": np.array([0.9])}),
    }
    parts = aspect_embeddings.document_parts(scores, "p@10", 4)
    assert parts.shape == (2,) and parts.mean() == pytest.approx(0.5)
