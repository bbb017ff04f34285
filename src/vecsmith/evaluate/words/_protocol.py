"""One protocol for all tasks of word vectors, and one score that makes them comparable.

S. Lai, K. Liu, S. He and J. Zhao (2016): the performance gain ratio of vectors a on a task,

    PGR(a) = (p_a - p_random) / (p_best - p_random),

is 0 for vectors of random numbers of the same shape, 1 for the best of all that were compared.
Tables that are compared must share one vocabulary: a word that one lacks is lacking for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vecsmith.core import ConfigError, DataError, numpy_generator
from vecsmith.encode.words import WordVectors


@dataclass(frozen=True)
class TaskScore:
    """What one table scored on one task.

    Attributes:
        task: Name of the task.
        metric: Name of the figure.
        value: The figure; higher is better.
        items: Items that were judged.
        covered: Part of the task that the vocabulary covers: items that could be judged, or word
            occurrences that have a vector.
        details: Further figures.
    """

    task: str
    metric: str
    value: float
    items: int
    covered: float
    details: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{self.task}: {self.metric} {self.value:.4f} "
            f"({self.items} items, {self.covered:.0%} covered)"
        )


class WordTask:
    """Base of the tasks: a name, a metric, and a score of any word vectors.

    Attributes:
        name: Short name: "ws", "syn", …
        metric: Name of the figure, of which higher is better.
    """

    name: str = ""
    metric: str = ""

    def score(self, vectors: WordVectors) -> TaskScore:
        """Judge vectors.

        Args:
            vectors: Word vectors.

        Returns:
            The figure with its coverage.
        """
        raise NotImplementedError(f"{type(self).__name__} must judge vectors")

    def run(self, vectors: WordVectors) -> float:
        """Judge vectors by one figure.

        Args:
            vectors: Word vectors.

        Returns:
            The figure alone.
        """
        return self.score(vectors).value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.metric})"


def performance_gain_ratio(
    scores: Mapping[str, float], random: float, best: float | None = None
) -> dict[str, float]:
    """Scale scores so that random vectors get 0 and the best get 1.

    Args:
        scores: Name of the vectors -> score on one task.
        random: Score of random vectors of the same shape on the same items.
        best: Best score of all that are compared; None takes the best of `scores`.

    Returns:
        Name -> gain ratio; NaN for all where nothing is better than random.

    Raises:
        ConfigError: There are no scores, or one of them or `random` is not finite.
    """
    values = [*scores.values(), random, *([] if best is None else [best])]
    if not scores or not np.isfinite(values).all():
        raise ConfigError(
            f"scores and random must be finite numbers, and there must be some; got {dict(scores)} "
            f"and random={random!r}: leave runs without a score out"
        )
    top = max(scores.values()) if best is None else best
    if top <= random:
        return dict.fromkeys(scores, float("nan"))
    return {name: (value - random) / (top - random) for name, value in scores.items()}


def random_vectors(vectors: WordVectors, seed: int = 0) -> WordVectors:
    """Draw vectors of the same words, shape and spread.

    Args:
        vectors: Any word vectors.
        seed: Seed of the draw.

    Returns:
        Normal numbers with the standard deviation that all entries of `vectors` have.
    """
    spread = float(vectors.vectors.std()) or 1.0
    rng = numpy_generator(seed, "random word vectors")
    table = rng.normal(scale=spread, size=vectors.vectors.shape)
    return WordVectors(vectors.words, table, name=f"random, seed {seed}")


def share_vocabulary(tables: Sequence[WordVectors]) -> list[WordVectors]:
    """Cut tables to the words that all of them have.

    Args:
        tables: Word vectors.

    Returns:
        The tables with the same words, in the order of the first table.

    Raises:
        DataError: There are no tables, or they share no word.
    """
    if not tables:
        raise DataError("there must be at least one table of word vectors; got none")
    words = [word for word in tables[0].words if all(word in table for table in tables)]
    if not words:
        raise DataError(
            f"the {len(tables)} tables share no word; compare tables of one language and case"
        )
    return [table if table.words == words else table.subset(words) for table in tables]
