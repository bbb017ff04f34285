"""Word-embedding association tests (WEAT): do two sets of words lean to one of two attributes?

Paper: Semantics derived automatically from language corpora contain human-like biases (A. Caliskan,
J. Bryson and A. Narayanan, 2017). Targets X and Y, attributes A and B:

    s(w) = mean_{a in A} cos(w, a) - mean_{b in B} cos(w, b)
    effect d = (mean_X s - mean_Y s) / std_{X u Y} s
    p = share of the splits of X u Y into sets of these sizes with a gap at least as large

On vectors of sentences made from templates (`vecsmith.encode.vectors_of_words`) it is the sentence
encoder association test, SEAT (C. May and others, 2019). The effect says how well the targets are
told apart, not how strongly the words are biased; with eight words a side its spread is wide. Cost:
one product of targets with attributes; all splits up to `permutations`, else that many at random.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator
from vecsmith.data.samples import AssociationTest
from vecsmith.encode.words import WordVectors

Doubles = NDArray[np.float64]
_BLOCK = 1 << 21


@dataclass(frozen=True)
class Association:
    """Result of one test.

    Attributes:
        name: Name of the test.
        effect: d; above 0 where the first targets lean to the first attribute.
        p: One-sided p-value.
        exact: Whether all splits were counted.
        targets: Words of both targets that have vectors.
        attributes: Words of both attributes that have vectors.
        missing: Words that have none.
    """

    name: str
    effect: float
    p: float
    exact: bool
    targets: tuple[int, int]
    attributes: tuple[int, int]
    missing: tuple[str, ...]


def association_scores(words: ArrayLike, first: ArrayLike, second: ArrayLike) -> Doubles:
    """How much nearer words are to one attribute than to the other.

    Args:
        words: Vectors, shape (words, dims).
        first: Vectors of the first attribute, shape (any, dims).
        second: Vectors of the second attribute, shape (any, dims).

    Returns:
        s(w), shape (words,).
    """
    w, a, b = (_unit(rows) for rows in (words, first, second))
    return np.asarray(w @ (a.mean(0) - b.mean(0)))


def permutation_share(first: Doubles, second: Doubles, permutations: int, seed: int) -> float:
    """Share of splits with a gap of means at least as large.

    Args:
        first: Scores of the first targets, shape (n,).
        second: Scores of the second targets, shape (m,).
        permutations: All splits are counted where they are at most so many; otherwise so many are
            drawn, and the split at hand counts as one more.
        seed: Seed of the drawing.

    Returns:
        The one-sided p-value.
    """
    scores = np.concatenate([first, second])
    size, total = len(first), len(scores)
    # the gap of means grows with the sum of the first set; room for rounding in equal splits
    limit = first.sum() - 1e-9 * (np.abs(scores).sum() + 1e-300)
    if math.comb(total, size) <= permutations:
        reached = count = 0
        combinations = itertools.combinations(range(total), size)
        while block := list(itertools.islice(combinations, max(1, _BLOCK // size))):
            reached += int((scores[np.array(block)].sum(1) >= limit).sum())
            count += len(block)
        return reached / count
    rng = numpy_generator(seed, "association")
    reached = 1
    step = max(1, _BLOCK // total)
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        order = rng.random((rows, total)).argpartition(size - 1, axis=1)[:, :size]
        reached += int((scores[order].sum(1) >= limit).sum())
    return reached / (permutations + 1)


def association_test(
    vectors: WordVectors,
    test: AssociationTest,
    *,
    permutations: int = 100_000,
    seed: int = 0,
) -> Association:
    """Run a test on word vectors.

    Args:
        vectors: Word vectors; of an encoder: from `vectors_of_words`.
        test: Four sets of words.
        permutations: As for `permutation_share`.
        seed: Seed of splits that are drawn.

    Returns:
        Effect and p-value, and what was left out.

    Raises:
        DataError: A set has fewer than two words with vectors (targets) or none (attributes), or
            all targets score the same.
        ConfigError: `permutations` is below 1.
    """
    if permutations < 1:
        raise ConfigError(f"permutations must be at least 1; got {permutations}")
    sets = (test.first_target, test.second_target, test.first_attribute, test.second_attribute)
    known = [[w for w in dict.fromkeys(words) if w in vectors] for words in sets]
    missing = tuple(w for words in sets for w in words if w not in vectors)
    if min(len(known[0]), len(known[1])) < 2 or not (known[2] and known[3]):
        raise DataError(
            f"of the sets of {test.name!r}, {[len(k) for k in known]} words have vectors in "
            f"{vectors.name!r}; two are needed in each target and one in each attribute: "
            "check the spelling"
        )
    attributes = vectors[known[2]], vectors[known[3]]
    first, second = (association_scores(vectors[words], *attributes) for words in known[:2])
    spread = float(np.concatenate([first, second]).std(ddof=1))
    if spread == 0:
        raise DataError(
            f"all targets of {test.name!r} score the same in {vectors.name!r}; "
            "such vectors tell no words apart"
        )
    exact = math.comb(len(first) + len(second), len(first)) <= permutations
    return Association(
        test.name,
        float(first.mean() - second.mean()) / spread,
        permutation_share(first, second, permutations, seed),
        exact,
        (len(first), len(second)),
        (len(known[2]), len(known[3])),
        missing,
    )


def _unit(rows: ArrayLike) -> Doubles:
    table = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(lengths == 0, 1, lengths)
