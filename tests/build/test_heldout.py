"""What is held out, what is trained on, and by what training is watched."""

import json

import numpy as np
import pytest
import torch

from vecsmith.build import _heldout
from vecsmith.build._heldout import Split, make_split, side_of
from vecsmith.build._merge import one_a_row, probe_rows
from vecsmith.build._negatives import mine_negatives, near_others
from vecsmith.build._train import LEAST_MINED, training_columns
from vecsmith.build._watch import pool_mrr
from vecsmith.data import Pair, Passage, SourceFile
from vecsmith.encode import load_encoder
from vecsmith.store import PassageTable, build_vectors, load_vectors


@pytest.fixture(scope="module")
def split(built):
    with PassageTable(built / "passages.sqlite") as table:
        yield make_split(table, seed=0, pairs_file=None, source="."), table


def test_no_query_is_both_trained_on_and_judged(split):
    found, _ = split
    trained = {pair.query.lower() for pair in found.pairs}
    for queries in found.queries.values():
        assert queries and not trained & {query.text.lower() for query in queries}


def test_training_sees_no_document_that_is_held_out(split):
    found, table = split
    names = {number: name for name, number in table.document_ids().items()}
    assert {side_of(names[pair.group], 0) for pair in found.pairs} == {"train"}
    for side in ("validation", "test"):
        for query in found.queries[side]:
            if query.origin != "link":
                assert {side_of(names[group], 0) for group in query.relevant} == {side}


def test_negatives_come_from_the_training_side_alone(split, built):
    found, table = split
    names = {number: name for name, number in table.document_ids().items()}
    assert {side_of(names[group], 0) for group in found.trained} == {"train"}
    documents = table.column("document")
    encoder = load_encoder(built / "base" / "encoder")
    index = load_vectors(built / "base" / "vectors.faiss")
    rows = mine_negatives(
        found.pairs, encoder, index, table, documents, enough=9**9, allowed=found.trained
    )
    taken = [row for row in rows if row >= 0]
    assert taken and {documents[row] for row in taken} <= set(found.trained)
    assert all(documents[row] != p.group for row, p in zip(rows, found.pairs, strict=True))


def test_what_training_is_watched_by_decides_nothing_later(split):
    found, table = split
    names = {number: name for name, number in table.document_ids().items()}
    assert {side_of(names[pair.group], 0) for pair in found.watch} == {"watch"}
    asked = {query.text.lower() for part in found.queries.values() for query in part}
    assert not asked & {pair.query.lower() for pair in found.watch + found.probe}
    seen = found.seen()
    assert not set(seen["trained_on"]) & asked
    assert {q.text.lower() for q in found.queries["validation"]} <= set(seen["chosen_by"])


def test_words_of_links_are_held_out_of_known_documents_too(split):
    found, table = split
    names = {number: name for name, number in table.document_ids().items()}
    links = [q for side in found.queries.values() for q in side if q.origin == "link"]
    assert any(side_of(names[group], 0) == "train" for q in links for group in q.relevant)


LICENCE = "All rights reserved, copying of any kind is forbidden."


@pytest.fixture
def guides(tmp_path):
    """Function of a number: that many guides, each a licence and then five chapters."""

    def make(count):
        table = PassageTable(tmp_path / f"{count}.sqlite", write=True)
        for n in range(count):
            path = f"guide{n}.md"
            texts = [LICENCE, *(f"the word{n}x{c} stands here" for c in range(5))]
            passages = [
                Passage(path, i, (f"Guide {n}", f"Part {i}"), text, "prose", "", "")
                for i, text in enumerate(texts)
            ]
            table.add_document(SourceFile(path, tmp_path, "text", 1, 0, "00"), passages)
        table.finish()
        return table

    return make


def given_pairs(folder, rows):
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    return str(path)


@pytest.mark.parametrize("count", [10, 60])
def test_given_pairs_teach_the_passage_that_answers(count, guides, tmp_path):
    rows = [
        {"query": f"where is word{n}x{c}", "document": f"guide{n}.md"}
        for n in range(count)
        for c in (1, 3)
    ]
    with guides(count) as table:
        path = given_pairs(tmp_path, [*rows, {"query": "lost", "document": "nowhere.md"}])
        split = make_split(table, seed=0, pairs_file=path, source=".")
        ids = table.document_ids()
        sections = table.column("section")
    assert split.unit == ("document" if count >= 40 else "section")
    given = [pair for pair in split.pairs if pair.kind == "pairs"]
    assert given and all(pair.query.split()[-1] in pair.positive for pair in given)
    held = [q for part in split.queries.values() for q in part if q.origin == "pairs"]
    assert held and not {q.text for q in held} & {pair.query for pair in split.pairs}
    for query in held:
        # The document as a whole is right, whatever the groups of the split are.
        number = query.text.split("word")[1].split("x")[0]
        assert query.relevant == {ids[f"guide{number}.md"]}
    assert {pair.group for pair in given} <= set(split.trained)
    assert len(sections) == 6 * count
    assert [note.split(":")[0] for note in split.notes] == [f"line {2 * count + n}" for n in (1, 2)]
    assert split.counts()["left_out"] == split.notes


