"""Hard debiasing: neutral words lose the bias subspace, members of a set stand alike to the rest.

Paper: Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word Embeddings
(T. Bolukbasi and others, 2016). Over unit vectors w, with w_B the part in the subspace B:

    neutralise, for all but the specific words    w <- (w - w_B) / |w - w_B|
    equalise, for each set E with mean mu         nu = mu - mu_B,
                                                  s_w = (w_B - mu_B) / |w_B - mu_B|
                                                  w <- nu + sqrt(1 - |nu|^2) s_w

Afterwards a neutral word has no part in B, and the same cosine to all members of a set. Members of
equalised and of defining sets are never neutralised: they would have no side left to stand on.

Use when words that should be neutral are known, or those that should not. Avoid it as a proof of
fairness: neutral words keep the company of those that were biased with them, and a classifier finds
their old side again (H. Gonen and Y. Goldberg, 2019; `vecsmith.evaluate.residual_bias`). Cost: one
product of the table with k directions.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, StoreError, shown
from vecsmith.encode import WordVectors

from ._files import read_state, write_state
from ._subspace import BiasSubspace, Doubles, Sets, unit_rows

logger = logging.getLogger(__name__)

KIND = "hard-debias"
LENGTHS = ("unit", "keep")
_ROWS = 1 << 14
# parts in the subspace closer than this cannot be told apart
_SAME = 1e-7


def neutralize(vectors: Doubles, subspace: BiasSubspace) -> Doubles:
    """Take the subspace out of unit vectors.

    Args:
        vectors: Unit vectors, shape (words, dims).
        subspace: What to take out.

    Returns:
        Unit vectors orthogonal to it, shape (words, dims); a vector that lies wholly in the
        subspace becomes zero.
    """
    rest = subspace.remove(vectors)
    lengths = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.where(lengths > _SAME, rest / np.where(lengths > _SAME, lengths, 1), 0)


def equalize(vectors: Doubles, subspace: BiasSubspace) -> Doubles | None:
    """Let the members of one set differ in the subspace alone.

    Args:
        vectors: Unit vectors of the members, shape (members, dims).
        subspace: Where they may differ.

    Returns:
        Unit vectors, shape (members, dims); None where a member has no side of its own.
    """
    inside = vectors - subspace.remove(vectors)
    mean = subspace.remove(vectors.mean(0))
    side = inside - inside.mean(0)
    lengths = np.linalg.norm(side, axis=1, keepdims=True)
    if (lengths < _SAME).any():
        return None
    height = np.sqrt(max(0.0, 1 - float(mean @ mean)))
    return mean + height * side / lengths


def spelling_variants(sets: Iterable[Sequence[str]], known: WordVectors) -> Sets:
    """Add each set in lower, Title and UPPER case.

    Args:
        sets: Sets of words.
        known: Word vectors; words without one are left out of their set.

    Returns:
        Sets of at least two words, no word in two sets. A set as given comes before variants of
        another.
    """
    given = [tuple(words) for words in sets]
    cases = (str.lower, str.title, str.upper)
    made = [tuple(map(case, words)) for words in given for case in cases]
    used: set[str] = set()
    found = []
    for words in dict.fromkeys([*given, *made]):
        here = tuple(word for word in dict.fromkeys(words) if word in known)
        if len(here) > 1 and not used & set(here):
            used |= set(here)
            found.append(here)
    return tuple(found)


class HardDebias:
    """Neutralise and equalise a table of word vectors.

    Args:
        subspace: From the same vectors.
        specific: Words that keep their part in the subspace: "gender" for the authors' list, or
            words (see `expand_specific`).
        equalize: Sets that must stand alike to all neutral words: "gender" for the authors' pairs,
            or sets; also tried in lower, Title and UPPER case.
        lengths: "unit", or "keep" to give each vector its old length back (the members of a set
            their mean length), for tables that a network reads.

    Attributes:
        equalized_: Sets that the last table had.
        neutral_: How many words the last table lost a part of.

    Raises:
        ConfigError: An argument is of another kind, or a word is in two sets.
    """

    def __init__(
        self,
        subspace: BiasSubspace,
        *,
        specific: str | Iterable[str] = "gender",
        equalize: str | Iterable[Sequence[str]] = "gender",
        lengths: str = "unit",
    ) -> None:
        if lengths not in LENGTHS:
            raise ConfigError(f"lengths must be one of {LENGTHS}; got {lengths!r}")
        self.subspace, self.lengths = subspace, lengths
        self.specific: frozenset[str] = frozenset(_named("specific", specific))
        self.equalize: Sets = tuple(tuple(words) for words in _named("equalize", equalize))
        _check_sets(self.equalize)
        self.equalized_: Sets = ()
        self.neutral_ = 0

    def kept(self, vectors: WordVectors) -> set[str]:
        """List the words that are not neutralised.

        Args:
            vectors: Word vectors.

        Returns:
            Specific words and members of equalised and of defining sets, as far as they have
            vectors.
        """
        members = {w for s in spelling_variants(self.equalize, vectors) for w in s}
        return {w for w in self.specific | members | self.subspace.words if w in vectors}

    def transform(self, vectors: WordVectors) -> WordVectors:
        """Debias a table.

        Args:
            vectors: Word vectors of the subspace's dimensions.

        Returns:
            New word vectors; the old ones stay as they are.

        Raises:
            DataError: Other dimensions, or a neutral word that is nothing but bias.
        """
        sets = spelling_variants(self.equalize, vectors)
        neutral = np.ones(len(vectors), bool)
        neutral[vectors.ids(self.kept(vectors))] = False
        made = np.empty_like(vectors.vectors)
        for start in range(0, len(vectors), _ROWS):
            part = slice(start, start + _ROWS)
            made[part] = self._neutral_part(vectors, part, neutral[part])
        skipped = []
        for words in sets:
            rows = vectors.ids(words)
            members = equalize(unit_rows(vectors.vectors[rows]), self.subspace)
            if members is None:
                skipped.append(words)
                continue
            length = np.linalg.norm(vectors.vectors[rows], axis=1).mean()
            made[rows] = members * (length if self.lengths == "keep" else 1.0)
        if skipped:
            logger.warning(
                "%d sets, %s first, are left as they were: two of their members, or a member and "
                "the mean, do not differ along the subspace",
                len(skipped),
                skipped[0],
            )
        self.equalized_ = tuple(words for words in sets if words not in skipped)
        self.neutral_ = int(neutral.sum())
        step = f"hard-debias:{self.subspace.name}:{len(self.subspace.basis)}"
        return vectors.with_vectors(made, step=step)

    def fit_transform(self, vectors: WordVectors) -> WordVectors:
        """Debias a table; the same as `transform`, under the name that scikit-learn gives it.

        Args:
            vectors: Word vectors of the subspace's dimensions.

        Returns:
            New word vectors.
        """
        return self.transform(vectors)

    def _neutral_part(
        self, vectors: WordVectors, part: slice, neutral: NDArray[np.bool_]
    ) -> Doubles:
        rows = vectors.vectors[part]
        unit = unit_rows(rows)
        made = np.where(neutral[:, None], neutralize(unit, self.subspace), unit)
        lost = neutral & (rows != 0).any(1) & (made == 0).all(1)
        if lost.any():
            word = vectors.words[part.start + int(np.flatnonzero(lost)[0])]
            raise DataError(
                f"nothing of {shown(word)!r} is left without the subspace; "
                "add it to specific= so that it is not neutralised"
            )
        if self.lengths == "keep":
            made *= np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        return made

    def save(self, folder: str | Path) -> None:
        """Save subspace and lists.

        Args:
            folder: Where to.

        Raises:
            StoreError: The place cannot be written.
        """
        values = {
            "subspace": self.subspace.to_dict(),
            "specific": sorted(self.specific),
            "equalize": self.equalize,
            "lengths": self.lengths,
        }
        arrays = {"basis": self.subspace.basis, "explained": self.subspace.explained}
        write_state(Path(folder), KIND, values, arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "HardDebias":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The same method.

        Raises:
            StoreError: Missing or damaged.
        """
        values, arrays = read_state(Path(folder), KIND)
        try:
            return cls(
                BiasSubspace.from_dict(values["subspace"], arrays),
                specific=values["specific"],
                equalize=values["equalize"],
                lengths=values["lengths"],
            )
        except KeyError as error:
            raise StoreError(
                f"{str(folder)!r} lacks the part {error}; save the method again"
            ) from error


def _named(what: str, value: str | Iterable[str] | Iterable[Sequence[str]]) -> list:  # type: ignore[type-arg]
    if not isinstance(value, str):
        return list(value)
    if value != "gender":
        raise ConfigError(f"{what} must be 'gender' or a list; got {value!r}")
    from vecsmith.data.samples import load_gender_lists

    lists = load_gender_lists()
    return list(lists.specific if what == "specific" else lists.equalize_pairs)


def _check_sets(sets: Sets) -> None:
    seen: set[str] = set()
    for words in sets:
        if len(set(words)) < 2:
            raise ConfigError(f"a set to equalise must hold two words at least; got {words}")
        for word in set(words):
            if word in seen:
                raise ConfigError(
                    f"{shown(word)!r} is in two sets to equalise, and cannot stand alike in both; "
                    "join the sets or leave it out of one"
                )
            seen.add(word)
