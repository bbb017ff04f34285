import json

import pytest

from vecsmith.core import DataError
from vecsmith.evaluate import HeldOut, read_queries

DOCUMENTS = {"a.md": 1, "sub/b.md": 2, "odd\u2028name.md": 3}


@pytest.fixture
def read(tmp_path):
    def run(*lines, source="/data/manual", head=b"", **options):
        path = tmp_path / "queries.jsonl"
        rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_bytes(head + "\n".join(rows).encode("utf-8", "surrogatepass"))
        notes = []
        queries = read_queries(path, DOCUMENTS, skipped=notes.append, source=source, **options)
        return queries, notes

    return run


def good(**changes):
    return {"query": "how", "documents": ["a.md"], **changes}


def test_queries_are_read(read):
    rows = (good(), good(query=" two  ", documents=["sub/b.md", "a.md"]))
    queries, notes = read(*rows)
    assert queries == [HeldOut("how", frozenset({1})), HeldOut("two", frozenset({1, 2}))]
    assert notes == [] and queries[0].origin == "file"


@pytest.mark.parametrize(
    "row",
    [
        {"query": "q", "document": "a.md"},
        {"query": "q", "documents": "a.md"},
        {"query": "q", "documents": ["./a.md"]},
        {"query": "q", "documents": ["/data/manual/a.md"]},
    ],
)
def test_ways_to_name_a_document(read, row):
    assert read(row)[0] == [HeldOut("q", frozenset({1}))]


def test_a_document_that_the_index_lacks_stays_relevant(read):
    row = {"query": "q", "documents": ["a.md", "none.md", "./gone.md", "none.md"]}
    queries, notes = read(row)
    assert queries == [HeldOut("q", frozenset({1}), missing=2)]
    (note,) = notes
    assert note.startswith("line 1: ") and "'none.md', 'gone.md'" in note
    assert "counted as relevant and never found" in note


def test_a_double_stands_for_the_document_that_was_kept(read):
    double = {"copy.md": "a.md"}
    rows = ({"query": "q", "document": "copy.md"}, good(documents=["copy.md", "a.md", "sub/b.md"]))
    queries, notes = read(*rows, duplicates=double)
    assert queries == [HeldOut("q", frozenset({1})), HeldOut("how", frozenset({1, 2}))]
    assert notes == []


def test_a_source_of_one_file_is_named_by_its_path(read):
    queries, _ = read(good(documents=["/data/a.md"]), source="/data/a.md")
    assert queries[0].relevant == {1}


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("{broken", "line 1: is no JSON"),
        ("[" * 100_000, "line 1: is no JSON"),
        ('"a lone string"', "needs an object"),
        ("[1, 2]", "needs an object"),
        ('{"query": 3, "documents": ["a.md"]}', 'text "query"'),
        ('{"documents": ["a.md"]}', 'text "query"'),
        ('{"query": "  ", "documents": ["a.md"]}', "non-empty"),
        ('{"query": "q"}', "no document"),
        ('{"query": "q", "documents": null}', "list of paths"),
        ('{"query": "q", "documents": [1]}', "list of paths"),
        ('{"query": "q", "documents": []}', "no document"),
        ('{"query": "q", "documents": ["none.md"]}', "called 'none.md'"),
        ('{"query": "q", "documents": ["../a.md"]}', "leads outside"),
        ('{"query": "q", "documents": ["/etc/passwd"]}', "lies outside of the source"),
        ('{"query": "q", "documents": ["/data/manual/../a.md"]}', "leads outside"),
    ],
)
def test_a_line_that_cannot_be_used_is_told_and_left_out(read, line, note):
    queries, notes = read(line, "", good())
    assert queries == [HeldOut("how", frozenset({1}))]
    assert len(notes) == 1 and note in notes[0]


def test_lines_end_at_line_feeds_alone(read):
    line = '{"query": "one\u2028two\u0085three", "documents": ["odd\u2028name.md"]}'
    queries, notes = read(line + "\r", good())
    assert notes == [] and queries[0] == HeldOut("one\u2028two\u0085three", frozenset({3}))


def test_a_byte_order_mark_is_no_part_of_the_first_line(read):
    assert read(good(), head=b"\xef\xbb\xbf")[1] == []


def test_undecodable_bytes_do_not_stop_the_reading(read):
    queries, _ = read('{"query": "caf\udce9", "documents": ["a.md"]}', good())
    assert len(queries) == 2


def test_nothing_usable_is_an_error(read, tmp_path):
    for lines in ((), ("{broken", good(documents=["none.md"]))):
        with pytest.raises(DataError, match="names a query and a document"):
            read(*lines)
    with pytest.raises(DataError, match="cannot be read"):
        read_queries(tmp_path / "none.jsonl", DOCUMENTS, skipped=print)
