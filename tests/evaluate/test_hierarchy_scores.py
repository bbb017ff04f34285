"""Scores of a taxonomy: by hand, and on encoders that are right or blind by construction."""

import numpy as np
import pytest

from vecsmith.core import DataError, numpy_generator
from vecsmith.data import Hierarchy
from vecsmith.evaluate import HierarchyProbe, evaluate_hierarchy, word_overlap
from vecsmith.evaluate._hierarchy import area_under_curve


@pytest.fixture(scope="module")
def tree():
    # five steps deep, three children each
    parents = [[]] + [[(i - 1) // 3] for i in range(1, 364)]
    names = [[f"term {i}", f"other {i}"] for i in range(364)]
    return Hierarchy([str(i) for i in range(364)], names, parents)


def oracle(tree):
    """Vectors whose inner product falls with distance: ancestors, the lower the heavier."""
    reach = tree.balls(np.arange(len(tree)), 6, via="ancestor")[-1].toarray()
    return reach + 0.0


def encoder(tree, vectors):
    number = {name: term for term, row in enumerate(tree.names) for name in row}
    return lambda texts: vectors[[number[text] for text in texts]]


def test_area_under_curve_is_the_share_of_won_pairs():
    high, low = np.array([0.9, 0.5, 0.3]), np.array([0.5, 0.1])
    won = np.mean([(a > b) + 0.5 * (a == b) for a in high for b in low])
    assert area_under_curve(high, low) == pytest.approx(won)


def test_an_oracle_scores_high_and_noise_at_chance(tree):
    held = np.arange(364)
    good = evaluate_hierarchy(encoder(tree, oracle(tree)), tree, held, pairs=150)
    assert good.spearman > 0.8 and good.synonym_accuracy == 1.0
    assert good.auc[1, 5] == 1.0 and good.auc[2, 4] > 0.9
    means = [good.mean_cosine[steps] for steps in sorted(good.mean_cosine)]
    assert means == sorted(means, reverse=True) and sorted(good.mean_cosine) == [1, 2, 3, 4, 5]
    noise = numpy_generator(0, "noise").normal(size=(364, 30))
    blind = evaluate_hierarchy(encoder(tree, noise), tree, held, pairs=150)
    assert abs(blind.spearman) < 0.15 and abs(blind.auc[1, 5] - 0.5) < 0.15


def test_probe_pairs_have_their_distance_and_are_held_out(tree):
    held = tree.hold_out(0.5, seed=1)
    probe = HierarchyProbe.draw(tree, held, pairs=40, queries=10, seed=1)
    number = {name: term for term, row in enumerate(tree.names) for name in row}
    terms = np.array([number[text] for text in probe.texts])
    assert set(terms) <= set(held)
    for left, right, steps in zip(probe.left, probe.right, probe.distances, strict=True):
        assert tree.distance(str(terms[left]), str(terms[right]), cap=5) == steps
    assert len(probe.queries) == 10
    assert (terms[probe.queries] == terms[probe.candidates[probe.answers]]).all()
    again = HierarchyProbe.draw(tree, held, pairs=40, queries=10, seed=1)
    assert again.texts == probe.texts and (again.left == probe.left).all()


def test_word_overlap_counts_shared_words():
    vectors = word_overlap(["pain of the arm", "the arm", "fever"])
    assert vectors[0] @ vectors[1] == pytest.approx(2 / 8**0.5)
    assert vectors[2] @ vectors[0] == 0.0
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)


def test_too_few_terms(tree):
    with pytest.raises(DataError, match="2 held-out terms have pairs at fewer than two"):
        evaluate_hierarchy(lambda texts: np.eye(len(texts)), tree, np.array([1, 2]))
