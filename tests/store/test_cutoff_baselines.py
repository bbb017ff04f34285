import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.store import CUTOFF_RULES, LabelledLists, pr_auc


@pytest.fixture
def lists():
    rng = np.random.default_rng(0)
    cosines = np.sort(rng.uniform(-0.2, 1, (30, 12)), axis=1)[:, ::-1].astype(np.float32)
    labels = (rng.uniform(size=cosines.shape) < cosines).astype(np.float32)
    mask = np.ones(cosines.shape, bool)
    mask[:10, 8:] = False
    nothing = np.zeros(cosines.shape, bool)
    vecs = np.eye(30, dtype=np.float32)
    documents = np.zeros(cosines.shape, int)
    return LabelledLists(vecs, cosines, labels, mask, documents, nothing, 0, "irrelevant", 1.0)


@pytest.mark.parametrize("name", CUTOFF_RULES)
def test_every_rule_keeps_the_order_and_ignores_masked_pairs(name, lists):
    rule = CUTOFF_RULES[name]().fit(lists)
    scores = rule.scores(lists.query_vecs, lists.cosines, lists.mask)
    for row in range(30):
        assert (np.diff(scores[row][lists.mask[row]]) <= 0).all()
    spoilt = np.where(lists.mask, lists.cosines, 0.77)
    again = rule.scores(lists.query_vecs, spoilt, lists.mask)
    np.testing.assert_array_equal(scores[lists.mask], again[lists.mask])
    tau = rule.calibrate(lists, recall=0.8)
    kept = rule.keep(lists.query_vecs, lists.cosines, lists.mask)
    assert rule.tau == tau and not kept[~lists.mask].any()
    assert lists.labels[kept].sum() >= 0.8 * lists.labels[lists.mask].sum() - 1e-6


def test_figures_by_hand():
    cosines = np.array([[0.8, 0.4, 0.0], [-0.1, -0.2, -0.3]])
    score = {
        name: rule()._score(cosines, np.ones((2, 3), bool)) for name, rule in CUTOFF_RULES.items()
    }
    np.testing.assert_allclose(score["fixed_k"], [[-1, -2, -3]] * 2)
    np.testing.assert_allclose(score["ratio_to_top1"], [[1, 0.5, 0], [-2.1, -2.2, -2.3]])
    np.testing.assert_allclose(
        score["minus_list_mean"], [[0.4, 0, -0.4], [0.1, 0, -0.1]], atol=1e-15
    )
    np.testing.assert_allclose(score["z_score"][0], [1.5**0.5, 0, -(1.5**0.5)], atol=1e-9)


def test_platt_cannot_change_pr_auc(lists):
    scores = CUTOFF_RULES["platt"]().fit(lists).scores(lists.query_vecs, lists.cosines, lists.mask)
    assert pr_auc(scores, lists.labels, lists.mask) == pytest.approx(
        pr_auc(lists.cosines, lists.labels, lists.mask), abs=1e-9
    )


def test_errors():
    rule = CUTOFF_RULES["z_score"]()
    with pytest.raises(ConfigError, match="calibrate"):
        rule.keep(np.eye(2), np.ones((2, 3)))
    with pytest.raises(DataError, match="shape"):
        rule.scores(np.eye(2), np.ones(3))
