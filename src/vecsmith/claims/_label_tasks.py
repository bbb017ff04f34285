"""Four tasks of short texts with fifteen classes each, from what packages carry."""

import functools
import itertools
from collections import defaultdict
from typing import NamedTuple

from vecsmith.core import numpy_generator

CLASSES = 15
# the parent of the organ systems in the Human Phenotype Ontology
_PHENOTYPE = "HP:0000118"


class LabelledTexts(NamedTuple):
    """Texts with the numbers of their classes.

    Attributes:
        texts: Short texts.
        labels: From 0, as many as texts.
    """

    texts: list[str]
    labels: list[int]


class LabelTask(NamedTuple):
    """One task, its parts apart.

    Attributes:
        train: To fine-tune on.
        validation: For choices.
        test: For the figures.
        router: Texts for the router, from the training texts.
    """

    train: LabelledTexts
    validation: LabelledTexts
    test: LabelledTexts
    router: list[str]


def label_tasks(seed: int, sizes: tuple[int, int, int], router: int) -> dict[str, LabelTask]:
    """Draw the four tasks.

    Args:
        seed: Of the draw.
        sizes: Texts for training, validation and test.
        router: Texts for the router.

    Returns:
        Name -> task: chapter of an ICD-10-CM title, section of a Debian package's summary, organ
        system of a phenotype's name, field of a WordNet definition.
    """
    tasks = {}
    for name, by_class in _sources().items():
        rng = numpy_generator(seed, "label-tasks", name)
        largest = sorted(by_class, key=lambda label: -len(by_class[label]))[:CLASSES]
        total = sum(sizes)
        rows = []
        for number, label in enumerate(sorted(largest)):
            texts = by_class[label]
            share = -(-total // CLASSES)
            drawn = rng.permutation(len(texts))[:share]
            rows += [(texts[place], number) for place in drawn]
        rows = [rows[place] for place in rng.permutation(len(rows))]
        cuts = (0, sizes[1], sizes[1] + sizes[2], total)
        validation, test, train = (
            LabelledTexts([t for t, _ in rows[a:b]], [c for _, c in rows[a:b]])
            for a, b in itertools.pairwise(cuts)
        )
        tasks[name] = LabelTask(train, validation, test, train.texts[:router])
    return tasks


@functools.cache
def _sources() -> dict[str, dict[str, list[str]]]:
    """Task -> class -> texts, each once."""
    from vecsmith.data.samples import load_debian, load_icd10cm, load_wordnet_fields

    icd, debian, wordnet = load_icd10cm(), load_debian(), load_wordnet_fields()
    columns = {
        "icd": (icd["title"], icd["chapter"]),
        "debian": (debian["summary"], debian["section"]),
        "hpo": tuple(zip(*_organs(), strict=True)),
        "wordnet": (wordnet["definition"], wordnet["field"]),
    }
    found: dict[str, dict[str, list[str]]] = {}
    for name, (texts, labels) in columns.items():
        by_class: dict[str, list[str]] = defaultdict(list)
        for text, label in dict(zip(texts, labels, strict=True)).items():
            by_class[label].append(text)
        found[name] = by_class
    return found


def _organs() -> list[tuple[str, str]]:
    """Names of phenotypes that belong to one organ system only."""
    from vecsmith.data.samples import load_hpo

    rows = {row["id"]: row for row in load_hpo()}
    found: dict[str, frozenset[str]] = {}

    def systems(term: str) -> frozenset[str]:
        if term not in found:
            parents = rows[term]["parents"]
            own = {term} if _PHENOTYPE in parents else set()
            found[term] = frozenset(own).union(*(systems(p) for p in parents if p in rows))
        return found[term]

    return [
        (row["name"], next(iter(systems(term))))
        for term, row in rows.items()
        if len(systems(term)) == 1
    ]
