"""Where the token of an entity stands in a question.

bertram  ... mention / [entity] ...                                (N. Poerner and others, 2020)
dekcor   [CLS] question [SEP] [entity] ... [SEP] context [SEP]     (Y. Xu and others, 2021)
replace  ... [entity] ...
plain    the question as it is: the baseline
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

Offset = tuple[int, int]


class Piece(NamedTuple):
    """A token of the question.

    Attributes:
        id: In the vocabulary.
        offset: Where it stands in the question; of an entity's token, its mention.
        entity: It is an entity's, or a mark that stands by one.
    """

    id: int
    offset: Offset
    entity: bool = False


class Mention(NamedTuple):
    """An entity in the tokens of a question.

    Attributes:
        first: First token of the mention.
        last: Its last token.
        id: The entity's token.
        offset: The mention in the question.
    """

    first: int
    last: int
    id: int
    offset: Offset


Split = tuple[list[Piece], list[Piece]]


def _bertram(pieces: Sequence[Piece], mentions: Sequence[Mention], slash: Sequence[int]) -> Split:
    after = {mention.last: mention for mention in mentions}
    found: list[Piece] = []
    for place, piece in enumerate(pieces):
        found.append(piece)
        if place in after:
            mention = after[place]
            border = [Piece(i, mention.offset, True) for i in slash]
            found += [*border, Piece(mention.id, mention.offset, True), *border]
    return found, []


def _dekcor(pieces: Sequence[Piece], mentions: Sequence[Mention], slash: Sequence[int]) -> Split:
    del slash
    own = {mention.id: Piece(mention.id, mention.offset, True) for mention in reversed(mentions)}
    return list(pieces), [own[i] for i in dict.fromkeys(mention.id for mention in mentions)]


def _replace(pieces: Sequence[Piece], mentions: Sequence[Mention], slash: Sequence[int]) -> Split:
    del slash
    found: list[Piece] = []
    place = 0
    for mention in mentions:
        found += pieces[place : mention.first]
        found.append(Piece(mention.id, mention.offset, True))
        place = mention.last + 1
    return [*found, *pieces[place:]], []


def _plain(pieces: Sequence[Piece], mentions: Sequence[Mention], slash: Sequence[int]) -> Split:
    del mentions, slash
    return list(pieces), []


# pieces, mentions from left to right and the slash's tokens -> question, entities appended to it
LAYOUTS: dict[str, Callable[[Sequence[Piece], Sequence[Mention], Sequence[int]], Split]] = {
    "bertram": _bertram,
    "dekcor": _dekcor,
    "plain": _plain,
    "replace": _replace,
}
