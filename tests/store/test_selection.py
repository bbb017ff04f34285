"""Filters: what passes, and that a filtered search finds what a naive one would."""

import datetime
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.data import Passage, SourceFile
from vecsmith.store import (
    Catalogue,
    Entry,
    Filter,
    PassageTable,
    build_vectors,
    document_key,
    order_by_cosine,
    passage_key,
    search_vectors,
)
from vecsmith.store._vectors import EXACT_UP_TO

DAY = 86_400_000_000_000


def entry(path, kind="markdown", day=0):
    return Entry(1, document_key(path), path, kind, 9, day * DAY)


@pytest.mark.parametrize(
    "pattern, passing",
    [
        ("docs", ["docs/a.md", "docs/api/b.py"]),
        ("docs/", ["docs/a.md", "docs/api/b.py"]),
        ("docs/api/b.py", ["docs/api/b.py"]),
        ("*.md", ["docs/a.md", "docsets/c.md", "x.md"]),
        ("docs/*", ["docs/a.md", "docs/api/b.py"]),
        ("x.?d", ["x.md"]),
        ("doc", []),
        ("", ["docs/a.md", "docs/api/b.py", "docsets/c.md", "x.md"]),
    ],
)
def test_paths(pattern, passing):
    paths = ["docs/a.md", "docs/api/b.py", "docsets/c.md", "x.md"]
    wanted = Filter(paths=(pattern,))
    assert [path for path in paths if wanted.passes(entry(path))] == passing


def test_a_name_that_looks_like_a_pattern_is_found_to_the_letter():
    for pattern in ("app/[id]", "app/[id]/page.md", "app/*/page.md"):
        assert Filter(paths=(pattern,)).passes(entry("app/[id]/page.md"))
    assert not Filter(paths=("app/[id]",)).passes(entry("app/i/page.md"))


def test_threads_may_share_a_catalogue(table):
    catalogue = Catalogue(table)
    wanted = [Filter(paths=(f"a/part{n}*",)) for n in range(90)]
    want = [list(Catalogue(table).choose(one)) for one in wanted]

    def choose(_):
        return [list(catalogue.choose(one)) for one in wanted] == want

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(choose, range(40)))


def test_equal_passages_of_a_document_have_ids_of_their_own(tmp_path):
    texts = ["valve", "pump", "valve", "valve"]
    passages = [Passage("a.md", i, (), text, "prose", "", "") for i, text in enumerate(texts)]
    with PassageTable(tmp_path / "p.sqlite", write=True) as made:
        made.add_document(SourceFile("a.md", Path(), "markdown", 9, 0, "ab" * 32), passages)
        other = [Passage("b.md", 0, (), "valve", "prose", "", "")]
        made.add_document(SourceFile("b.md", Path(), "markdown", 9, 0, "cd" * 32), other)
        made.finish()
        keys = [passage_key(made, stored) for stored in made.passages()]
    assert len(set(keys)) == 5
    assert [key.count("-") for key in keys] == [1, 1, 2, 2, 1]


def test_kinds_days_and_all_together():
    first, second = datetime.date(1970, 1, 2), datetime.date(1970, 1, 3)
    assert Filter(after=first, before=first).passes(entry("a", day=1))
    assert not Filter(after=second).passes(entry("a", day=1))
    assert not Filter(before=first).passes(entry("a", day=2))
    assert Filter(kinds=("pdf", "markdown")).passes(entry("a"))
    assert not Filter(paths=("a",), kinds=("pdf",)).passes(entry("a"))
    assert Filter().passes(entry("anything"))
    with pytest.raises(ConfigError, match="past"):
        Filter(after=second, before=first)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "passages.sqlite"
    rng = np.random.default_rng(0)
    words = "open close valve pump filter sensor red blue".split()
    with PassageTable(path, write=True) as made:
        for number in range(40):
            name = f"{'ab'[number % 2]}/part{number}.md"
            kind = ["markdown", "text"][number % 3 == 0]
            texts = [" ".join(rng.choice(words, 9)) for _ in range(3)]
            passages = [
                Passage(name, i, ("P",), text, "prose", "", "") for i, text in enumerate(texts)
            ]
            made.add_document(SourceFile(name, Path(), kind, 9, number * DAY, "ab" * 32), passages)
        made.finish()
    with PassageTable(path) as opened:
        yield opened


def test_words_in_chosen_documents_equal_the_whole_ranking_without_the_others(table):
    catalogue = Catalogue(table)
    chosen = catalogue.choose(Filter(paths=("a",), kinds=("markdown",)))
    assert 0 < len(chosen) < 20
    of = {s.row: s.group for s in table.passages()}
    rows, scores = table.search("valve sensor", 1000)
    kept = [(r, s) for r, s in zip(rows.tolist(), scores, strict=True) if of[r] in set(chosen)]
    got, got_scores = table.search("valve sensor", 1000, documents=chosen)
    assert sorted(zip(got.tolist(), got_scores, strict=True)) == sorted(kept)
    first, _ = table.search("valve sensor", 4, documents=chosen)
    assert first.tolist() == got[:4].tolist()
    assert len(table.search("valve", 9, documents=[])[0]) == 0


