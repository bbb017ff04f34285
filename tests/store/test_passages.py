import math
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecsmith.core import StoreError
from vecsmith.data import Link, Passage, Skipped, SourceFile
from vecsmith.store import PassageTable


def source(path="a.md", kind="markdown"):
    return SourceFile(path, Path(), kind, 12, 34, "ab" * 32)


def prose(*texts, document="a.md", **changes):
    values = {"headings": (), "kind": "prose", "summary": "", "anchor": ""} | changes
    return [Passage(document, place, text=text, **values) for place, text in enumerate(texts)]


@pytest.fixture
def table(tmp_path):
    with PassageTable(tmp_path / "passages.sqlite", write=True) as made:
        yield made


@pytest.fixture
def words(table):
    """Ten documents of short words that the stemmer leaves alone."""
    rng = np.random.default_rng(0)
    names = ["cat", "dog", "sun", "red", "map", "box"]
    texts = [" ".join(rng.choice(names[: 3 + place % 4], 3 + place)) for place in range(10)]
    table.add_document(source(), prose(*texts))
    table.finish()
    return table, texts


def test_what_is_added_is_read_back(tmp_path):
    passages = [
        Passage(
            "a.md", 0, ("Title", "One"), "text", "prose", "sum", "one", (Link("b", "b.md", ""),)
        ),
        Passage("a.md", 1, ("Title", "One"), "more 数\n\n  text", "code", "", ""),
        Passage("a.md", 2, ("Title", "Two", "Three"), "row", "record", "", "x"),
    ]
    path = tmp_path / "passages.sqlite"
    with PassageTable(path, write=True) as table:
        assert table.add_document(source(), passages, [Skipped("a.md", "a part")]) == 3
        assert table.add_document(source("empty.md"), []) == 0
        table.begin("digest", [Skipped(".git", "hidden folder")])
        table.finish()
        table.set_fact("note", {"a": [1, None]})
    with PassageTable(path) as table:
        assert [stored.passage for stored in table.passages()] == passages
        assert [stored.row for stored in table.passages(1, 2)] == [1]
        assert [stored.passage for stored in table.take([2, 0, 2])] == [
            passages[2],
            passages[0],
            passages[2],
        ]
        assert len(table) == 3 and table.documents() == [source()]
        assert table.document_ids() == {"a.md": 1}
        assert table.column("section") == [0, 0, 1] and table.column("document") == [1, 1, 1]
        assert table.column("hash") == [passage.hash for passage in passages]
        left_out = [("a.md", "a part"), ("empty.md", "no text in it"), (".git", "hidden folder")]
        assert table.skipped() == left_out
        assert table.fact("note") == {"a": [1, None]} and table.fact("none", 7) == 7
        assert table.fact("listing") == "digest"
        with pytest.raises(StoreError, match="'text'"):
            table.column("text")


@pytest.mark.parametrize("name", ["odd\udcff.md", "line\nfeed.md", "\N{PILE OF POO} 'q' \"d\".md"])
def test_names_of_any_bytes_survive(table, name):
    printable = name.encode("utf-8", "replace").decode()
    passages = prose("text", document=name, headings=(printable, "Part"))
    raw = prose("text", document=name, headings=(name, "Part"))
    table.add_document(source(name), raw, [Skipped(name, "why")])
    assert table.documents() == [source(name)] and table.document_ids() == {name: 1}
    assert [stored.passage for stored in table.passages()] == passages
    assert table.skipped() == [(name, "why")]


def test_texts_that_a_database_cannot_hold_are_made_fit(table):
    table.add_document(source(), prose("cat\x00dog \ud800 sun"))
    assert next(table.passages()).passage.text == "cat dog ? sun"
    for query in ("dog", "cat", "sun"):
        assert table.search(query, 5)[0].tolist() == [0]


