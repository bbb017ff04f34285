"""Sessions, the curve and forgetting, on hand-made learners."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.evaluate.incremental import class_sessions, evaluate_incremental
from vecsmith.reshape import IncrementalClassifier


def test_sessions() -> None:
    assert class_sessions("abcdefg", inc=3, seed=None) == [
        ("a", "b", "c"),
        ("d", "e", "f"),
        ("g",),
    ]
    assert class_sessions("abcdefg", init=4, inc=2, seed=None) == [
        ("a", "b", "c", "d"),
        ("e", "f"),
        ("g",),
    ]
    assert class_sessions("aabb", init=2, inc=1, seed=None) == [("a", "b")]
    shuffled = class_sessions(range(40), inc=10, seed=1)
    assert shuffled == class_sessions(range(40), inc=10, seed=1)
    assert shuffled != class_sessions(range(40), inc=10, seed=2)
    assert sorted(c for s in shuffled for c in s) == list(range(40))
    for wrong in ({"inc": 0}, {"init": 9}, {"init": -1}):
        with pytest.raises(ConfigError, match="inc must be"):
            class_sessions("abc", **wrong)


class Newest:
    """Knows only the classes of the last session, as a net that forgot all others."""

    def __init__(self) -> None:
        self.known: set = set()

    def learn(self, items, labels) -> None:
        self.known = set(labels)

    def predict(self, items):
        return [item if item in self.known else next(iter(self.known)) for item in items]


def test_the_curve_of_a_learner_that_forgets_all() -> None:
    data = (list("aabbccdd"), list("aabbccdd"))
    curve = evaluate_incremental(Newest(), data, data, inc=2, seed=None)
    assert curve.sessions == (("a", "b"), ("c", "d"))
    assert curve.seen == (1.0, 0.5) and curve.average == 0.75 and curve.last == 0.5
    assert curve.forgetting == 1.0
    np.testing.assert_array_equal(curve.by_session, [[1.0, np.nan], [0.0, 1.0]])
    assert curve.right.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert curve.to_dict()["by_session"][0] == [1.0, None]


def test_prototypes_forget_nothing_that_others_do_not_take() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 8)) + 6 * np.eye(8)[np.arange(60) % 6]
    labels = [i % 6 for i in range(60)]
    curve = evaluate_incremental(
        IncrementalClassifier(), (rows, labels), (rows, labels), init=2, inc=2, seed=3
    )
    assert len(curve.seen) == 3 and curve.last > 0.95 and curve.forgetting < 0.05
    one = evaluate_incremental(
        IncrementalClassifier(), (rows, labels), (rows, labels), init=6, inc=1
    )
    assert one.forgetting == 0.0 and one.last == curve.last


def test_bad_data_is_told() -> None:
    with pytest.raises(DataError, match="without training items: \\['b'\\]"):
        evaluate_incremental(Newest(), (["a"], ["a"]), (["b"], ["b"]))
    with pytest.raises(DataError, match="session 1 has no test items"):
        evaluate_incremental(Newest(), (list("ab"), list("ab")), (["a"], ["a"]), inc=1, seed=None)
