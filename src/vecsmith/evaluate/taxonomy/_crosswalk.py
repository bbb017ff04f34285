"""A table that carries one code system over into another, with marks of what to check by hand."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from vecsmith.core import DataError
from vecsmith.train.taxonomy import Text2Node


@dataclass(frozen=True)
class CrosswalkRow:
    """A code and what it was mapped to.

    Attributes:
        code: Of the source.
        title: Its title.
        targets: Concepts, best first; () where no word of the title is known.
        names: Their names.
        scores: Their scores.
        margin: Lead of the first score over the second; infinite where there is one target alone.
        confidence: How likely the first is right; NaN where that was not calibrated.
        review: Whether a person should look at it.
    """

    code: Hashable
    title: str
    targets: tuple[Hashable, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]
    margin: float
    confidence: float
    review: bool


def crosswalk(
    codes: Iterable[tuple[Hashable, str]],
    model: Text2Node,
    *,
    k: int = 3,
    min_confidence: float = 0.5,
    min_margin: float = 0.0,
) -> list[CrosswalkRow]:
    """Map the codes of another system.

    Args:
        codes: (code, title).
        model: A fitted map.
        k: Targets a code.
        min_confidence: Below it a row is to be reviewed; so is one without a confidence.
        min_margin: Below it too.

    Returns:
        One row a code, in their order.

    Raises:
        DataError: A code comes twice, or the model was not given texts.
    """
    rows = list(codes)
    seen: set[Hashable] = set()
    for code, _ in rows:
        if code in seen:
            raise DataError(f"code {code!r} comes twice; give each code once")
        seen.add(code)
    made = []
    found = model.predict([title for _, title in rows], max(k, 2))
    for (code, title), mapped in zip(rows, found, strict=True):
        scores = mapped.scores
        margin = scores[0] - scores[1] if len(scores) > 1 else float("inf")
        sure = mapped.confidence >= min_confidence and margin >= min_margin and bool(mapped.ids)
        cut = (mapped.ids[:k], mapped.names[:k], scores[:k])
        made.append(CrosswalkRow(code, title, *cut, margin, mapped.confidence, not sure))
    return made
