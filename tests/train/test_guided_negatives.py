import json

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError
from vecsmith.train import GuideCache, GuidedContrastiveLoss, NegativeFilter
from vecsmith.train.contrastive import false_negative_masks, guided_triplet, structural_masks
from vecsmith.train.contrastive._core import Columns, Rows, similarity_blocks
from vecsmith.train.contrastive._guided_negatives import keep_hard

NAMES = ("query", "positive", "bad", "worse")


@pytest.fixture(scope="module")
def models(tiny_model, tmp_path_factory):
    tmp = tmp_path_factory.mktemp("models")
    return tiny_model(0, tmp), tiny_model(1, tmp)


@pytest.fixture
def cache(models, tmp_path):
    return GuideCache(models[1], tmp_path / "guide")


def batch(student, pairs, columns, start=0, size=12):
    texts = {name: pairs[name][start : start + size] for name in NAMES[:columns]}
    return texts, [student.preprocess(rows) for rows in texts.values()]


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


class TestMasks:
    def guide_blocks(self):
        qp = torch.tensor(
            [[0.5, 0.6, 0.1, 0.5], [0.9, 0.9, 0.2, 0.1], [0.0, 0.1, 0.3, 0.4], [0.2, 0.2, 0.2, 0.1]]
        )
        qq = torch.tensor(
            [[1.0, 0.7, 0.1, 0.2], [0.7, 1.0, 0.3, 0.0], [0.1, 0.3, 1.0, 0.3], [0.2, 0.0, 0.3, 1.0]]
        )
        return {"qp": qp, "qq": qq}

    def test_masked_set_of_a_hand_made_batch(self):
        marked = false_negative_masks(self.guide_blocks(), NegativeFilter())
        # strict: 0.5 against t = 0.5 and 0.9 against 0.9 stay
        assert marked["qp"].nonzero().tolist() == [[0, 1], [2, 3], [3, 0], [3, 1], [3, 2]]
        assert marked["qq"].tolist()[2] == [False, False, True, False]
        assert marked["qq"].tolist()[3] == [True, False, True, True]

    def test_margin_takes_near_ties_too(self):
        marked = false_negative_masks(self.guide_blocks(), NegativeFilter(0.05))
        assert marked["qp"][0].tolist() == [False, True, False, True]
        assert marked["qp"][1].tolist() == [True, False, False, False]
        assert not marked["qp"].diagonal().any()

    def test_hard_keeps_what_the_student_ranks_above_the_positive(self):
        blocks = {
            "qp": torch.tensor([[0.5, 0.6], [0.2, 0.3]]),
            "qq": torch.tensor([[1.0, 0.5], [0.5, 1.0]]),
        }
        never = structural_masks(blocks)
        dropped = keep_hard(blocks, never)
        assert dropped["qp"].tolist() == [[False, False], [True, False]]
        assert dropped["qq"].tolist() == [[True, True], [False, True]]

    @pytest.mark.parametrize("soft", [None, 0.2])
    def test_triplet_matches_a_plain_loop(self, plain, soft):
        q, p, n = plain.draw(5, 4), plain.draw(5, 4, seed=1), plain.draw(5, 4, seed=2)
        blocks = similarity_blocks(Rows(q, p), Columns(q, p, (n,)))
        never = structural_masks(blocks)
        rng = np.random.default_rng(0)
        relevant = {k: torch.from_numpy(rng.uniform(size=v.shape) < 0.3) for k, v in blocks.items()}
        total = 0.0
        for i in range(5):
            near, far = [], []
            for name, block in blocks.items():
                for j in range(block.shape[1]):
                    if bool(never[name][i, j]):
                        continue
                    right = bool(relevant[name][i, j]) or (name == "qp" and i == j)
                    (near if right else far).append(float(block[i, j]))
            if soft is None:
                a, b = min(near), max(far)
            else:
                w = [np.exp(-x / soft) for x in near]
                v = [np.exp(x / soft) for x in far]
                a = np.dot(w, near) / sum(w)
                b = np.dot(v, far) / sum(v)
            total += max(0.0, b - a + 0.3) / 5
        got = guided_triplet(blocks, relevant, never, margin=0.3, soft_temperature=soft)
        assert got.mean().item() == pytest.approx(total, rel=1e-9)

    @pytest.mark.parametrize("soft", [None, 0.2])
    def test_triplet_without_negatives_is_zero_with_a_finite_gradient(self, soft, plain):
        q, p = plain.draw(3, 4).requires_grad_(), plain.draw(3, 4, seed=1)
        blocks = similarity_blocks(Rows(q, p), Columns(q, p))
        every = {k: torch.ones_like(v, dtype=torch.bool) for k, v in blocks.items()}
        loss = guided_triplet(blocks, every, structural_masks(blocks), soft_temperature=soft)
        loss.sum().backward()
        assert loss.sum().item() == 0.0 and torch.isfinite(q.grad).all()


