"""Taxonomies that packages carry: ICD-10-CM, the Human Phenotype Ontology, WordNet's nouns."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Collection

from vecsmith.core import DataError

from ._taxonomy import Taxonomy

CHAPTERS = tuple(str(number) for number in range(1, 23))


def icd10cm(chapters: Collection[str] | None = None) -> Taxonomy:
    """Load ICD-10-CM: root, chapters, blocks ("E08-E13") and codes; inclusion terms are synonyms.

    Args:
        chapters: Numbers of chapters, of "1" to "22"; None takes all, 47,000 codes.

    Returns:
        The taxonomy; its root has the id "ICD-10-CM", chapters "chapter 4".

    Raises:
        DataError: An unknown chapter, or the package cannot be fetched.
    """
    from vecsmith.data.samples import fetch
    from vecsmith.data.samples._icd10cm import _codes

    wanted = list(CHAPTERS if chapters is None else chapters)
    if not wanted or isinstance(chapters, str) or not set(wanted) <= set(CHAPTERS):
        raise DataError(f"chapters must be a list of numbers as text, '1' to '22'; got {chapters}")
    paths = sorted((fetch("icd10cm") / "simple_icd_10_cm" / "data").glob("*tabular*.xml"))
    if not paths:
        raise DataError("the package simple-icd-10-cm holds no tabular list; fetch it again")
    names, edges, over = {"ICD-10-CM": "Diseases"}, [], {}
    for chapter in ElementTree.parse(paths[-1]).getroot().iter("chapter"):
        number = (chapter.findtext("name") or "").strip()
        if number not in wanted:
            continue
        top = f"chapter {number}"
        names[top] = " ".join((chapter.findtext("desc") or top).split())
        edges.append((top, "ICD-10-CM"))
        for section in chapter.findall("section"):
            block = section.get("id", "")
            codes = [node.findtext("name") or "" for node in section.findall("diag")]
            # a block of one category has the name of that category
            if not codes or block == codes[0].strip():
                over.update({code.strip(): top for code in codes})
                continue
            names[block] = " ".join((section.findtext("desc") or block).split())
            edges.append((block, top))
            over.update({code.strip(): block for code in codes})
    synonyms = {}
    for row in _codes(paths[-1]):
        if row["chapter"] in wanted:
            names[row["code"]] = row["title"]
            synonyms[row["code"]] = row["synonyms"]
            edges.append((row["code"], row["parent"] or over[row["code"]]))
    return Taxonomy.from_edges(edges, names, synonyms)


def hpo(*, related: bool = True) -> Taxonomy:
    """Load the Human Phenotype Ontology.

    Args:
        related: Take broad, narrow and related synonyms too, not the exact ones alone.

    Returns:
        The taxonomy, 19,000 terms.

    Raises:
        DataError: The package cannot be fetched, or holds no ontology.
    """
    from vecsmith.data.samples import load_hpo

    rows = list(load_hpo())
    return Taxonomy.from_edges(
        [(row["id"], parent) for row in rows for parent in row["parents"]],
        {row["id"]: row["name"] for row in rows},
        {row["id"]: row["exact"] + (row["related"] if related else []) for row in rows},
    )


def wordnet() -> Taxonomy:
    """Load WordNet's nouns: the first lemma names a synset, the others are synonyms.

    Returns:
        The taxonomy, 82,000 synsets.

    Raises:
        DataError: The package cannot be fetched, or holds no database.
    """
    from vecsmith.data.samples import load_wordnet

    rows = list(load_wordnet())
    return Taxonomy.from_edges(
        [(row["id"], above) for row in rows for above in row["hypernyms"]],
        {row["id"]: row["lemmas"][0] for row in rows},
        {row["id"]: row["lemmas"][1:] for row in rows},
    )
