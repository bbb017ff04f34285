"""Overlap of training texts with evaluation texts, exact and near.

Equal texts are found by hash (letter case, punctuation and white space aside), near ones by MinHash
over word 3-grams (A. Broder, 1997), each candidate checked by its true Jaccard similarity. A text
of fewer than three words can only be found as equal. Scores on an evaluation set that was trained
on say nothing; the check names the set, the number and examples. Cost: about 20,000 texts a minute
and core.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vecsmith.core import require

NEAR = 0.8
_WORDS = re.compile(r"\w+")
_WIDTH = 3
_PERMUTATIONS = 64


@dataclass(frozen=True)
class Overlap:
    """Overlap of the training texts with one evaluation set.

    Attributes:
        evaluation: Name of the set.
        texts: Distinct texts of the set.
        exact: How many of them were trained on as they are.
        near: How many besides have a training text of Jaccard similarity `NEAR` or more.
        examples: Evaluation text and training text, a few.
    """

    evaluation: str
    texts: int
    exact: int
    near: int
    examples: tuple[tuple[str, str], ...]

    @property
    def share(self) -> float:
        """Share of the set's texts that are contaminated."""
        return (self.exact + self.near) / self.texts if self.texts else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "share": self.share}


def normal_words(text: str) -> tuple[str, ...]:
    """Cut a text into words, letter case and punctuation aside.

    Args:
        text: Any text.

    Returns:
        Its words.
    """
    return tuple(_WORDS.findall(text.casefold()))


def shingles(words: Sequence[str]) -> frozenset[str]:
    """List the 3-grams of words.

    Args:
        words: Words of a text.

    Returns:
        3-grams; empty for fewer than three words.
    """
    return frozenset(" ".join(words[i : i + _WIDTH]) for i in range(len(words) - _WIDTH + 1))


def find_overlaps(
    training: Iterable[str],
    evaluations: Mapping[str, Iterable[str]],
    *,
    near: float = NEAR,
    examples: int = 3,
) -> list[Overlap]:
    """Compare training texts with evaluation sets.

    Args:
        training: Texts that will be trained on, of all columns.
        evaluations: Name -> texts of the evaluation set.
        near: Jaccard similarity from which on a text counts as near.
        examples: Examples a set.

    Returns:
        One overlap a set, in the order given.
    """
    known: dict[tuple[str, ...], str] = {}
    for text in training:
        known.setdefault(normal_words(text), text)
    known.pop((), None)
    lookup = _near_lookup(known, near)
    return [
        _overlap(name, list(dict.fromkeys(texts)), known, lookup, examples)
        for name, texts in evaluations.items()
    ]


def _near_lookup(
    known: Mapping[tuple[str, ...], str], near: float
) -> Callable[[frozenset[str]], str | None]:
    minhash = require("datasketch", "train")
    index = minhash.MinHashLSH(threshold=near, num_perm=_PERMUTATIONS)
    grams: dict[int, frozenset[str]] = {}
    texts: dict[int, str] = {}
    for place, (words, text) in enumerate(known.items()):
        if found := shingles(words):
            grams[place], texts[place] = found, text
            index.insert(place, _sketch(minhash, found))

    def lookup(wanted: frozenset[str]) -> str | None:
        if not wanted:
            return None
        for place in sorted(index.query(_sketch(minhash, wanted))):
            both = len(wanted & grams[place])
            if both / (len(wanted) + len(grams[place]) - both) >= near:
                return texts[place]
        return None

    return lookup


def _sketch(minhash: Any, grams: frozenset[str]) -> Any:
    sketch = minhash.MinHash(num_perm=_PERMUTATIONS, seed=1)
    sketch.update_batch([gram.encode() for gram in sorted(grams)])
    return sketch


def _overlap(
    name: str,
    texts: Sequence[str],
    known: Mapping[tuple[str, ...], str],
    lookup: Callable[[frozenset[str]], str | None],
    most: int,
) -> Overlap:
    exact, near = 0, 0
    pairs: list[tuple[str, str]] = []
    for text in texts:
        words = normal_words(text)
        found = known.get(words)
        if found is not None:
            exact += 1
        elif (found := lookup(shingles(words))) is not None:
            near += 1
        if found is not None and len(pairs) < most:
            pairs.append((text, found))
    return Overlap(name, len(texts), exact, near, tuple(pairs))
