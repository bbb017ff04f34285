"""Definitions of WordNet with their lexicographer files: short texts in 45 fields of meaning."""

from typing import TYPE_CHECKING

from vecsmith.core import DataError, require

from ._wordnet_words import CLASSES, _gloss, _lines

if TYPE_CHECKING:
    from datasets import Dataset

# numbers of the database (lexnames), by class
_NAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute "
    "noun.body noun.cognition noun.communication noun.event noun.feeling noun.food noun.group "
    "noun.location noun.motive noun.object noun.person noun.phenomenon noun.plant noun.possession "
    "noun.process noun.quantity noun.relation noun.shape noun.state noun.substance noun.time "
    "verb.body verb.change verb.cognition verb.communication verb.competition verb.consumption "
    "verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession "
    "verb.social verb.stative verb.weather adj.ppl"
)
FIELDS = tuple(_NAMES.split())


def load_wordnet_fields() -> "Dataset":
    """Read the synsets of all classes as labelled short texts.

    Returns:
        A `datasets.Dataset` with the columns ``field`` (lexicographer file: "noun.animal"),
        ``lemmas``, ``definition`` and ``examples`` (quoted uses), in the order of the database.

    Raises:
        DataError: The package cannot be fetched, or is damaged.
    """
    datasets = require("datasets", "train")
    names = ("field", "lemmas", "definition", "examples")
    rows = [read_synset(line) for name in CLASSES for line in _lines(f"data.{name}")]
    columns = zip(*rows, strict=True)
    return datasets.Dataset.from_dict(dict(zip(names, map(list, columns), strict=True)))


def read_synset(line: str) -> tuple[str, list[str], str, list[str]]:
    """Read a line of the database.

    Args:
        line: In the format of ``data.noun``.

    Returns:
        Field, lemmas, definition and examples.

    Raises:
        DataError: The line does not follow the format.
    """
    parts = line.split("|")[0].split()
    try:
        field, words = FIELDS[int(parts[1])], int(parts[3], 16)
        lemmas = [word.replace("_", " ") for word in parts[4 : 4 + 2 * words : 2]]
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{line[:60]!r} is no WordNet synset ({error}); "
            "delete the package's folder in the cache and fetch it again"
        ) from error
    pieces = [piece.strip() for piece in _gloss(line).split("; ")]
    first = next((i for i, piece in enumerate(pieces) if piece.startswith('"')), len(pieces))
    examples = [use for use in "; ".join(pieces[first:]).split('"')[1::2] if use]
    return field, lemmas, "; ".join(pieces[:first]).strip(" ;"), examples
