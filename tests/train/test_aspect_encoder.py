"""Aspect-based embeddings: losses against plain loops, and the four ways to train."""

import numpy as np
import pytest
import torch
from scipy import sparse

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.data import AspectDataset
from vecsmith.train import AspectEncoder, AspectRankingLoss
from vecsmith.train.contrastive import AspectHead, aspect_ranking, explicit_retrofit
from vecsmith.train.contrastive._aspect_losses import shared_labels


def naive_ranking(plain, a, b, shared, scale):
    a, b = a.numpy(), b.numpy()
    total = 0.0
    for i in range(len(a)):
        kept = [j for j in range(len(a)) if j == i or not shared[i, j]]
        logits = [scale * plain.cosine(a[i], b[j]) for j in kept]
        total += np.log(np.sum(np.exp(logits))) - scale * plain.cosine(a[i], b[i])
    return total / len(a)


class TestLosses:
    def test_ranking_matches_a_plain_loop(self, plain):
        a, b = plain.draw(6, 4), plain.draw(6, 4, seed=1)
        shared = torch.rand(6, 6, generator=torch.Generator().manual_seed(2)) < 0.4
        nothing = torch.zeros(6, 6, dtype=torch.bool)
        for mask in (shared, nothing):
            got = float(aspect_ranking(a, b, mask, scale=7.0))
            assert got == pytest.approx(naive_ranking(plain, a, b, mask, 7.0), rel=1e-9)
        assert float(aspect_ranking(a, b, scale=7.0)) == float(
            aspect_ranking(a, b, nothing, scale=7.0)
        )

    def test_ranking_without_mask_is_that_of_sentence_transformers(self, plain):
        from sentence_transformers.sentence_transformer.losses import (
            MultipleNegativesRankingLoss,
        )

        a, b = plain.draw(5, 4).float(), plain.draw(5, 4, seed=1).float()
        host = MultipleNegativesRankingLoss(model=lambda f: {"sentence_embedding": f["x"]})
        wanted = float(host([{"x": a}, {"x": b}], None))
        assert float(aspect_ranking(a, b)) == pytest.approx(wanted, rel=1e-5)

    def test_retrofit_matches_a_plain_loop(self, plain):
        a, b, fa, fb = (plain.draw(4, 3, seed=s) for s in range(4))
        pull = stay = near = 0.0
        x, y, mx, my = (t.numpy() for t in (a, b, fa, fb))
        for i in range(4):
            pull += (1 - plain.cosine(mx[i], my[i])) ** 2 / 4
            near += (1 - plain.cosine(mx[i], x[i])) / 4
            for j in range(4):
                if i != j:
                    gap = plain.cosine(mx[i], my[j]) - plain.cosine(x[i], y[j])
                    stay += gap**2 / 12
        got = float(explicit_retrofit(a, b, fa, fb, keep=0.5))
        assert got == pytest.approx(pull + stay + 0.5 * near, rel=1e-9)

    @pytest.mark.parametrize("which", ["ranking", "retrofit"])
    def test_gradients(self, plain, which):
        a, b, fa, fb = (plain.draw(3, 3, seed=s).requires_grad_() for s in range(4))
        if which == "ranking":
            assert torch.autograd.gradcheck(lambda x, y: aspect_ranking(x, y, scale=3.0), (a, b))
        else:
            whole = (a.detach(), b.detach())
            assert torch.autograd.gradcheck(lambda x, y: explicit_retrofit(*whole, x, y), (fa, fb))

    def test_shared_labels_of_a_batch(self):
        labels = sparse.csr_matrix(np.array([[1, 0], [1, 1], [0, 1], [0, 0]], np.float32))
        pairs = np.array([[0, 1], [2, 1], [3, 0]])
        assert shared_labels(labels, pairs).tolist() == [
            [True, True, True],
            [True, True, False],
            [False, False, False],
        ]

    def test_head_is_the_identity_at_first(self, plain):
        vectors = plain.draw(3, 8).float()
        assert torch.equal(AspectHead(8)(vectors), vectors)

    def test_loss_needs_two_columns_and_numbers(self):
        labels = sparse.csr_matrix((2, 1))
        loss = AspectRankingLoss(lambda f: {"sentence_embedding": f["x"]}, labels)
        columns = [{"x": torch.eye(2)}] * 2
        with pytest.raises(DataError, match="anchor, positive and label"):
            loss(columns, None)
        with pytest.raises(DataError, match="got 3 columns"):
            loss([*columns, columns[0]], torch.tensor([[0, 1], [1, 0]]))


@pytest.fixture(scope="module")
def base(tiny_model, tmp_path_factory):
    return tiny_model(0, tmp_path_factory.mktemp("aspects"))


@pytest.fixture(scope="module")
def docs():
    """Texts of two words; one aspect is the first word, the other the second."""
    first, second = ("red", "green", "blue"), ("seizure", "fever", "rash")
    pairs = [(a, b) for a in first for b in second] * 4
    texts = [f"{a} number {i} {b}" for i, (a, b) in enumerate(pairs)]
    labels = {"colour": [[a] for a, _ in pairs], "sign": [[b] for _, b in pairs]}
    return AspectDataset(texts, labels)