class TestLoss:
    @pytest.mark.parametrize(
        ("margin", "kind"), [(0.0, "absolute"), (0.1, "absolute"), (0.2, "relative")]
    )
    @pytest.mark.parametrize("columns", [2, 3])
    def test_equals_the_loss_of_sentence_transformers(
        self, models, cache, pairs, columns, margin, kind
    ):
        from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss

        student, guide = models
        texts, features = batch(student, pairs, columns)
        ours = GuidedContrastiveLoss(
            student, cache, temperature=0.05, margin=margin, margin_kind=kind
        )
        theirs = GISTEmbedLoss(
            student, guide, temperature=0.05, margin=margin, margin_strategy=kind
        )
        labels = torch.from_numpy(cache.labels(texts))
        results = []
        for loss, extra in ((ours, labels), (theirs, None)):
            student.zero_grad()
            value = loss([dict(f) for f in features], extra)
            value.backward()
            results.append((value.item(), gradients(student)))
        assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
        for name, gradient in results[0][1].items():
            torch.testing.assert_close(gradient, results[1][1][name], rtol=1e-4, atol=1e-6)
        assert 0.0 < ours.stats()["masked_qp"] < 1.0

    def test_identical_query_and_positive_are_no_negative_of_themselves(self, models, tmp_path):
        """With q_i = p_i the threshold is 1: only explicit diagonals keep the row's vector out."""
        student, _ = models
        texts = ["fever", "cough", "rash"]
        vectors = np.eye(3, dtype=np.float32)
        cache = GuideCache.from_vectors(texts, vectors, tmp_path)
        loss = GuidedContrastiveLoss(student, cache, temperature=0.01)
        labels = torch.from_numpy(cache.labels({"q": texts, "p": texts}))
        vecs = torch.eye(3, dtype=torch.float64).requires_grad_()
        value = loss.score([vecs, vecs], labels)
        assert value.item() == pytest.approx(np.log1p(6 * np.exp(-100.0)), abs=1e-12)

    @pytest.mark.parametrize("columns", [2, 3, 4])
    def test_matches_a_plain_loop_with_any_number_of_negatives(
        self, plain, models, tmp_path, columns
    ):
        student, _ = models
        texts = {n: [f"{n} {i}" for i in range(6)] for n in NAMES[:columns]}
        vectors = [plain.draw(6, 5, seed=20 + i) for i in range(columns)]
        guide_vecs = [plain.draw(6, 3, seed=40 + i).half().double() for i in range(columns)]
        cache = GuideCache.from_vectors(
            [t for rows in texts.values() for t in rows], torch.cat(guide_vecs).numpy(), tmp_path
        )
        g = [c.numpy() for c in guide_vecs]

        def dropped(name, i, j):
            t = plain.cosine(g[0][i], g[1][i])
            of = {"qp": (g[0], g[1]), "qq": (g[0], g[0]), "pp": (g[1], g[1])}
            if name == "qn":
                return plain.cosine(g[0][i], g[2 + j // 6][j % 6]) > t
            return plain.cosine(of[name][0][i], of[name][1][j]) > t

        loss = GuidedContrastiveLoss(student, cache, temperature=0.3)
        value = loss.score(vectors, torch.from_numpy(cache.labels(texts)))
        assert value.item() == pytest.approx(
            plain.naive_loss(vectors[0], vectors[1], vectors[2:], 0.3, dropped), rel=1e-6
        )

    def test_thresholds_come_from_the_guide_not_from_the_student(self, models, cache, pairs, plain):
        student, _ = models
        texts, _ = batch(student, pairs, 2)
        labels = torch.from_numpy(cache.labels(texts))
        loss = GuidedContrastiveLoss(student, cache)
        loss.score([plain.draw(12, 8), plain.draw(12, 8, seed=1)], labels)
        first = loss.stats(reset=True)
        loss.score([plain.draw(12, 8, seed=5), plain.draw(12, 8, seed=6)], labels)
        second = loss.stats()
        assert first["masked_qp"] == second["masked_qp"] > 0
        assert first["student_top1"] != second["student_top1"] or (
            first["agreement"] != second["agreement"]
        )

    def test_without_guide_it_is_the_four_block_loss(self, models, pairs, plain):
        student, _ = models
        loss = GuidedContrastiveLoss(student, temperature=0.1)
        q, p = plain.draw(5, 4), plain.draw(5, 4, seed=1)
        assert loss.score([q, p]).item() == pytest.approx(plain.naive_loss(q, p, [], 0.1), rel=1e-9)
        assert loss.stats() == {}

    def test_gradients_with_a_guide(self, models, cache, pairs, plain):
        student, _ = models
        texts, _ = batch(student, pairs, 3, size=5)
        labels = torch.from_numpy(cache.labels(texts))
        loss = GuidedContrastiveLoss(student, cache, temperature=0.5, margin=0.1)
        vecs = [plain.draw(5, 4, seed=i).requires_grad_() for i in range(3)]
        assert torch.autograd.gradcheck(lambda *v: loss.score(v, labels), vecs)

    @pytest.mark.parametrize("mode", ["all", "hard", "triplet", "soft-triplet"])
    def test_every_mode_has_finite_gradients_and_its_own_value(self, models, cache, pairs, mode):
        student, _ = models
        texts, features = batch(student, pairs, 3)
        labels = torch.from_numpy(cache.labels(texts))
        value = GuidedContrastiveLoss(student, cache, temperature=0.05, negatives=mode)(
            features, labels
        )
        student.zero_grad()
        value.backward()
        assert all(torch.isfinite(g).all() for g in gradients(student).values())
        plain = GuidedContrastiveLoss(student, cache, temperature=0.05)
        _, fresh = batch(student, pairs, 3)
        assert (plain(fresh, labels).item() == value.item()) == (mode == "all")

    @pytest.mark.parametrize(("mode", "size"), [("all", 3), ("hard", 8), ("triplet", 5)])
    def test_gradient_caching_changes_nothing(self, models, cache, pairs, mode, size):
        student, _ = models
        texts, _ = batch(student, pairs, 3, size=8)
        labels = torch.from_numpy(cache.labels(texts))
        found = []
        for mini in (None, size):
            loss = GuidedContrastiveLoss(
                student, cache, temperature=0.05, negatives=mode, cached_mini_batch=mini
            )
            student.zero_grad()
            sizes = []
            handle = student[1].register_forward_hook(
                lambda module, args, out, seen=sizes: seen.append(len(out["sentence_embedding"]))
            )
            value = loss(batch(student, pairs, 3, size=8)[1], labels)
            (2.0 * value).backward()
            handle.remove()
            assert max(sizes) == (mini or 8) and sum(sizes) == 24 * (1 if mini is None else 2)
            found.append((value.item(), gradients(student)))
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
        for name, gradient in found[0][1].items():
            torch.testing.assert_close(found[1][1][name], gradient, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("mini", [None, 4])
    def test_inside_matryoshka(self, models, cache, pairs, mini):
        from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

        student, _ = models
        texts, features = batch(student, pairs, 3, size=8)
        labels = torch.from_numpy(cache.labels(texts))
        inner = GuidedContrastiveLoss(student, cache, temperature=0.05, cached_mini_batch=mini)
        wrapped = MatryoshkaLoss(student, inner, matryoshka_dims=[32, 16, 8])
        student.zero_grad()
        value = wrapped([dict(f) for f in features], labels)
        value.backward()
        got = gradients(student)
        vecs = [student(dict(f))["sentence_embedding"] for f in features]
        plain = GuidedContrastiveLoss(student, cache, temperature=0.05)
        student.zero_grad()
        want = sum(plain.score([v[:, :dim] for v in vecs], labels) for dim in (32, 16, 8))
        want.backward()
        assert value.item() == pytest.approx(want.item(), rel=1e-5)
        for name, gradient in gradients(student).items():
            torch.testing.assert_close(got[name], gradient, rtol=1e-4, atol=1e-5)

    def test_settings_are_json(self, models, cache):
        loss = GuidedContrastiveLoss(models[0], cache, margin=0.1, negatives="hard")
        assert json.loads(json.dumps(loss.get_config_dict()))["negatives"] == "hard"
        assert "solatorio2024" in loss.citation

    def test_errors(self, models, cache, pairs):
        student, _ = models
        with pytest.raises(ConfigError, match="soft-triplet"):
            GuidedContrastiveLoss(student, negatives="soft")
        with pytest.raises(ConfigError, match="temperature"):
            GuidedContrastiveLoss(student, temperature=0.0)
        loss = GuidedContrastiveLoss(student, cache)
        _, features = batch(student, pairs, 2)
        with pytest.raises(DataError, match="attach"):
            loss(features, None)
        with pytest.raises(DataError, match="attach"):
            loss(features, torch.zeros(12))
        with pytest.raises(DataError, match="columns"):
            loss(features[:1], None)
        with pytest.raises(DataError, match="no guide vector"):
            loss(batch(student, pairs, 2)[1], torch.zeros(12, 2, dtype=torch.long))

    def test_static_embeddings_refuse_gradient_caching(self):
        from vecsmith.claims.gistembed import new_student

        with pytest.raises(ConfigError, match="StaticEmbedding"):
            GuidedContrastiveLoss(new_student(), cached_mini_batch=4)


class TestTrainer:
    def run(self, tiny_model, tmp, cache, dataset, steps, resume=None):
        from sentence_transformers import (
            SentenceTransformerTrainer,
            SentenceTransformerTrainingArguments,
        )
        from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

        student = tiny_model(7, tmp)
        loss = GuidedContrastiveLoss(student, cache, temperature=0.05)
        args = SentenceTransformerTrainingArguments(
            output_dir=str(tmp / "out"),
            max_steps=6,
            per_device_train_batch_size=8,
            save_steps=3,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=3,
        )
        trainer = SentenceTransformerTrainer(
            model=student,
            args=args,
            train_dataset=dataset,
            loss=MatryoshkaLoss(student, loss, matryoshka_dims=[32, 16]),
        )
        trainer.train(resume_from_checkpoint=resume)
        return student, loss

    @pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
    )
    def test_shuffled_and_resumed_training(self, tiny_model, models, pairs, tmp_path):
        datasets = pytest.importorskip("datasets")
        cache = GuideCache(models[1], tmp_path / "guide")
        rows = datasets.Dataset.from_dict({n: pairs[n] for n in NAMES[:3]})
        dataset = cache.attach(rows)
        whole, loss = self.run(tiny_model, tmp_path, cache, dataset, 6)
        assert loss.stats()["batches"] == 12 and loss.stats()["masked_qp"] > 0
        # another process: cache without guide, opened again
        again = GuideCache(None, tmp_path / "guide")
        resumed, loss = self.run(
            tiny_model, tmp_path, again, dataset, 6, str(tmp_path / "out" / "checkpoint-3")
        )
        assert loss.stats()["batches"] == 6
        for (name, a), (_, b) in zip(
            whole.named_parameters(), resumed.named_parameters(), strict=True
        ):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, msg=name)