def test_a_query_for_several_documents_is_on_one_side(guides, tmp_path):
    rows = [
        {"query": f"words {n}", "documents": [f"guide{n}.md", f"guide{(7 * n + 3) % 60}.md"]}
        for n in range(60)
    ]
    with guides(60) as table:
        split = make_split(table, seed=0, pairs_file=given_pairs(tmp_path, rows), source=".")
        split.save(tmp_path / "split.json")
    held = [q for part in split.queries.values() for q in part if q.origin == "pairs"]
    assert len(held) >= 8 and all(len(query.relevant) in (1, 2) for query in held)
    others = {p.query for p in (*split.pairs, *split.probe, *split.watch) if p.kind == "pairs"}
    assert not others & {query.text for query in held}
    # Missing are only those to be trained on with both documents held out, and those to be
    # watched, as the watched side of so few documents is too small.
    missing = {row["query"] for row in rows} - others - {query.text for query in held}
    for row in rows:
        if row["query"] in missing and side_of(f"pairs\0{row['query']}", 0) != "watch":
            assert side_of(f"pairs\0{row['query']}", 0) == "train"
            assert "train" not in {side_of(name, 0) for name in row["documents"]}
    assert len(missing) < 15
    assert Split.load(tmp_path / "split.json") == split


def test_of_many_passages_some_groups_are_looked_at(guides, tmp_path, monkeypatch):
    monkeypatch.setattr(_heldout, "MOST_PASSAGES", 120)
    with guides(60) as table:
        whole = given_pairs(tmp_path, [{"query": "word7x1", "document": "guide7.md"}])
        split = make_split(table, seed=0, pairs_file=whole, source=".")
        ids = table.document_ids()
    groups = {pair.group for pair in (*split.pairs, *split.probe, *split.watch)}
    assert 8 <= len(groups) <= 32
    kept = [*split.pairs, *split.probe, *split.watch]
    held = [query for part in split.queries.values() for query in part]
    assert any(p.query == "word7x1" for p in kept) or any(q.text == "word7x1" for q in held)
    assert ids["guide7.md"] in split.trained or side_of("guide7.md", 0) != "train"


def test_a_source_without_any_pair_has_an_empty_split(tmp_path):
    with PassageTable(tmp_path / "one.sqlite", write=True) as table:
        file = SourceFile("a.txt", tmp_path, "text", 1, 0, "00")
        table.add_document(file, [Passage("a.txt", 0, (), "word", "prose", "", "")])
        table.finish()
        split = make_split(table, seed=0, pairs_file=None, source=".")
    assert (split.pairs, split.probe, split.watch) == ([], [], [])


def test_the_probe_has_each_passage_once_and_its_negative():
    pairs = [Pair(f"q{i}", f"p{i // 2}", i // 2, 0, "heading") for i in range(80)]
    probe = one_a_row(pairs)
    assert [pair.query for pair in probe] == [f"q{i}" for i in range(0, 80, 2)]
    texts = {9: "nine"}
    assert probe_rows(probe, [9] * 32 + [-1] * 8, texts)[0] == ("q0", "p0", "nine")
    assert len(probe_rows(probe, [9] * 32 + [-1] * 8, texts)) == 32
    assert probe_rows(probe, [9] * 31 + [-1] * 9, texts)[39] == ("q78", "p39")


def test_pairs_without_a_negative_are_trained_on_only_if_need_be():
    pairs = [Pair(f"q{i}", f"p{i}", i, i, "heading") for i in range(LEAST_MINED + 2)]
    texts = {7: "seven"}
    enough = [7] * LEAST_MINED + [-1, -1]
    assert set(training_columns(pairs, enough, texts)) == {"mined"}
    few = [7] * (LEAST_MINED - 1) + [-1, -1, -1]
    sets = training_columns(pairs, few, texts)
    assert {name: len(columns["anchor"]) for name, columns in sets.items()} == {
        "mined": LEAST_MINED - 1,
        "plain": 3,
    }
    assert set(training_columns(pairs, [-1] * len(pairs), texts)) == {"plain"}


class Table:
    """An encoder that knows its vectors."""

    device = torch.device("cpu")

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, *, kind="document", **_):
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)

    encode_query = encode_document = encode


def test_near_others_are_the_nearest_of_other_groups():
    rows = [[1, 0], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0, 1]]
    vectors = np.array(rows, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = build_vectors([vectors], len(vectors), 2)
    pair = Pair("q", "p", 0, 0, "link")
    found = near_others([pair], Table({"q": [1, 0]}), index, [0, 0, 1, 2, 3], each=2)
    assert found == [2, 3]
    assert near_others([], Table({}), index, [0, 0, 1, 2, 3]) == []


def test_distractors_count_as_wrong():
    model = Table({"q": [1, 0], "p": [0.8, 0.6], "near": [1, 0.1], "far": [0, 1]})
    pairs = [Pair("q", "p", 0, 0, "link")]
    assert pool_mrr(model, pairs) == 1
    assert pool_mrr(model, pairs, ["far"]) == 1
    assert pool_mrr(model, pairs, ["near", "far"]) == 0.5
