"""Specific words from a seed list: a linear classifier says which other words hold the concept.

Paper: Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word Embeddings
(T. Bolukbasi and others, 2016): 218 words whose dictionary entries hold a gender are the positive
class, the other frequent words the negative; words on the positive side of a linear support vector
machine (C = 1) join the seeds. Its cross-validated F1 (the paper: 0.627) says how far to trust the
list: read it before use. Cost: one linear classifier on (top, dims), and one more a fold.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from vecsmith.core import ConfigError, DataError, require
from vecsmith.encode import WordVectors

from ._subspace import unit_rows


class SpecificWords(NamedTuple):
    """Words that hold the concept, and how well they can be told.

    Attributes:
        words: Seeds first, then what the classifier adds, in the order of the table.
        f1: Mean F1 over the folds, of single seeds that were held out; NaN without folds.
        f1_std: Its standard deviation over the folds.
    """

    words: list[str]
    f1: float
    f1_std: float


def expand_specific(
    vectors: WordVectors,
    seeds: Iterable[str],
    *,
    top: int | None = 50_000,
    folds: int = 10,
    seed: int = 0,
) -> SpecificWords:
    """Find the words that are like the seeds.

    Args:
        vectors: Word vectors, the most frequent words first.
        seeds: Words that hold the concept by definition.
        top: Train on the first so many words, and seeds beyond them; None takes all. Every word of
            the table is then judged.
        folds: Parts of the cross-validation; 0 leaves it out.
        seed: Seed of the folds.

    Returns:
        The words and the F1.

    Raises:
        DataError: Fewer than two seeds have vectors, or all words are seeds.
        ConfigError: A number out of its range.
    """
    if folds < 0 or folds == 1 or (top is not None and top < 2):
        raise ConfigError(f"folds must be 0 or at least 2, top at least 2; got {folds} and {top}")
    svm = require("sklearn.svm", "train")
    known = [word for word in dict.fromkeys(seeds) if word in vectors]
    rows = np.arange(len(vectors) if top is None else min(top, len(vectors)))
    rows = np.union1d(rows, vectors.ids(known)).astype(np.int64)
    labels = np.isin(rows, vectors.ids(known))
    if labels.sum() < max(2, folds) or labels.all():
        raise DataError(
            f"{int(labels.sum())} of {len(rows)} words are seeds with vectors; give at least "
            f"{max(2, folds)} seeds in the spelling of {vectors.name!r}, and other words besides"
        )
    unit = unit_rows(vectors.vectors[rows])

    model = svm.LinearSVC(C=1.0, tol=1e-4, random_state=seed, max_iter=10_000)
    scores = []
    if folds:
        selection = require("sklearn.model_selection", "train")
        splits = selection.StratifiedKFold(folds, shuffle=True, random_state=seed)
        scores = selection.cross_val_score(model, unit, labels, cv=splits, scoring="f1")
    model.fit(unit, labels)
    found = []
    for start in range(0, len(vectors), 1 << 16):
        block = unit_rows(vectors.vectors[start : start + (1 << 16)])
        found += [vectors.words[start + i] for i in np.flatnonzero(model.predict(block))]
    words = list(dict.fromkeys([*known, *found]))
    return SpecificWords(words, *_mean(scores))


def _mean(scores: list[float]) -> tuple[float, float]:
    if not len(scores):
        return float("nan"), float("nan")
    return float(np.mean(scores)), float(np.std(scores))
