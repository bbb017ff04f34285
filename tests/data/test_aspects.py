"""Documents with labels by aspect; Debian's descriptions."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.data import AspectDataset
from vecsmith.data.samples import load_debian
from vecsmith.data.samples._debian import packages, stanzas

LABELS = {
    "task": [["a"], ["a", "b"], ["b"], [], ["c"], ["a", "c"]],
    "data": [["x"], [], ["x"], ["y"], ["y"], ["z"]],
}


@pytest.fixture
def docs():
    return AspectDataset([f"text {i}" for i in range(6)], LABELS)


def test_relevant_is_a_shared_label(docs):
    for aspect, rows in LABELS.items():
        got = docs.relevant(aspect).toarray()
        for i in range(6):
            for j in range(6):
                assert got[i, j] == (i != j and bool(set(rows[i]) & set(rows[j])))


def test_common_labels_are_dropped():
    docs = AspectDataset(list("abcdef"), LABELS, max_label_docs=3)
    assert docs.names["task"] == ["b", "c"] and docs.names["data"] == ["x", "y", "z"]
    assert not docs.relevant("task")[0].nnz
    # and stay dropped, though a part has fewer documents
    assert docs.subset([0, 1, 4]).names["task"] == ["b", "c"]
    assert AspectDataset(list("abcdef"), LABELS, max_label_docs=None).names["task"] == list("abc")


def test_positives_are_all_pairs_once_and_repeat_with_the_seed(docs):
    pairs = docs.positives("task")
    shared = docs.relevant("task").toarray()
    assert {frozenset(pair) for pair in pairs.tolist()} == {
        frozenset((i, j)) for i in range(6) for j in range(i) if shared[i, j]
    }
    assert len(pairs) == len({frozenset(pair) for pair in pairs.tolist()})
    assert np.array_equal(pairs, docs.positives("task"))
    assert len(docs.positives("task", 2, seed=1)) == 2
    with pytest.raises(DataError, match="no two documents share"):
        docs.subset([2, 3]).positives("task")


def test_negatives_have_labels_on_both_sides_and_share_none(docs):
    pairs = {frozenset(pair) for pair in docs.negatives("task", 99).tolist()}
    # document 3 has no label: nothing is known about it
    assert pairs == {frozenset(p) for p in [(0, 2), (0, 4), (1, 4), (2, 4), (2, 5)]}


@given(st.lists(st.sets(st.sampled_from("abcd")), min_size=2, max_size=9), st.integers(0, 40))
def test_negatives_of_any_number_are_distinct_and_right(rows, count):
    docs = AspectDataset([str(i) for i in range(len(rows))], {"one": [sorted(r) for r in rows]})
    every = {
        (i, j)
        for j in range(len(rows))
        for i in range(j)
        if rows[i] and rows[j] and not rows[i] & rows[j]
    }
    got = docs.negatives("one", count)
    pairs = {tuple(sorted(pair)) for pair in got.tolist()}
    assert got.shape == (min(count, len(every)), 2) and len(pairs) == len(got)
    assert pairs <= every
    assert np.array_equal(got, docs.negatives("one", count))


def test_negatives_are_drawn_evenly():
    docs = AspectDataset(list("abcdef"), LABELS)
    drawn = [docs.negatives("task", 2, seed=seed).tolist() for seed in range(600)]
    count = Counter(frozenset(pair) for pairs in drawn for pair in pairs)
    # five pairs, two of them drawn each time
    assert len(count) == 5 and all(180 < times < 300 for times in count.values())


def test_many_documents_cost_what_they_share():
    """A square matrix of them would take 10 GB."""
    rows = [[str(i // 3)] for i in range(99_999)]
    docs = AspectDataset([""] * len(rows), {"one": rows})
    pairs = docs.positives("one")
    assert len(pairs) == 99_999 and (pairs[:, 0] // 3 == pairs[:, 1] // 3).all()
    assert docs.relevant("one").nnz == 2 * len(pairs)
    wrong = docs.negatives("one", 50_000)
    assert len(wrong) == 50_000 and (wrong[:, 0] // 3 != wrong[:, 1] // 3).all()


@given(st.integers(2, 5), st.integers(0, 50))
def test_folds_part_documents_and_never_groups(k, seed):
    groups = [f"g{i % 7}" for i in range(30)]
    texts = [str(i) for i in range(30)]
    docs = AspectDataset(texts, {"a": [["l"]] * 30}, groups=groups)
    folds = docs.split(k, seed=seed)
    assert sorted(text for fold in folds for text in fold.test.texts) == sorted(texts)
    for fold in folds:
        assert not set(fold.train.groups) & set(fold.test.groups)
        assert sorted(fold.train.texts + fold.test.texts) == sorted(texts)


def test_bad_input(docs):
    with pytest.raises(DataError, match="its row in each aspect"):
        AspectDataset(["a"], {"task": [[], []]})
    with pytest.raises(ConfigError, match="did you mean 'task'"):
        docs.relevant("tasks")
    with pytest.raises(ConfigError, match="k must lie from 2 to the 6"):
        docs.split(7)


INDEX = """Package: gimp
Source: gimp (2.10)
Description-md5: d1
Tag: use::editing, works-with::image,
 works-with::image:raster, culture::TODO
Section: contrib/graphics

Package: plain
Description-md5: d2
Section: x

Package: gimp
Description-md5: d1
Tag: use::viewing
"""


def test_index_of_apt():
    texts = {"d1": "Image editor\n It edits\n images.\n .\n Truly."}
    assert list(packages(INDEX, texts)) == [
        {
            "package": "gimp",
            "source": "gimp",
            "section": "graphics",
            "summary": "Image editor",
            "description": "It edits images. Truly.",
            "tags": ["use::editing", "works-with::image", "works-with::image:raster"],
        }
    ]
    assert [stanza["Package"] for stanza in stanzas(INDEX)] == ["gimp", "plain", "gimp"]


def test_without_apt(monkeypatch):
    from vecsmith.data.samples import _debian

    with pytest.raises(DataError, match="is not installed here"):
        _debian._run("apt-that-is-not-there")


@pytest.mark.slow
def test_real_descriptions():
    rows = load_debian()[:]
    assert len(rows["package"]) == len(set(rows["package"])) > 20_000
    gimp = rows["package"].index("gimp")
    assert rows["summary"][gimp] == "GNU Image Manipulation Program"
    assert {"use::editing", "works-with::image"} <= set(rows["tags"][gimp])
    assert len(rows["description"][gimp]) > 200
