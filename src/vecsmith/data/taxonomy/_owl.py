"""Ontologies in OWL's RDF/XML: named classes, labels, synonyms, and subclass links between them.

Only plain statements are read: no restrictions, imports or reasoning. Convert other syntaxes, and
ontologies that need a reasoner, with ROBOT first.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from vecsmith.core import DataError

from ._taxonomy import Taxonomy

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_RDFS = "{http://www.w3.org/2000/01/rdf-schema#}"
_OWL = "{http://www.w3.org/2002/07/owl#}"
_SYNONYMS = ("Synonym", "altLabel", "alternative_term")


def read_owl(path: str | Path) -> Taxonomy:
    """Read an ontology.

    Args:
        path: A file of RDF/XML.

    Returns:
        The classes that have an address and are not deprecated, with rdfs:label as name (the last
        part of the address where there is none); links to others are left out.

    Raises:
        DataError: No such file, another syntax, or no class in it.
    """
    place = Path(path)
    names: dict[str, str] = {}
    synonyms: dict[str, list[str]] = {}
    edges = []
    try:
        for _, node in ElementTree.iterparse(place):
            if node.tag != f"{_OWL}Class" or not (about := node.get(f"{_RDF}about")):
                continue
            if node.findtext(f"{_OWL}deprecated") != "true":
                label = " ".join((node.findtext(f"{_RDFS}label") or "").split())
                # a class may be told of in several places
                if label or about not in names:
                    names[about] = label or _last(about)
                synonyms.setdefault(about, []).extend(_synonyms(node))
                above = (up.get(f"{_RDF}resource") for up in node.findall(f"{_RDFS}subClassOf"))
                edges += [(about, broad) for broad in above if broad and broad != about]
            node.clear()
    except (OSError, ElementTree.ParseError) as error:
        raise DataError(f"{str(place)!r} should be OWL as RDF/XML ({error})") from error
    if not names:
        raise DataError(f"{str(place)!r} holds no owl:Class with an address; give RDF/XML")
    return Taxonomy.from_edges([edge for edge in edges if edge[1] in names], names, synonyms)


def _synonyms(node: ElementTree.Element) -> list[str]:
    return [" ".join((child.text or "").split()) for child in node if child.tag.endswith(_SYNONYMS)]


def _last(address: str) -> str:
    return address.rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]
