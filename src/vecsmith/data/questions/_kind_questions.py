"""Which of the listed terms is a kind of another? Answered by a span of the list."""

from collections.abc import Mapping, Sequence

import numpy as np

from vecsmith.core import DataError

from ._reading_question import ReadingQuestion


def kind_questions(
    terms: Sequence[str],
    names: Mapping[str, str],
    ancestors: Mapping[str, frozenset[str]],
    *,
    asked: Mapping[str, Sequence[str]],
    definitions: Mapping[str, str],
    listed: int = 5,
    words: int | None = None,
    rng: np.random.Generator,
) -> list[ReadingQuestion]:
    """Make one question a term: its name is the answer, among others that are of other kinds.

    Args:
        terms: Terms that are answers; the others of a list are drawn from them too.
        names: Term to its name.
        ancestors: Term to all that it is a kind of, itself not among them.
        asked: Term to the ancestors that may be asked for; a term without any is left out.
        definitions: Term to its definition; "" for none.
        listed: Terms in a list.
        words: Words of a definition that are listed; None for all.
        rng: Source of randomness.

    Returns:
        Questions; their facts are (answer, ancestor).

    Raises:
        DataError: No term has enough others that are no kind of what is asked.
    """
    found = []
    for term in terms:
        kinds = asked.get(term, ())
        if not kinds:
            continue
        kind = kinds[int(rng.integers(len(kinds)))]
        others = _others(term, kind, terms, ancestors, listed - 1, rng)
        if len(others) < listed - 1:
            continue
        rows = [term, *others]
        order = rng.permutation(listed)
        context, start = "", 0
        for place in order:
            if place == 0:
                start = len(context)
            meaning = " ".join(definitions.get(rows[place], "").split()[:words])
            context += (
                f"{names[rows[place]]}: {meaning}. " if meaning else f"{names[rows[place]]}. "
            )
        found.append(
            ReadingQuestion(
                question=f"Which listed sign is a kind of {names[kind]}?",
                context=context.strip(),
                answers=(names[term],),
                start=start,
                facts=(term, kind),
            )
        )
    if not found:
        raise DataError(
            f"no question could be made of {len(terms)} terms: each needs an ancestor to ask for "
            f"and {listed - 1} others that are not its kinds; give more terms, or list fewer"
        )
    return found


def _others(
    term: str,
    kind: str,
    terms: Sequence[str],
    ancestors: Mapping[str, frozenset[str]],
    wanted: int,
    rng: np.random.Generator,
) -> list[str]:
    """Draw terms that are neither of the kind nor the kind itself; fewer where there are none."""
    found: dict[str, None] = {}
    for _ in range(20 * (wanted + 1)):
        other = terms[int(rng.integers(len(terms)))]
        if other not in (kind, term) and kind not in ancestors[other]:
            found[other] = None
        if len(found) == wanted:
            break
    return list(found)
