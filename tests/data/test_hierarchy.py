"""Distances against a plain breadth-first search; batches hold near pairs and no held-out term."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, numpy_generator
from vecsmith.data import UNKNOWN, Hierarchy, concept_distances, sample_batch, synonym_batch

EDGES = [
    ("dog", "animal"),
    ("cat", "animal"),
    ("poodle", "dog"),
    ("beagle", "dog"),
    ("siamese", "cat"),
    ("robot dog", "dog"),
    ("robot dog", "machine"),
    ("lathe", "machine"),
    ("animal", "thing"),
    ("machine", "thing"),
]
WORDS = sorted({word for link in EDGES for word in link} - {"thing"})


@pytest.fixture
def zoo():
    more = {"dog": ["hound", "Dog"], "cat": ["feline", "puss"], "lathe": ["turning machine"]}
    return Hierarchy.from_edges(EDGES, {word: word for word in WORDS}, more)


def by_search(parents, start, *, up_only=False):
    """Steps from a term to all that can be reached, one at a time."""
    steps, queue = {start: 0}, [start]
    while queue:
        term = queue.pop(0)
        near = list(parents[term])
        if not up_only:
            near += [child for child, row in enumerate(parents) if term in row]
        for other in near:
            if other not in steps:
                steps[other] = steps[term] + 1
                queue.append(other)
    return steps


def naive(hierarchy, via, cap):
    count = len(hierarchy)
    reach = [by_search(hierarchy.parents, t, up_only=via == "ancestor") for t in range(count)]
    found = np.full((count, count), cap)
    for a in range(count):
        for b in range(count):
            if via == "path":
                steps = reach[a].get(b, cap)
            else:
                both = [reach[a][t] + reach[b][t] for t in reach[a] if t in reach[b]]
                steps = min(both, default=cap)
            found[a, b] = min(steps, cap)
    return found


@given(st.data(), st.integers(2, 14), st.integers(1, 7), st.sampled_from(["path", "ancestor"]))
def test_distances_are_those_of_a_search(data, count, cap, via):
    # parents have smaller numbers: no cycles
    parents = [
        sorted(data.draw(st.sets(st.integers(0, term - 1), max_size=2))) if term else []
        for term in range(count)
    ]
    names = [[f"n{term}"] for term in range(count)]
    graph = Hierarchy([str(term) for term in range(count)], names, parents)
    every = np.arange(count)
    expected = naive(graph, via, cap)
    assert (graph.distances(every, cap=cap, via=via) == expected).all()
    rows, columns = every[: count // 2 + 1], np.array([count - 1, 0, 0])
    found = graph.distances(rows, columns, cap=cap, via=via)
    assert (found == expected[np.ix_(rows, columns)]).all()


def test_known_distances(zoo):
    assert zoo.distance("dog", "dog") == 0
    assert zoo.distance("dog", "animal") == 1 == zoo.distance("animal", "dog")
    assert zoo.distance("poodle", "beagle") == 2 == zoo.distance("poodle", "animal")
    # down to the robot dog and up again is shorter than through the root
    assert zoo.distance("dog", "machine") == 2
    assert zoo.distance("dog", "machine", via="ancestor") == 3
    assert zoo.distance("siamese", "lathe") == 5 and zoo.distance("siamese", "lathe", cap=3) == 3


def test_names_are_distinct_and_unnamed_terms_are_never_drawn(zoo):
    assert zoo.names[zoo.number["dog"]] == ("dog", "hound")
    assert zoo.number["thing"] not in zoo.drawn and len(zoo.drawn) == len(WORDS)


def test_held_out_terms_and_those_that_share_their_names_are_not_drawn():
    edges = [("a", "root"), ("b", "root"), ("c", "root"), ("d", "a")]
    names = {"root": "all", "a": "stroke", "b": "Insult", "c": "fever", "d": "mild stroke"}
    whole = Hierarchy.from_edges(edges, names, {"a": ["insult"]})
    kept = whole.without(np.array([whole.number["a"]]))
    assert sorted(kept.ids[t] for t in kept.drawn) == ["c", "d", "root"]
    # a path through a held-out term still counts
    assert kept.distance("d", "root") == 2
    rng = numpy_generator(0, "batch")
    drawn = {t for _ in range(20) for t in sample_batch(kept, 3, rng).terms.tolist()}
    assert drawn == set(kept.drawn.tolist())


def test_batches_hold_relatives(zoo):
    rng = numpy_generator(1, "batch")
    batch = sample_batch(zoo, 6, rng, hops=1, relatives=1)
    assert len(batch.texts) == 6 == len({text.casefold() for text in batch.texts})
    for text, term in zip(batch.texts, batch.terms, strict=True):
        assert text in zoo.names[term]
    # a line of 300 terms: at random, two of a batch would hardly ever be neighbours
    line = Hierarchy(
        [str(i) for i in range(300)],
        [[f"n{i}"] for i in range(300)],
        [[i - 1] if i else [] for i in range(300)],
    )
    near = line.distances(sample_batch(line, 16, rng, hops=1, relatives=1).terms, cap=3)
    far = line.distances(sample_batch(line, 16, rng, relatives=0).terms, cap=3)
    assert (near == 1).sum() >= 12 > (far == 1).sum()


def test_the_same_seed_draws_the_same(zoo):
    first, again = (sample_batch(zoo, 6, numpy_generator(5, "batch")) for _ in range(2))
    assert first.texts == again.texts and (first.terms == again.terms).all()


def test_synonym_batches_hold_two_names_each(zoo):
    batch = synonym_batch(zoo, 4, numpy_generator(0, "batch"))
    assert sorted(np.unique(batch.terms, return_counts=True)[1]) == [2, 2]
    with pytest.raises(DataError, match="3 terms have any"):
        synonym_batch(zoo, 8, numpy_generator(0, "batch"))


def test_terms_of_different_hierarchies_have_unknown_distance(zoo):
    concepts = np.array([[0, 0], [1, 0], [0, 0], [1, 1]])
    found = concept_distances([zoo, zoo], concepts, cap=4)
    same = zoo.distances(np.arange(2), cap=4)
    assert found[0, 2] == 0 and found[1, 3] == same[0, 1]
    assert (found[[0, 0, 2, 2], [1, 3, 1, 3]] == UNKNOWN).all()
    assert concept_distances([zoo, zoo], concepts, cap=4, between=4)[0, 1] == 4


def test_subtrees_are_held_out_whole():
    # 30 branches of 20 terms below one root
    parents = [[]] + [[0]] * 30 + [[1 + i // 19] for i in range(570)]
    forest = Hierarchy([str(i) for i in range(601)], [[f"n{i}"] for i in range(601)], parents)
    held = forest.hold_out(0.2, subtrees=True)
    branches = {t for t in held if t <= 30}
    assert len(held) == 20 * len(branches) and 100 <= len(held) <= 140
    assert (held == forest.hold_out(0.2, subtrees=True)).all()
    assert len(forest.hold_out(0.2)) == 120


def test_bad_input(zoo):
    with pytest.raises(DataError, match=r"did you mean .poodle"):
        zoo.distance("poodel", "cat")
    with pytest.raises(ConfigError, match="cap must be at least 1; got 0"):
        zoo.distances(np.arange(2), cap=0)
    with pytest.raises(ConfigError, match="via cannot be 'tree'"):
        zoo.distances(np.arange(2), via="tree")
    with pytest.raises(DataError, match="some come twice"):
        Hierarchy(["a", "a"], [["x"], ["y"]], [[], []])
    with pytest.raises(DataError, match="got 7"):
        Hierarchy(["a"], [["x"]], [[7]])
    with pytest.raises(DataError, match="2 ids, 1 names"):
        Hierarchy(["a", "b"], [["x"]], [[], []])
    with pytest.raises(DataError, match="cannot be drawn from 9 terms"):
        sample_batch(zoo, 50, numpy_generator(0, "batch"))
    with pytest.raises(ConfigError, match="at least 1"):
        sample_batch(zoo, 0, numpy_generator(0, "batch"))


def test_icd10cm_joins_chapters():
    codes = Hierarchy.icd10cm()
    assert codes.distance("E11.21", "E11.2") == 1 and codes.distance("E11.21", "E11.22") == 2
    # two categories of a chapter are siblings, two chapters have nothing in common
    assert codes.distance("E11", "E10") == 2 and codes.distance("E11", "I10", cap=9) == 9
    assert all(codes.names[t] for t in codes.drawn)
