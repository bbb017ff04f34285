"""How much of a bias subspace single words carry, and how much of it pairs of words share.

Paper: Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word Embeddings
(T. Bolukbasi and others, 2016). Over unit vectors, with w_B the part of w in the subspace B:

    direct bias      DB_c = mean_{w neutral} |w_B|^c          (|cos(w, g)|^c for one direction g)
    indirect bias    beta(w, v) = (w.v - w'.v' / (|w'| |v'|)) / w.v,   w' = w - w_B

c = 0 counts words with any trace, c = 1 is usual, larger c is lenient. Measured on words that did
not define the subspace: occupations, names. Cost: one product of the words with k directions.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import WordVectors
from vecsmith.reshape.debias import BiasSubspace

from ._association import _unit

Doubles = NDArray[np.float64]
# what rounding to single precision leaves
_TRACE = 1e-6


class StereotypeScore(NamedTuple):
    """Agreement of a direction with what people think.

    Attributes:
        spearman: Rank correlation of the words' coordinates with the ratings.
        p: Its two-sided p-value.
        words: Words that were compared.
        missing: Words that were not, because they have no vector.
    """

    spearman: float
    p: float
    words: int
    missing: int


def bias_components(vectors: WordVectors, subspace: BiasSubspace, words: Sequence[str]) -> Doubles:
    """Lengths of unit vectors inside the subspace.

    Args:
        vectors: Word vectors.
        subspace: Of the same dimensions.
        words: Words that have vectors.

    Returns:
        |w_B|, shape (words,), from 0 to 1.

    Raises:
        DataError: A word has no vector, or none is given.
    """
    if not words:
        raise DataError("words must hold at least one word but is empty; give neutral words")
    return np.linalg.norm(subspace.coordinates(_unit(vectors[list(words)])), axis=1)


def direct_bias(
    vectors: WordVectors,
    subspace: BiasSubspace,
    words: Sequence[str],
    *,
    strictness: float = 1.0,
) -> float:
    """Mean part of neutral words in the subspace.

    Args:
        vectors: Word vectors.
        subspace: Of the same dimensions.
        words: Neutral words that have vectors.
        strictness: c; 0 gives the share of words with a part above 1e-6.

    Returns:
        DB_c, from 0 to 1.

    Raises:
        ConfigError: `strictness` is below 0.
        DataError: A word has no vector, or none is given.
    """
    if not strictness >= 0:
        raise ConfigError(f"strictness must be 0 or above; got {strictness}")
    parts = bias_components(vectors, subspace, words)
    return float((parts > _TRACE).mean() if strictness == 0 else (parts**strictness).mean())


def indirect_bias(
    vectors: WordVectors, subspace: BiasSubspace, pairs: Sequence[tuple[str, str]]
) -> Doubles:
    """Share of the similarity of two words that is due to the subspace.

    Args:
        vectors: Word vectors.
        subspace: Of the same dimensions.
        pairs: Pairs of neutral words that have vectors.

    Returns:
        beta, shape (pairs,): 0 where the subspace plays no part, 1 where it is all; below 0 where
        the words would be nearer without it. NaN for words at a right angle or inside the subspace.

    Raises:
        DataError: A word has no vector, or no pair is given.
    """
    if not pairs:
        raise DataError("pairs must hold at least one pair but is empty; give neutral words")
    w, v = (_unit(vectors[[pair[i] for pair in pairs]]) for i in range(2))
    whole = np.einsum("ij,ij->i", w, v)
    rest_w, rest_v = subspace.remove(w), subspace.remove(v)
    lengths = np.linalg.norm(rest_w, axis=1) * np.linalg.norm(rest_v, axis=1)
    sound = (np.abs(whole) > _TRACE) & (lengths > _TRACE)
    rest = np.einsum("ij,ij->i", rest_w, rest_v) / np.where(sound, lengths, 1)
    return np.where(sound, (whole - rest) / np.where(sound, whole, 1), np.nan)


def stereotype_correlation(
    vectors: WordVectors, subspace: BiasSubspace, ratings: Mapping[str, float]
) -> StereotypeScore:
    """Compare coordinates along the first direction with ratings by people.

    Args:
        vectors: Word vectors.
        subspace: Of the same dimensions.
        ratings: Word -> rating, high where people think of the first members of the defining sets
            (female, for "gender").

    Returns:
        The correlation; NaN (p 1) where all coordinates are 0 but for rounding.

    Raises:
        DataError: Fewer than three words have vectors.
    """
    from scipy import stats

    words = [word for word in ratings if word in vectors]
    if len(words) < 3:
        raise DataError(
            f"{len(words)} of {len(ratings)} rated words have vectors in {vectors.name!r}, "
            "too few for a correlation; check the spelling"
        )
    found = subspace.coordinates(_unit(vectors[words]))[:, 0]
    missing = len(ratings) - len(words)
    if np.abs(found).max() < _TRACE:
        return StereotypeScore(float("nan"), 1.0, len(words), missing)
    result = stats.spearmanr(found, [ratings[word] for word in words])
    return StereotypeScore(float(result.statistic), float(result.pvalue), len(words), missing)


def equidistance_gap(
    vectors: WordVectors, sets: Sequence[Sequence[str]], neutral: Sequence[str]
) -> float:
    """Largest difference of cosines that a neutral word has to members of one set.

    Args:
        vectors: Word vectors.
        sets: Sets whose members should stand alike; words without vectors are left out.
        neutral: Neutral words that have vectors.

    Returns:
        0 where all members of each set are equally near to each neutral word.

    Raises:
        DataError: No set has two words with vectors, or no neutral word is given.
    """
    known = [[word for word in words if word in vectors] for words in sets]
    known = [words for words in known if len(words) > 1]
    if not known or not neutral:
        raise DataError(
            "a set of two words with vectors and a neutral word are needed; "
            f"got {len(known)} such sets and {len(neutral)} words"
        )
    words = _unit(vectors[list(neutral)])
    gaps = [np.ptp(words @ _unit(vectors[members]).T, axis=1).max() for members in known]
    return float(max(gaps))