def test_what_is_made_fit_keeps_its_hash(table, tmp_path):
    raw = prose("cat\x00dog \ud800 sun", headings=("bad \ud83d title",))
    table.add_document(source(), raw)
    (stored,) = table.passages()
    assert stored.passage.headings == ("bad ? title",)
    assert table.column("hash") == [stored.passage.hash]
    with PassageTable(tmp_path / "copy.sqlite", write=True) as other:
        document = source()
        notes = [Skipped(document.path, "half of it")]
        other.copy_document(table, document.path, document, notes, {document.path: 3})
        assert other.column("hash") == table.column("hash")
        assert other.skipped() == [(document.path, "half of it")]
        assert other.dropped() == {document.path: 3}


def test_doubles_are_known(table):
    table.begin("x", [Skipped("b.md", "same content as a.md"), Skipped("c", "empty file")])
    assert table.duplicates() == {"b.md": "a.md"}


def naive_bm25(texts, query):
    docs = [text.split() for text in texts]
    mean = sum(map(len, docs)) / len(docs)
    scores = {}
    for row, doc in enumerate(docs):
        for term in query.split():
            holding = sum(term in other for other in docs)
            idf = math.log((len(docs) - holding + 0.5) / (holding + 0.5))
            tf = doc.count(term)
            part = max(idf, 1e-6) * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(doc) / mean))
            if tf:
                scores[row] = scores.get(row, 0.0) + part
    return scores


@pytest.mark.parametrize("query", ["box", "map box", "cat map", "red", "none", "sun dog box map"])
def test_scores_are_bm25(words, query):
    table, texts = words
    rows, scores = table.search(query, 10)
    want = naive_bm25(texts, query)
    assert dict(zip(rows.tolist(), scores, strict=True)) == pytest.approx(want, rel=1e-9)
    assert (np.diff(scores) <= 0).all()
    assert table.search(query, 2)[0].tolist() == rows[:2].tolist()


def test_words_match_by_stem_case_and_accent(table):
    table.add_document(source(), prose("Opening the cafés", "closed doors"))
    for query in ("open", "OPENED", "café", "cafe", "cafe\u0301", "re\u0301sume\u0301 opens"):
        assert table.search(query, 5)[0].tolist() == [0], query
    assert table.search("re\u0301sume\u0301", 5)[0].tolist() == []
    table.add_document(source("b.md"), prose("a résumé", document="b.md"))
    assert table.search("re\u0301sume\u0301", 5)[0].tolist() == [2]
    assert table.stems("Opening opened DOORS") == ["open", "door"]


SYNTAX = st.text(alphabet=list("\"*():^-+{}'\\;,.\x00 catdogANDORNOT_é\u0301\ud800²"), max_size=25)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(SYNTAX)
def test_a_query_has_no_syntax(words, query):
    rows, scores = words[0].search(query, 3)
    assert len(rows) == len(scores) <= 3


@pytest.mark.parametrize(
    "query", ['"cat', "cat*", "(cat", "content:cat", "^cat", "-cat", "cat AND", "NOT cat", "\0cat"]
)
def test_signs_around_a_word_change_nothing(words, query):
    table, _ = words
    assert 0 < len(table.search(query, 10)[0]) == len(table.search("cat", 10)[0])


@pytest.mark.parametrize("query", ["", "  ", "\x00", "?!", "\ud800", '"" *'])
def test_a_query_without_words_finds_nothing(words, query):
    rows, scores = words[0].search(query, 3)
    assert rows.dtype == np.int64 and len(rows) == len(scores) == 0


def test_common_words_count_only_alone(table):
    texts = [f"cat {'dog' if place == 7 else 'sun'} n{place}" for place in range(60)]
    table.add_document(source(), prose(*texts))
    assert len(table.search("cat dog", 100)[0]) == 60
    table.finish()
    assert sorted(table.fact("common_terms")) == ["cat", "sun"]
    assert table.search("cat dog", 100)[0].tolist() == [7]
    assert table.telling_stems("cat dog") == ["dog"] and table.telling_stems("cats") == ["cat"]
    assert len(table.search("cats", 100)[0]) == 60
    assert len(table.search("cat sun", 100)[0]) == 60


