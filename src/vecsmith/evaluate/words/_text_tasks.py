"""Tasks that classify texts: by the mean of the vectors, and by a network that starts from them."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, require
from vecsmith.encode.words import WordVectors

from ._protocol import TaskScore, WordTask
from ._tasks import lookup
from ._texts import LabelledTexts, Text, mean_vectors, text_words

METRICS = ("accuracy", "macro_f1")


def classification_score(metric: str, true: Sequence[str], found: Sequence[str]) -> float:
    """Judge found labels.

    Args:
        metric: "accuracy" or "macro_f1" (all labels alike, however rare).
        true: The labels.
        found: What was predicted.

    Returns:
        From 0 to 1.

    Raises:
        ConfigError: Unknown metric.
    """
    if metric not in METRICS:
        raise ConfigError(f"metric must be one of {METRICS}; got {metric!r}")
    if metric == "accuracy":
        return float(np.mean([one == two for one, two in zip(true, found, strict=True)]))
    metrics = require("sklearn.metrics", "train")
    return float(metrics.f1_score(list(true), list(found), average="macro", zero_division=0))


class MeanVectorTask(WordTask):
    """Logistic regression on the mean of a text's word vectors.

    The features are centred and divided by their spread over the training texts, so that tables of
    other scale meet the same strengths; the strength that is best on the development texts judges.

    Args:
        data: The texts.
        name: Name of the task.
        metric: "accuracy" or "macro_f1".
        strengths: Inverse strengths of the L2 penalty to choose among.
        balanced: Whether labels weigh alike in training.

    Raises:
        ConfigError: Unknown metric, or no strengths.
    """

    def __init__(
        self,
        data: LabelledTexts,
        *,
        name: str = "avg",
        metric: str = "accuracy",
        strengths: Sequence[float] = (0.1, 1.0),
        balanced: bool = False,
    ) -> None:
        if metric not in METRICS:
            raise ConfigError(f"metric must be one of {METRICS}; got {metric!r}")
        if not strengths or min(strengths) <= 0:
            raise ConfigError(f"strengths must be numbers above 0; got {tuple(strengths)}")
        self.data, self.name, self.metric = data, name, metric
        self.strengths, self.balanced = tuple(strengths), balanced

    def score(self, vectors: WordVectors) -> TaskScore:
        """Train on the means and judge.

        Args:
            vectors: Word vectors.

        Returns:
            The figure on the test texts.
        """
        parts = [mean_vectors(vectors, part[0]) for part in self._parts()]
        middle = parts[0][0].mean(axis=0)
        spread = float((parts[0][0] - middle).std()) or 1.0
        # in single precision: twice as fast
        train, development, test = (
            ((means - middle) / spread).astype(np.float32) for means, _ in parts
        )
        best, model, strength = -np.inf, None, 0.0
        for value in self.strengths:
            fitted = self._fit(train, value)
            found = fitted.predict(development)
            quality = classification_score(self.metric, self.data.development[1], found)
            if quality > best:
                best, model, strength = quality, fitted, value
        assert model is not None
        figure = classification_score(self.metric, self.data.test[1], model.predict(test))
        details = {"development": best, "strength": strength}
        return TaskScore(self.name, self.metric, figure, len(test), parts[2][1], details)

    def _parts(self) -> tuple[Any, Any, Any]:
        return self.data.train, self.data.development, self.data.test

    def _fit(self, features: NDArray[np.float64], strength: float) -> Any:
        linear = require("sklearn.linear_model", "train")
        exceptions = require("sklearn.exceptions", "train")
        model = linear.LogisticRegression(
            C=strength,
            max_iter=100,
            tol=1e-3,
            class_weight="balanced" if self.balanced else None,
        )
        with warnings.catch_warnings():
            # near the optimum is near enough, the same for all
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
            return model.fit(features, list(self.data.train[1]))


class CNNTask(WordTask):
    """A window CNN whose first layer starts from the vectors and is fine-tuned.

    Args:
        data: The texts.
        name: Name of the task.
        metric: "accuracy" or "macro_f1".
        training: A `ClassifierTraining`; the development texts choose the pass.
        shape: Of the network: hidden (100), width (5).
        seeds: How many trainings are averaged.
        spread: Standard deviation that the entries of each table are scaled to, so that tables
            differ by what they say alone; None leaves them.

    Raises:
        ConfigError: Unknown metric, or `seeds` below 1.
    """

    def __init__(
        self,
        data: LabelledTexts,
        *,
        name: str = "cnn",
        metric: str = "accuracy",
        training: Any = None,
        shape: dict[str, Any] | None = None,
        seeds: int = 1,
        spread: float | None = 0.3,
    ) -> None:
        if metric not in METRICS:
            raise ConfigError(f"metric must be one of {METRICS}; got {metric!r}")
        if seeds < 1:
            raise ConfigError(f"seeds must be at least 1; got {seeds}")
        self.data, self.name, self.metric = data, name, metric
        self.training, self.seeds, self.spread = training, seeds, spread
        self.shape: dict[str, Any] = {"hidden": 100, "width": 5, **(shape or {})}

    def score(self, vectors: WordVectors) -> TaskScore:
        """Train and judge.

        Args:
            vectors: Word vectors.

        Returns:
            Mean over the seeds of the figure on the test texts.
        """
        import torch

        from vecsmith.train.classify import ClassifierTraining

        words = dict.fromkeys(w for part in self._parts() for t in part[0] for w in text_words(t))
        # what no text holds is never trained
        scaled = scale_to(kept_words(vectors, words), self.spread)
        how = self.training or ClassifierTraining()
        figures = []
        for seed in range(how.seed, how.seed + self.seeds):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                found = self._predict(scaled, replace(how, seed=seed))
            figures.append(classification_score(self.metric, self.data.test[1], found))
        covered = coverage(vectors, self.data.test[0])
        details = {f"seed {seed}": figure for seed, figure in enumerate(figures)}
        items = len(self.data.test[0])
        return TaskScore(self.name, self.metric, float(np.mean(figures)), items, covered, details)

    def _parts(self) -> tuple[Any, Any, Any]:
        return self.data.train, self.data.development, self.data.test

    def _predict(self, vectors: WordVectors, how: Any) -> list[str]:
        from vecsmith.train.classify import WindowCNNClassifier

        labels = len(self.data.labels)
        model = WindowCNNClassifier(num_labels=labels, vectors=vectors, **self.shape)
        model.fit(*self.data.train, development=self.data.development, training=how)
        return model.predict(self.data.test[0])


def kept_words(vectors: WordVectors, words: Iterable[str]) -> WordVectors:
    """Keep the vectors of some words, as they are looked up.

    Args:
        vectors: Word vectors.
        words: Any words.

    Returns:
        Those that have a vector, in lower case where the word as it stands has none.

    Raises:
        DataError: None has one.
    """
    rows = lookup(vectors, list(words), fold_case=True)
    kept = np.unique(rows[rows >= 0])
    if not len(kept):
        raise DataError(
            f"no word of the task has a vector in {vectors.name!r}; check language and case"
        )
    return vectors.subset([vectors.words[row] for row in kept])


def scale_to(vectors: WordVectors, spread: float | None) -> WordVectors:
    """Scale a table so that its entries have a standard deviation.

    Args:
        vectors: Word vectors.
        spread: The deviation wanted; None, or a table of one number alone, changes nothing.

    Returns:
        The scaled vectors.
    """
    now = float(vectors.vectors.std())
    if spread is None or now == 0:
        return vectors
    return vectors.with_vectors(vectors.vectors * (spread / now), step=f"spread {spread:g}")


def coverage(vectors: WordVectors, texts: Sequence[Text]) -> float:
    """Share of word occurrences that have a vector.

    Args:
        vectors: Word vectors.
        texts: Strings, or lists of words.

    Returns:
        From 0 to 1; 0 without words.
    """
    words = [word for text in texts for word in text_words(text)]
    return float((lookup(vectors, words, fold_case=True) >= 0).mean()) if words else 0.0