def test_rows_of_documents(table):
    of = {s.row: s.group for s in table.passages()}
    for chosen in ([], [3], [5, 1, 40], list(range(1, 41))):
        want = [row for row, group in of.items() if group in chosen]
        assert table.rows_of(chosen).tolist() == want


def test_a_kind_that_no_document_has_is_told(table):
    with pytest.raises(ConfigError, match=r"'txt'.*did you mean 'text'"):
        Catalogue(table).choose(Filter(kinds=("txt",)))


def test_passages_by_content(table):
    for stored in list(table.passages())[:9]:
        assert stored in table.with_hash(stored.passage.hash)
    assert table.with_hash("0" * 32) == []


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 299), max_size=300), st.integers(1, 40), st.booleans())
def test_vectors_among_rows_equal_a_naive_search(chosen, k, through_the_index):
    from vecsmith.store import _vectors

    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(300, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index, queries = build_vectors([vectors], 300, 12), vectors[:3] + 0.1
    rows = np.array(sorted(chosen), np.int64)
    few, _vectors._FEW_ROWS = _vectors._FEW_ROWS, -1 if through_the_index else 20_000
    try:
        cosines, found = search_vectors(index, queries, k, rows=rows)
    finally:
        _vectors._FEW_ROWS = few
    assert found.shape == (3, min(k, len(rows)))
    for query, row, got in zip(queries.astype(float), found, cosines, strict=True):
        want = rows[np.argsort(-(vectors[rows].astype(float) @ query), kind="stable")][:k]
        np.testing.assert_array_equal(row, want)
        np.testing.assert_allclose(got, vectors[row].astype(float) @ query, atol=1e-5)


@pytest.mark.slow
def test_a_compressed_index_keeps_to_the_rows_too(monkeypatch):
    from vecsmith.store import _vectors

    rng = np.random.default_rng(3)
    count = EXACT_UP_TO + 1000
    centres = rng.normal(size=(300, 16))
    vectors = (centres[rng.integers(0, 300, count)] + 0.4 * rng.normal(size=(count, 16))).astype(
        np.float32
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = build_vectors([vectors], count, 16)
    rows = np.flatnonzero(rng.random(count) < 0.5)
    queries = vectors[rows[:50]]
    monkeypatch.setattr(_vectors, "_FEW_ROWS", 100)
    _, found = search_vectors(index, queries, 10, rows=rows)
    assert np.isin(found[found >= 0], rows).all()
    exact = rows[np.argsort(-(queries @ vectors[rows].T), axis=1)[:, :10]]
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
    assert np.mean(hits) / 10 > 0.85


@given(st.integers(1, 30), st.integers(1, 12), st.none() | st.integers(1, 40))
def test_the_order_by_cosine_equals_a_loop_and_does_not_depend_on_the_company(rows, dims, top_n):
    rng = np.random.default_rng(rows * 100 + dims)
    query = rng.normal(size=(1, dims)).astype(np.float32)
    documents = rng.normal(size=(rows, dims)).astype(np.float32)
    documents[rows // 2] = documents[0]
    got = order_by_cosine(query, documents, top_n)
    loop = [
        (i, sum(float(a) * float(b) for a, b in zip(query[0], d, strict=True)))
        for i, d in enumerate(documents)
    ]
    want = sorted(loop, key=lambda pair: (-round(pair[1], 12), pair[0]))[:top_n]
    assert [place for place, _ in got] == [place for place, _ in want]
    np.testing.assert_allclose([c for _, c in got], [c for _, c in want], atol=1e-12)
    for place, cosine in got:
        assert order_by_cosine(query, documents[place : place + 1]) == [(0, cosine)]


def test_a_reader_for_another_thread_shares_all_but_the_connection(tiny_encoder, tmp_path):
    from vecsmith.encode import load_encoder
    from vecsmith.store import Store, VectorSpace

    folder = tmp_path / "index"
    shutil.copytree(tiny_encoder, folder / "base" / "encoder")
    encoder = load_encoder(folder / "base" / "encoder")
    with PassageTable(folder / "passages.sqlite", write=True) as made:
        made.add_document(
            SourceFile("a.md", Path(), "markdown", 9, 0, "ab" * 32),
            [Passage("a.md", 0, (), "valve", "prose", "", "")],
        )
        made.finish()
    with PassageTable(folder / "passages.sqlite") as opened:
        store = Store.assemble(opened, {"base": VectorSpace(folder / "base", encoder.stamp)})
        reader = store.reader()
        assert reader.passages is not store.passages and reader.spaces is store.spaces
        reader.close()
        assert len(store.passages) == 1