def test_the_words_of_a_passage_can_be_changed_again_and_again(words):
    table, texts = words
    before = table.search("box map", 10)
    for content in ("owl", "elk owl", "ant"):
        table.replace_contents({9: content})
        assert table.search(content, 5)[0].tolist() == [9]
        assert 9 not in table.search("box", 10)[0]
    assert len(table.search("owl elk", 5)[0]) == 0
    assert next(table.passages(9)).passage.text == texts[9]
    table.replace_contents({9: texts[9]})
    for old, new in zip(before, table.search("box map", 10), strict=True):
        np.testing.assert_allclose(old, new)
    table.db.execute("INSERT INTO lexicon (lexicon) VALUES ('integrity-check')")


def test_a_document_is_copied_with_its_passages(tmp_path, table):
    table.add_document(source("first.md"), prose("sun", document="first.md"))
    passages = prose("cat", "dog", document="b\udcff.md")
    with PassageTable(tmp_path / "other.sqlite", write=True) as other:
        other.add_document(source(), prose("map"))
        other.add_document(source("b\udcff.md"), passages)
        assert table.copy_document(other, "b\udcff.md", source("b\udcff.md")) == 2
        assert table.copy_document(other, "none.md", source("none.md")) == 0
    assert [stored.passage for stored in table.passages(1)] == passages
    assert table.search("dog", 5)[0].tolist() == [2]
    assert table.skipped() == [("none.md", "no text in it")]


def test_a_stream_that_breaks_leaves_no_trace(table):
    def stream():
        yield from prose("cat", "dog")
        raise RuntimeError("torn")

    table.add_document(source("first.md"), prose("sun", document="first.md"))
    with pytest.raises(RuntimeError, match="torn"):
        table.add_document(source(), stream(), [Skipped("a.md", "part")])
    assert len(table) == 1 and table.skipped() == []
    assert [file.path for file in table.documents()] == ["first.md"]
    assert len(table.search("cat", 5)[0]) == 0
    assert table.add_document(source(), prose("cat")) == 1
    assert table.search("cat", 5)[0].tolist() == [1]


def test_a_document_is_added_once(table):
    table.add_document(source(), prose("cat"))
    with pytest.raises(StoreError, match=r"'a\.md' is in the table already"):
        table.add_document(source(), prose("dog"))
    assert len(table) == 1 and len(table.search("dog", 5)[0]) == 0


def test_missing_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "passages.sqlite"
    with pytest.raises(StoreError, match=r"passages\.sqlite' is missing"):
        PassageTable(path)
    path.write_bytes(b"no database at all" * 100)
    for write in (False, True):
        with pytest.raises(StoreError, match="cannot be opened as a passage table"):
            PassageTable(path, write=write)
    path.unlink()
    sqlite3.connect(path).close()
    with pytest.raises(StoreError, match="no such table"):
        PassageTable(path)


def test_a_file_damaged_inside_is_named(tmp_path):
    path = tmp_path / "passages.sqlite"
    with PassageTable(path, write=True) as table:
        table.add_document(source(), prose(*(f"cat number {n} " * 40 for n in range(100))))
        table.finish()
    whole = bytearray(path.read_bytes())
    # The first pages stay, so that the file opens.
    whole[4096 * 16 :] = b"\xff" * (len(whole) - 4096 * 16)
    path.write_bytes(whole)
    for use in (
        lambda table: table.search("cat", 5),
        lambda table: list(table.passages()),
        lambda table: table.take([0, 99]),
        lambda table: table.column("hash"),
    ):
        with (
            pytest.raises(StoreError, match=r"passages\.sqlite.* is damaged"),
            PassageTable(path) as t,
        ):
            use(t)


def test_a_table_open_for_reading_takes_nothing(tmp_path):
    path = tmp_path / "passages.sqlite"
    PassageTable(path, write=True).close()
    with PassageTable(path) as table, pytest.raises(StoreError, match="cannot write"):
        table.add_document(source(), prose("cat"))
