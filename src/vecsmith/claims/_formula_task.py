"""Formulas of one input, parted by skeleton, with properties to predict and what predicts them."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.data.formulas import (
    Expression,
    ExpressionGenerator,
    ExpressionOptions,
    PointOptions,
    Sample,
    property_of,
)
from vecsmith.encode.formulas import Snip
from vecsmith.train.formulas import HeadTraining, PropertyHead
from vecsmith.train.formulas._property_head import ALPHAS

Floats = NDArray[np.float64]
CONSTANTS = (-3, -2, -1, -0.5, 0.5, 1, 2, 3)
OPTIONS = ExpressionOptions(
    max_binary=2, max_unary=2, prefactors=0.3, constants=CONSTANTS, max_value=1e3, max_symbols=14
)
# standardised, so that every formula is seen over the same range
POINTS = PointOptions(number=64, clusters=1, kinds=("uniform",))
LABELS = (200, 1000, 2000)
# part of the labels on which steps and the baseline are chosen
DEVELOPMENT = 200
TEST_SHARE = 4


@dataclass(frozen=True)
class Formulas:
    """Formulas of one seed.

    Attributes:
        train: For pre-training, without labels.
        labelled: Whose labels the heads see; each of another skeleton.
        test: Likewise, of skeletons that nothing else has.
    """

    train: list[Sample]
    labelled: list[Sample]
    test: list[Sample]


def held_out(skeleton: str) -> bool:
    """Tell whether a skeleton belongs to the test.

    Args:
        skeleton: From `Expression.skeleton`.

    Returns:
        True for about a quarter of all.
    """
    return zlib.crc32(skeleton.encode()) % TEST_SHARE == 0


def draw(seed: int, draws: int, test: int, *, without: set[str]) -> Formulas:
    """Draw formulas and part them by skeleton.

    Args:
        seed: Seed of the draw.
        draws: Formulas drawn.
        test: Formulas of the test, each of another skeleton.
        without: Skeletons that are left out.

    Returns:
        The parts.
    """
    generator = ExpressionGenerator(1, options=OPTIONS, points=POINTS, seed=seed)
    made, seen = Formulas([], [], []), set(without)
    for sample in generator.batch(draws, "snip"):
        skeleton = sample.expression.skeleton
        new = skeleton not in seen
        seen.add(skeleton)
        if held_out(skeleton):
            if new and len(made.test) < test:
                made.test.append(sample)
        elif skeleton not in without:
            made.train.append(sample)
            if new and len(made.labelled) < max(LABELS):
                made.labelled.append(sample)
    return made


def skill(predicted: Floats, wanted: Floats) -> Floats:
    """Part R2 among the items, whose mean it is.

    Args:
        predicted: Shape (items,).
        wanted: Same shape.

    Returns:
        Same shape.
    """
    return np.asarray(1.0 - (predicted - wanted) ** 2 / wanted.var(), np.float64)


class Features:
    """Ridge on given features of formulas, fitted as `PropertyHead` fits its own.

    Args:
        formulas: All that will be asked for.
        rows: Their features, shape (formulas, features).
    """

    def __init__(self, formulas: list[Expression], rows: NDArray[Any]) -> None:
        self.rows = dict(zip(formulas, rows, strict=True))

    def fit(self, formulas: list[Expression], labels: Floats) -> "Features":
        """Fit.

        Args:
            formulas: The formulas.
            labels: Shape (formulas,).

        Returns:
            Itself.
        """
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=ALPHAS))
        self.ridge.fit(self.table(formulas), labels)
        return self

    def predict(self, formulas: list[Expression]) -> Floats:
        """Predict.

        Args:
            formulas: The formulas.

        Returns:
            Shape (formulas,).
        """
        return np.asarray(self.ridge.predict(self.table(formulas)), np.float64)

    def table(self, formulas: list[Expression]) -> NDArray[Any]:
        """Look features up.

        Args:
            formulas: The formulas.

        Returns:
            Shape (formulas, features).
        """
        return np.stack([self.rows[formula] for formula in formulas])


def token_counts(snip: Snip, formulas: list[Expression]) -> Floats:
    """Count the tokens of formulas.

    Args:
        snip: Whose tokens.
        formulas: The formulas.

    Returns:
        Shape (formulas, tokens that occur).
    """
    words = len(snip.tokenizer)
    rows = [np.bincount(row, minlength=words) for row in snip.formula_inputs(formulas)]
    counts = np.stack(rows)[:, 1:].astype(np.float64)
    return counts[:, counts.any(axis=0)]


@dataclass(frozen=True)
class Arms:
    """What predicts a property.

    Attributes:
        trained: Encoders.
        features: Ridge rows: "frozen", "untrained" and "bag".
        seed: Seed of trained heads.
    """

    trained: Snip
    features: dict[str, Features]
    seed: int

    @classmethod
    def of(cls, formulas: Formulas, trained: Snip, untrained: Snip, seed: int) -> "Arms":
        """Encode all formulas once.

        Args:
            formulas: Of the seed.
            trained: Encoders.
            untrained: The same before training.
            seed: Seed of trained heads.

        Returns:
            The arms.
        """
        every = [sample.expression for sample in (*formulas.labelled, *formulas.test)]
        rows: dict[str, NDArray[Any]] = {
            "frozen": trained.encode_formula(every),
            "untrained": untrained.encode_formula(every),
            "bag": token_counts(trained, every),
        }
        return cls(trained, {arm: Features(every, row) for arm, row in rows.items()}, seed)

    def head(self, arm: str, steps: int = 0) -> Any:
        """Take one.

        Args:
            arm: "frozen", "untrained", "bag", "scratch" or "finetuned".
            steps: Of the last two.

        Returns:
            An object with fit and predict.
        """
        if arm in self.features:
            return self.features[arm]
        options = HeadTraining(steps=steps, lr=1e-3, seed=self.seed, cpu=True)
        return PropertyHead(self.trained, regime=arm, head="mlp", options=options)


@dataclass(frozen=True)
class Task:
    """A property to predict.

    Attributes:
        formulas: Labelled ones, then those of the test.
        labels: Of all of them.
        known: How many are labelled.
    """

    formulas: list[Expression]
    labels: Floats
    known: int

    def score(self, head: Any, number: int) -> Floats:
        """Fit on so many labels and judge on the test.

        Args:
            head: With fit and predict.
            number: How many labels.

        Returns:
            Skill of each test formula.
        """
        head.fit(self.formulas[:number], self.labels[:number])
        test = self.formulas[self.known :]
        return skill(head.predict(test), self.labels[self.known :])

    def development(self, head: Any, number: int) -> float:
        """Fit on labels less the development part, and judge on that.

        Args:
            head: With fit and predict.
            number: How many labels, the part included.

        Returns:
            R2.
        """
        cut = number - min(DEVELOPMENT, number // 4)
        head.fit(self.formulas[:cut], self.labels[:cut])
        found = head.predict(self.formulas[cut:number])
        return float(skill(found, self.labels[cut:number]).mean())


def task_of(name: str, formulas: Formulas) -> Task:
    """Label formulas by a property of their points.

    Args:
        name: One of `PROPERTIES`.
        formulas: Of a seed.

    Returns:
        The task.
    """
    every = [*formulas.labelled, *formulas.test]
    labels = np.array([property_of(name, sample.X, sample.y) for sample in every])
    return Task([sample.expression for sample in every], labels, len(formulas.labelled))
