"""Ontologies in the OBO format (1.2 and 1.4): terms, names, synonyms, is-a and other relations."""

import re
from collections.abc import Collection
from pathlib import Path

from vecsmith.core import DataError

from ._taxonomy import Taxonomy

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def read_obo(path: str | Path, *, relations: Collection[str] = ("is_a",)) -> Taxonomy:
    """Read an ontology.

    Args:
        path: A file of UTF-8.
        relations: "is_a", and names of further relations ("part_of") whose targets count as
            broader concepts too.

    Returns:
        The living terms; links to terms that the file does not hold are left out.

    Raises:
        DataError: No such file, no term in it, or an id that comes twice.
    """
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(place)!r} should be a file of OBO in UTF-8 ({error})") from error
    names: list[tuple[str, str]] = []
    edges, synonyms = [], {}
    for stanza in re.split(r"\r?\n(?=\[)", "\n" + text):
        lines = stanza.splitlines()
        if lines and lines[0].strip() == "[Term]" and "is_obsolete: true" not in lines:
            node, name, also, above = _term(lines[1:], relations)
            names.append((node, name or node))
            synonyms[node] = also
            edges += [(node, broad) for broad in above]
    if not names:
        raise DataError(f"{str(place)!r} holds no [Term]; give an ontology in OBO format")
    known = {node for node, _ in names}
    return Taxonomy.from_edges([edge for edge in edges if edge[1] in known], names, synonyms)


def _term(
    lines: list[str], relations: Collection[str]
) -> tuple[str, str, list[str], dict[str, None]]:
    node, name, also = "", "", []
    above: dict[str, None] = {}
    for line in lines:
        tag, _, value = line.partition(":")
        value = value.strip()
        if tag == "id":
            node = value
        elif tag == "name":
            name = value
        elif tag == "synonym" and (found := _QUOTED.match(value)):
            also.append(re.sub(r"\\(.)", r"\1", found.group(1)).strip())
        elif tag in ("is_a", "relationship"):
            words = re.split(r"\s+[!{]", value)[0].split()
            kind = words[0] if tag == "relationship" and len(words) > 1 else tag
            if words and kind in relations:
                above[words[-1]] = None
    above.pop(node, None)
    return node, name, also, above
