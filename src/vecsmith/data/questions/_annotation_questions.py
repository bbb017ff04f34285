"""Yes, no or maybe: is a sign seen in a disease? From how often it was counted there.

"Yes" where most patients have it, "maybe" where few have, and "no" where it is not annotated though
a sign of the same branch is. What lies between is left out.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vecsmith.core import ConfigError, DataError

from ._reading_question import ReadingQuestion

ANSWERS = ("no", "maybe", "yes")
Annotation = tuple[str, str, float | None]


def annotation_questions(
    annotations: Iterable[Annotation],
    names: Mapping[str, str],
    branches: Mapping[str, frozenset[str]],
    *,
    known: Iterable[tuple[str, str]] = (),
    definitions: Mapping[str, str] | None = None,
    often: float = 0.8,
    seldom: float = 0.3,
    size: int = 1000,
    rng: np.random.Generator,
) -> list[ReadingQuestion]:
    """Draw as many questions of each answer as of the others.

    Args:
        annotations: Disease, sign, and the part of the patients that have it.
        names: Disease or sign to its name.
        branches: Sign to the branches of the ontology that it lies in.
        known: Further annotated pairs, which are no "no".
        definitions: Sign to a text that is read with the question; without one it is read alone.
        often: A sign seen in at least this part is a "yes".
        seldom: One seen in less than this part is a "maybe".
        size: How many questions; fewer where the annotations give no more.
        rng: Source of randomness.

    Returns:
        Questions, shuffled; their facts are (disease, sign).

    Raises:
        ConfigError: Parts out of order.
        DataError: An answer has no question.
    """
    if not 0 < seldom <= often <= 1:
        raise ConfigError(f"need 0 < seldom <= often <= 1; got {seldom!r} and {often!r}")
    rows = [row for row in annotations if row[0] in names and row[1] in names]
    pairs = {(disease, sign) for disease, sign, _ in rows}
    siblings = _by_branch(sorted({sign for _, sign in pairs}), branches)
    pairs |= set(known)
    drawn: dict[str, list[tuple[str, str]]] = {answer: [] for answer in ANSWERS}
    for disease, sign, part in _distinct(rows, rng):
        if part is not None and part >= often:
            drawn["yes"].append((disease, sign))
        elif part is not None and 0 < part < seldom:
            drawn["maybe"].append((disease, sign))
    asked: dict[tuple[str, str], None] = {}
    for place in rng.permutation(len(rows)):
        disease, sign, _ = rows[place]
        others = siblings.get(min(branches.get(sign, ()), default=""), [])
        pair = disease, others[int(rng.integers(len(others)))] if others else sign
        if pair not in pairs:
            asked[pair] = None
    drawn["no"] = list(asked)
    count = min(size // len(ANSWERS), *(len(found) for found in drawn.values()))
    if count < 1:
        raise DataError(
            f"each answer needs a question; got { ({a: len(f) for a, f in drawn.items()}) }: give "
            "more annotations, or other values of often and seldom"
        )
    texts = definitions or {}
    found = [
        ReadingQuestion(
            question=f"Is {names[sign]} seen in {names[disease]}?",
            context=texts.get(sign) or (names[sign] if definitions is not None else None),
            label=answer,
            facts=(disease, sign),
        )
        for answer, chosen in drawn.items()
        for disease, sign in chosen[:count]
    ]
    return [found[i] for i in rng.permutation(len(found))]


def _distinct(rows: Sequence[Annotation], rng: np.random.Generator) -> list[Annotation]:
    """Shuffle, one row a pair: the mean of what several sources counted."""
    parts: dict[tuple[str, str], list[float]] = {}
    for disease, sign, part in rows:
        parts.setdefault((disease, sign), [])
        if part is not None:
            parts[disease, sign].append(part)
    pairs = list(parts)
    return [
        (*pairs[i], float(np.mean(parts[pairs[i]])) if parts[pairs[i]] else None)
        for i in rng.permutation(len(pairs))
    ]


def _by_branch(
    signs: Sequence[str], branches: Mapping[str, frozenset[str]]
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for sign in signs:
        for branch in branches.get(sign, ()):
            found.setdefault(branch, []).append(sign)
    return found