def gain(model, docs, aspect, of=None):
    """Mean cosine of documents that share a label, less that of others."""
    vectors = model.encode(docs.texts, aspect=of or aspect)
    cosines, shared = vectors @ vectors.T, docs.relevant(aspect).toarray()
    other = ~shared & ~np.eye(len(docs), dtype=bool)
    return cosines[shared].mean() - cosines[other].mean()


class TestEncoder:
    @pytest.mark.parametrize(
        ("mode", "lr", "epochs"),
        [("separate", 3e-3, 2), ("lora", 1e-2, 2), ("heads", 1e-2, 10), ("retrofit", 3e-2, 20)],
    )
    def test_each_space_learns_its_aspect(self, base, docs, tmp_path, mode, lr, epochs):
        weights = {n: p.clone() for n, p in base.state_dict().items()}
        model = AspectEncoder(base, docs.aspects, mode=mode)
        before = {aspect: gain(model, docs, aspect) for aspect in docs.aspects}
        model.fit(docs, pairs=48, batch_size=8, epochs=epochs, lr=lr)
        for aspect, other in (("colour", "sign"), ("sign", "colour")):
            after = gain(model, docs, aspect)
            assert after > before[aspect] + 0.005
            assert after > gain(model, docs, aspect, of=other)
        assert all(torch.equal(p, weights[n]) for n, p in base.state_dict().items())
        model.save_pretrained(tmp_path / "m")
        loaded = AspectEncoder.from_pretrained(tmp_path / "m")
        assert loaded.aspects == docs.aspects and loaded.mode == mode
        for aspect, vectors in model.encode(docs.texts[:5]).items():
            assert np.allclose(loaded.encode(docs.texts[:5], aspect=aspect), vectors, atol=1e-6)
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)

    def test_saved_space_is_a_plain_sentence_transformer(self, base, tmp_path):
        from sentence_transformers import SentenceTransformer

        model = AspectEncoder(base, ["a"])
        model.save_pretrained(tmp_path)
        plain = SentenceTransformer(str(tmp_path / "a"), device="cpu")
        found = plain.encode(["red"], normalize_embeddings=True)
        assert np.allclose(found, model.encode(["red"], aspect="a"), atol=1e-6)
        joined = AspectEncoder.from_models({"b": plain, "c": plain})
        assert set(joined.encode(["red"])) == {"b", "c"}

    @pytest.mark.parametrize("mode", ["separate", "heads"])
    def test_no_texts_give_no_vectors(self, base, mode):
        model = AspectEncoder(base, ("one", "two"), mode=mode)
        assert {name: v.shape for name, v in model.encode([]).items()} == {
            "one": (0, 32),
            "two": (0, 32),
        }

    @pytest.mark.parametrize("mode", ["separate", "heads"])
    def test_shared_labels_are_masked_in_training(self, base, docs, mode):
        """Where all documents share a label there are no negatives, and so nothing to learn."""
        texts = docs.texts[:8]
        data = AspectDataset(texts, {"one": [["same"]] * 8})
        untrained = AspectEncoder(base, ("one",), mode=mode).encode(texts, aspect="one")
        moved = {}
        for mask in (True, False):
            model = AspectEncoder(base, ("one",), mode=mode)
            model.fit(data, batch_size=4, lr=1e-2, mask_shared=mask)
            moved[mask] = np.abs(model.encode(texts, aspect="one") - untrained).max()
        assert moved[True] < 1e-5 and moved[False] > 1e-3

    def test_seed_repeats_and_vectors_may_be_given(self, base, docs):
        vectors = base.encode(docs.texts, normalize_embeddings=True)
        made = []
        for given in (None, vectors, vectors):
            torch.manual_seed(0)
            model = AspectEncoder(base, docs.aspects, mode="heads")
            model.fit(docs, pairs=24, batch_size=8, seed=1, vectors=given)
            made.append(model.project(vectors)["sign"])
        assert np.array_equal(made[1], made[2])
        assert np.allclose(made[0], made[1], atol=1e-4)

    def test_batch_size_changes_nothing(self, base, docs):
        model = AspectEncoder(base, docs.aspects, mode="heads")
        one, two = (model.encode(docs.texts[:6], batch_size=size) for size in (1, 6))
        assert np.allclose(one["sign"], two["sign"], atol=1e-5)

    def test_bad_settings(self, base, docs, tmp_path):
        with pytest.raises(ConfigError, match="did you mean 'heads'"):
            AspectEncoder(base, ["a"], mode="head")
        with pytest.raises(ConfigError, match="distinct names"):
            AspectEncoder(base, ["a", "a"])
        model = AspectEncoder(base, ["colour", "shape"])
        with pytest.raises(ConfigError, match=r"no labels for \['shape'\]"):
            model.fit(docs)
        with pytest.raises(ConfigError, match="did you mean 'shape'"):
            model.encode(["x"], aspect="shapes")
        with pytest.raises(ConfigError, match="has no heads"):
            model.project(np.ones((1, 32), np.float32))
        with pytest.raises(ModelError, match=r"should hold aspects\.json"):
            AspectEncoder.from_pretrained(tmp_path)
