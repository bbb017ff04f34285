"""Word tasks: correlation with human similarity, and analogies "a is to b as c is to d".

Items with a word that has no vector are left out and counted: a score over other items is another
score. Tables that are compared must share one vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError
from vecsmith.encode.words import WordVectors, solve_analogies

Question = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class SimilarityScore:
    """Agreement of cosines with human similarity.

    Attributes:
        name: Name of the data.
        spearman: Rank correlation.
        pearson: Linear correlation.
        pairs: Pairs that were judged.
        missing: Pairs that were not, because a word has no vector.
    """

    name: str
    spearman: float
    pearson: float
    pairs: int
    missing: int


@dataclass(frozen=True)
class AnalogyScore:
    """Share of analogies answered with the very word.

    Attributes:
        name: Name of the data.
        accuracy: Share over all questions.
        questions: Questions that were asked.
        missing: Questions that were not, because a word has no vector.
        sections: Section -> share and number of questions.
        correct: Whether each question was answered, in the order of the data; those that were not
            asked left out.
    """

    name: str
    accuracy: float
    questions: int
    missing: int
    sections: dict[str, tuple[float, int]]
    correct: NDArray[np.bool_] = field(repr=False, compare=False)

    @property
    def semantic(self) -> float:
        """Share over the sections that are not named "gram…"; NaN without such."""
        return self._pooled(grammar=False)

    @property
    def syntactic(self) -> float:
        """Share over the sections named "gram…"; NaN without such."""
        return self._pooled(grammar=True)

    def _pooled(self, *, grammar: bool) -> float:
        rows = [row for name, row in self.sections.items() if name.startswith("gram") == grammar]
        total = sum(count for _, count in rows)
        return sum(share * count for share, count in rows) / total if total else float("nan")


def word_similarity(
    vectors: WordVectors,
    data: str | Sequence[tuple[str, str, float]],
    *,
    fold_case: bool = False,
) -> SimilarityScore:
    """Correlate cosines with human similarity.

    Args:
        vectors: Word vectors.
        data: A name that `load_word_similarity` knows, or pairs with scores.
        fold_case: Try a word that has no vector in lower case.

    Returns:
        The score.

    Raises:
        DataError: Fewer than three pairs have vectors, or all have the same score or cosine.
    """
    from scipy import stats

    name, rows = _pairs(data)
    first = lookup(vectors, [row[0] for row in rows], fold_case=fold_case)
    second = lookup(vectors, [row[1] for row in rows], fold_case=fold_case)
    known = (first >= 0) & (second >= 0)
    human = np.array([row[2] for row in rows], np.float64)[known]
    if known.sum() < 3:
        raise DataError(
            f"{int(known.sum())} of {len(rows)} pairs of {name} have vectors in {vectors.name!r}, "
            "too few for a correlation; check the spelling, or give fold_case=True"
        )
    if np.ptp(human) == 0 or not np.isfinite(human).all():
        raise DataError(f"scores of {name} must be finite and differ; give other data")
    cosines = pair_cosines(vectors, first[known], second[known])
    if np.ptp(cosines) == 0:
        raise DataError(
            f"all pairs of {name} have the cosine {cosines[0]:.3g} in {vectors.name!r}; "
            "such vectors tell no words apart"
        )
    return SimilarityScore(
        name,
        float(stats.spearmanr(cosines, human).statistic),
        float(stats.pearsonr(cosines, human).statistic),
        len(human),
        len(rows) - len(human),
    )


def word_analogies(
    vectors: WordVectors,
    data: str | Sequence[Question],
    *,
    method: str = "add",
    fold_case: bool = False,
) -> AnalogyScore:
    """Ask analogies of the whole vocabulary.

    Args:
        vectors: Word vectors.
        data: A name that `load_analogies` knows, or questions (section, a, b, c, d).
        method: "add" (3CosAdd) or "mul" (3CosMul).
        fold_case: Try a word that has no vector in lower case.

    Returns:
        The score.

    Raises:
        DataError: No question has vectors for all its words.
    """
    name, rows = _questions(data)
    columns = [lookup(vectors, [r[i] for r in rows], fold_case=fold_case) for i in range(1, 5)]
    ids = np.stack(columns, 1) if rows else np.zeros((0, 4), np.int64)
    known = (ids >= 0).all(1)
    if not known.any():
        raise DataError(
            f"none of the {len(rows)} questions of {name} has vectors for all its words in "
            f"{vectors.name!r}; check the spelling, or give fold_case=True"
        )
    ids = ids[known]
    _, found = solve_analogies(vectors.vectors, ids[:, :3], norms=vectors.norms, method=method)
    correct = found[:, 0] == ids[:, 3]
    labels = np.array([row[0] for row in rows])[known]
    sections = {
        str(section): (float(correct[labels == section].mean()), int((labels == section).sum()))
        for section in dict.fromkeys(labels.tolist())
    }
    asked = len(correct)
    return AnalogyScore(
        name, float(correct.mean()), asked, len(rows) - asked, sections, np.asarray(correct)
    )


def lookup(vectors: WordVectors, words: Sequence[str], *, fold_case: bool) -> NDArray[np.int64]:
    """Find rows, in lower case where the word as it stands has none.

    Args:
        vectors: Word vectors.
        words: Any words.
        fold_case: Whether to try lower case.

    Returns:
        Rows, -1 for a word without a vector, shape (words,).
    """
    rows = vectors.ids(words, unknown="mark")
    if fold_case:
        lower = vectors.ids([word.lower() for word in words], unknown="mark")
        rows = np.where(rows < 0, lower, rows)
    return rows


def pair_cosines(
    vectors: WordVectors, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Cosines of pairs of rows, in double precision.

    Args:
        vectors: Word vectors.
        first: Rows, shape (pairs,).
        second: Rows, shape (pairs,).

    Returns:
        Shape (pairs,).
    """
    a, b = (vectors.vectors[rows].astype(np.float64) for rows in (first, second))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.einsum("ij,ij->i", a, b) / np.where(lengths == 0, 1, lengths))


def _pairs(
    data: str | Sequence[tuple[str, str, float]],
) -> tuple[str, list[tuple[str, str, float]]]:
    if not isinstance(data, str):
        return "the pairs", [(a, b, float(score)) for a, b, score in data]
    from vecsmith.data.samples import load_word_similarity

    rows = load_word_similarity(data)[:]
    return data, list(zip(rows["text_a"], rows["text_b"], rows["score"], strict=True))


def _questions(data: str | Sequence[Question]) -> tuple[str, list[Question]]:
    if not isinstance(data, str):
        return "the questions", list(data)
    from vecsmith.data.samples import load_analogies

    rows = load_analogies(data)[:]
    columns = [rows[name] for name in ("section", "a", "b", "c", "d")]
    return data, list(zip(*columns, strict=True))
