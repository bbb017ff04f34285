"""The protocol of class-incremental learning: "B-m Inc-n", its curve and its forgetting.

Classes are shuffled once; the first session has m of them (0: as many as the others), each later
one n. After session b everything seen so far is tested, without telling the session::

    A_b = accuracy on the test items of all classes seen after session b
    average = mean over b of A_b,   last = A_B
    forgetting = mean over sessions s before the last of (best accuracy on s's classes so far
                 - their accuracy after the last session)   (Chaudhry et al., 2018)
"""

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator


class Learner(Protocol):
    """What can be taught session by session."""

    def learn(self, items: Any, labels: Sequence[Hashable]) -> Any:
        """Take in a session."""

    def predict(self, items: Any) -> Sequence[Hashable]:
        """Name the class of items."""


@dataclass(frozen=True)
class IncrementalCurve:
    """How a learner did.

    Attributes:
        sessions: Classes of each session.
        seen: A_b after each session.
        by_session: Accuracy on the classes of session s after session b, shape (b, s); NaN where s
            was not seen yet.
        right: After the last session: test item -> 1 if right, in the order of the test items.
    """

    sessions: tuple[tuple[Hashable, ...], ...]
    seen: tuple[float, ...]
    by_session: NDArray[np.float64]
    right: NDArray[np.float64]

    @property
    def average(self) -> float:
        """Mean of A_b."""
        return float(np.mean(self.seen))

    @property
    def last(self) -> float:
        """A_B."""
        return self.seen[-1]

    @property
    def forgetting(self) -> float:
        """Mean loss of the earlier sessions since their best; 0 with one session."""
        if len(self.sessions) < 2:
            return 0.0
        best = np.nanmax(self.by_session[:-1, :-1], axis=0)
        return float(np.mean(best - self.by_session[-1, :-1]))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        table = [[None if np.isnan(v) else float(v) for v in row] for row in self.by_session]
        return {
            "sessions": [list(classes) for classes in self.sessions],
            "seen": list(self.seen),
            "average": self.average,
            "last": self.last,
            "forgetting": self.forgetting,
            "by_session": table,
        }


def class_sessions(
    classes: Sequence[Hashable], *, init: int = 0, inc: int = 10, seed: int | None = 1993
) -> list[tuple[Hashable, ...]]:
    """Deal classes to sessions.

    Args:
        classes: All classes.
        init: Classes of the first session; 0 makes it as large as the others.
        inc: Classes of each later session; the last one may have fewer.
        seed: Of the order; None keeps the given one.

    Returns:
        The classes of each session.

    Raises:
        ConfigError: A number is out of range.
    """
    unique = list(dict.fromkeys(classes))
    if inc < 1 or not 0 <= init <= len(unique):
        raise ConfigError(
            f"inc must be at least 1 and init from 0 to the {len(unique)} classes; got {inc} and "
            f"{init}"
        )
    if seed is not None:
        order = numpy_generator(seed, "class-order").permutation(len(unique))
        unique = [unique[place] for place in order]
    first = init or inc
    cuts = [0, *range(first, len(unique), inc), len(unique)]
    return [tuple(unique[a:b]) for a, b in itertools.pairwise(cuts)]


def evaluate_incremental(
    learner: Learner,
    train: tuple[Any, Sequence[Hashable]],
    test: tuple[Any, Sequence[Hashable]],
    *,
    init: int = 0,
    inc: int = 10,
    seed: int | None = 1993,
) -> IncrementalCurve:
    """Teach a learner session by session, and test it after each on all classes seen.

    Args:
        learner: Fresh; it is taught.
        train: Items and their classes.
        test: Items and their classes, all of which are in `train`.
        init: Classes of the first session; 0 makes it as large as the others.
        inc: Classes of each later session.
        seed: Of the order of classes; None keeps that of their first examples.

    Returns:
        The curve.

    Raises:
        DataError: A test class has no training items, or there are no test items of a session.
        ConfigError: A number is out of range.
    """
    items, labels = train
    if missing := set(test[1]) - set(labels):
        raise DataError(f"test classes without training items: {sorted(map(str, missing))[:5]}")
    sessions = class_sessions(labels, init=init, inc=inc, seed=seed)
    number = {label: s for s, classes in enumerate(sessions) for label in classes}
    test_session = np.array([number[label] for label in test[1]])
    empty = set(range(len(sessions))) - set(test_session.tolist())
    if empty:
        raise DataError(f"session {min(empty)} has no test items; give some of each class")
    table = np.full((len(sessions), len(sessions)), np.nan)
    seen: list[float] = []
    right = np.zeros(len(test_session))
    for session, classes in enumerate(sessions):
        wanted = set(classes)
        rows = [row for row, label in enumerate(labels) if label in wanted]
        learner.learn([items[row] for row in rows], [labels[row] for row in rows])
        asked = np.flatnonzero(test_session <= session).tolist()
        guesses = learner.predict([test[0][row] for row in asked])
        right = np.array(
            [float(guess == test[1][row]) for guess, row in zip(guesses, asked, strict=True)]
        )
        seen.append(float(right.mean()))
        for earlier in range(session + 1):
            table[session, earlier] = right[test_session[asked] == earlier].mean()
    return IncrementalCurve(tuple(sessions), tuple(seen), table, right)
