"""Human judgements of similarity that the gensim package carries: Lee's documents, word pairs."""

from pathlib import Path
from typing import TYPE_CHECKING

from vecsmith.core import DataError, did_you_mean, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

_WORDS = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}


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


def load_word_similarity(name: str) -> "Dataset":
    """Load pairs of words with human similarity.

    Args:
        name: "wordsim353" (L. Finkelstein and others, 2002; relatedness) or "simlex999" (F. Hill
            and others, 2015; similarity).

    Returns:
        Columns text_a, text_b and score (0 to 10).

    Raises:
        DataError: Unknown name.
    """
    if name not in _WORDS:
        raise DataError(f"no word similarity data is called {name!r}; {did_you_mean(name, _WORDS)}")
    datasets = require("datasets", "train")
    rows: list[tuple[str, str, float]] = []
    for line in _file(_WORDS[name]).read_text(encoding="utf-8").splitlines():
        parts = line.split()
        try:
            rows.append((parts[0], parts[1], float(parts[2])))
        except (IndexError, ValueError):
            # a comment, or the heading
            continue
    return datasets.Dataset.from_dict(
        {key: [row[i] for row in rows] for i, key in enumerate(("text_a", "text_b", "score"))}
    )
