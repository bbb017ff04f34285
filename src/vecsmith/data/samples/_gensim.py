"""Human judgements of similarity of documents that the gensim package carries (Lee)."""

from pathlib import Path
from typing import TYPE_CHECKING

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset


def _file(name: str) -> Path:
    paths = sorted(fetch("gensim").rglob(f"test_data/{name}"))
    if not paths:
        raise DataError(
            f"the package gensim should hold a file {name} but has none; "
            "delete its folder in the cache and fetch it again"
        )
    return paths[0]


def load_lee() -> "Dataset":
    """Load the Lee corpus: pairs of 50 news texts with human similarity (M. Lee and others, 2005).

    Returns:
        Columns text_a, text_b and score (mean judgement in [0, 1]): the 1,225 distinct pairs.
    """
    datasets = require("datasets", "train")
    texts = _file("lee.cor").read_text(encoding="latin-1").strip().splitlines()
    table = [
        [float(value) for value in line.split()]
        for line in _file("similarities0-1.txt").read_text(encoding="utf-8").strip().splitlines()
    ]
    places = [(i, j) for i in range(len(texts)) for j in range(i + 1, len(texts))]
    return datasets.Dataset.from_dict(
        {
            "text_a": [texts[i] for i, _ in places],
            "text_b": [texts[j] for _, j in places],
            "score": [(table[i][j] + table[j][i]) / 2 for i, j in places],
        }
    )


def load_lee_background() -> list[str]:
    """Load 300 news texts of the time and kind of the Lee corpus, without judgements.

    Returns:
        The texts; none of `load_lee` is among them.
    """
    return _file("lee_background.cor").read_text(encoding="latin-1").strip().splitlines()
