import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError, StoreError, write_checksums, write_json
from vecsmith.data import Passage, SourceFile
from vecsmith.encode import load_encoder
from vecsmith.store import (
    CosineAdapter,
    PassageTable,
    Searcher,
    Store,
    VectorSpace,
    build_vectors,
    save_vectors,
)
from vecsmith.store._search import highlight

TEXTS = [
    "Open the file and read it.",
    "Close the valve before you paint the pump.",
    "The motor drives the pump.",
    "A sensor reads the colour of the cable.",
    "Switch the boiler to red.",
    "Filters keep the valves clean; a filter is cheap.",
]


def sign(folder):
    files = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    write_checksums(folder, [name for name in files if name != "checksums.json"])


@pytest.fixture(scope="session")
def assembled(tiny_encoder, tmp_path_factory):
    """An index folder put together by hand."""
    folder = tmp_path_factory.mktemp("assembled") / "index"
    shutil.copytree(tiny_encoder, folder / "base" / "encoder")
    encoder = load_encoder(folder / "base" / "encoder")
    with PassageTable(folder / "passages.sqlite", write=True) as table:
        for number, text in enumerate(TEXTS):
            name = f"part{number}.md"
            passage = Passage(name, 0, (f"Part {number}",), text, "prose", "", f"part-{number}")
            table.add_document(SourceFile(name, Path(), "markdown", 9, 9, "ab" * 32), [passage])
        table.finish()
        vectors = encoder.encode([stored.passage.content for stored in table.passages()])
    save_vectors(build_vectors([vectors], len(TEXTS), 32), folder / "base" / "vectors.faiss")
    manifest = {
        "format": 1,
        "settings": {"source": "/data"},
        "shipped": "base_hybrid",
        "fusions": {"base_hybrid": {"method": "convex", "weight": 0.3, "scale": 1.0}},
        "stamps": {"base": encoder.stamp.to_dict()},
    }
    write_json(folder / "manifest.json", manifest)
    sign(folder)
    return folder


@pytest.fixture
def copy(assembled, tmp_path):
    return shutil.copytree(assembled, tmp_path / "index")


def change(folder, **values):
    manifest = json.loads((folder / "manifest.json").read_text())
    write_json(folder / "manifest.json", manifest | values)
    sign(folder)


def test_a_search_finds_and_marks(assembled):
    answer = Searcher(assembled).search("valve filter", k=3)
    assert len(answer.hits) == 3 and not answer.nothing_relevant
    best = answer.hits[0]
    assert (best.path, best.headings, best.anchor) == ("part5.md", ("Part 5",), "part-5")
    assert [hit.rank for hit in answer.hits] == [1, 2, 3]
    assert best.snippet == TEXTS[5] and best.probability is None and best.relevant
    marked = [best.snippet[a:b] for a, b in best.highlights]
    assert marked == ["Filters", "valves", "filter"]
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)
    assert json.loads(json.dumps(answer.to_dict()))["hits"][0]["row"] == 5


def test_each_ranking_equals_its_definition(assembled):
    store = Store(assembled)
    assert store.rankings() == ["bm25", "base", "base_hybrid"]
    query = "read the pump"
    words = dict(zip(*map(list, store.rank([query], "bm25")[0]), strict=True))
    encoder = load_encoder(assembled / "base" / "encoder")
    contents = [stored.passage.content for stored in store.passages.passages()]
    cosines = encoder.encode(contents) @ encoder.encode([query], kind="query")[0]
    (near,) = store.rank([query], "base")
    assert near.rows.tolist() == np.argsort(-cosines).tolist()
    np.testing.assert_allclose(near.scores, np.sort(cosines)[::-1], atol=1e-5)
    lexical = np.array([words.get(row, 0.0) for row in range(len(TEXTS))])
    want = 0.3 * cosines + 0.7 * lexical / (lexical + 1.0)
    (both,) = store.rank([query])
    assert both.rows.tolist() == np.argsort(-want).tolist()
    np.testing.assert_allclose(both.scores, np.sort(want)[::-1], atol=1e-5)
    store.close()


@pytest.mark.parametrize("query", ["", "  \n", "\t"])
def test_an_empty_query_is_refused(assembled, query):
    with pytest.raises(ConfigError, match="query must hold a word"):
        Searcher(assembled).search(query)


def test_settings_out_of_range_are_refused(assembled):
    with pytest.raises(ConfigError, match="k must be at least 1"):
        Searcher(assembled).search("valve", k=0)
    with pytest.raises(ConfigError, match="did you mean 'base_hybrid'"):
        Searcher(assembled, ranking="base_hybird")
    with pytest.raises(ConfigError, match=r"no 'adapted' model.*bm25, base"):
        Searcher(assembled, ranking="adapted")
    with pytest.raises(ConfigError, match="no 'adapted' model"):
        Store(assembled).rank(["valve"], "adapted")


def test_the_cutoff_keeps_back_what_is_not_relevant(copy):
    adapter = CosineAdapter(32, family="linear", hidden=4)
    adapter.weights = {
        "inner": np.zeros((4, 32), np.float32),
        "inner_bias": np.zeros(4, np.float32),
        "outer": np.zeros((3, 4), np.float32),
        "offsets": np.array([2.0, -1.0, 0.0], np.float32),
    }
    plain = Searcher(copy).search("valve filter").hits
    vector = load_encoder(copy / "base" / "encoder").encode(["valve filter"], kind="query")
    values = adapter.scores(vector, np.array([[hit.score for hit in plain]]))[0]
    adapter.tau = float(values[:2].mean())
    adapter.save_pretrained(copy / "cutoff")
    sign(copy)
    searcher = Searcher(copy)
    assert [hit.row for hit in searcher.search("valve filter").hits] == [plain[0].row]
    every = searcher.search("valve filter", keep_all=True)
    assert [hit.row for hit in every.hits] == [hit.row for hit in plain]
    assert [hit.relevant for hit in every.hits] == [True] + [False] * 5
    np.testing.assert_allclose([hit.probability for hit in every.hits], values)
    nothing = searcher.search("zzz qqq")
    assert nothing.hits == () and nothing.nothing_relevant
    assert len(searcher.search("zzz qqq", keep_all=True).hits) == 6
    # The cut-off belongs to the shipped ranking alone.
    assert Searcher(copy, ranking="bm25").search("valve").hits[0].probability is None


@pytest.mark.parametrize(
    "name", ["passages.sqlite", "base/vectors.faiss", "base/encoder/model.bin", "manifest.json"]
)
def test_a_damaged_file_is_named(copy, name):
    path = copy / name
    whole = path.read_bytes()
    flipped = bytearray(whole)
    # Within "settings" of the manifest, so that it still is JSON.
    flipped[flipped.find(b"/data") + 1 if name == "manifest.json" else len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(StoreError, match=f"{name}' does not match its checksum"):
        Store(copy, verify=True)
    if name != "manifest.json":
        path.write_bytes(whole[:-5])
        with pytest.raises(StoreError, match=f"{name}' should have {len(whole)} bytes"):
            Store(copy)
        path.unlink()
        with pytest.raises(StoreError, match=f"{name}' is missing"):
            Store(copy)


def test_what_is_no_index_is_told(tmp_path, copy):
    with pytest.raises(StoreError, match="vecsmith build SOURCE"):
        Store(tmp_path / "none")
    change(copy, format=2)
    with pytest.raises(StoreError, match="format 2, this version reads up to 1; upgrade"):
        Store(copy)
    for damaged in ({"format": "1"}, {"fusions": {"x": {"power": 1}}}, {"stamps": [1]}):
        change(copy, **({"format": 1} | damaged))
        with pytest.raises(StoreError, match=r"manifest\.json' is damaged"):
            Store(copy)
    for text in ("[1]", '{"format": 1}', "{}"):
        (copy / "manifest.json").write_text(text)
        sign(copy)
        with pytest.raises(StoreError, match=r"manifest\.json' is damaged"):
            Store(copy)


def test_an_encoder_of_another_model_is_refused(copy):
    settings = json.loads((copy / "base" / "encoder" / "encoder.json").read_text())
    settings["stamp"]["weights"] = "0" * 32
    write_json(copy / "base" / "encoder" / "encoder.json", settings)
    sign(copy)
    with pytest.raises(StoreError, match="their similarities would mean nothing"):
        Searcher(copy).search("valve")
    assert Searcher(copy, ranking="bm25").search("valve").hits


def test_a_store_of_open_parts(assembled):
    whole = Store(assembled)
    space = VectorSpace(assembled / "base", whole.spaces["base"].stamp)
    parts = Store.assemble(whole.passages, {"base": space}, whole.fusions)
    one, two = whole.rank(["valve", "pump"]), parts.rank(["valve", "pump"])
    assert [r.rows.tolist() for r in one] == [r.rows.tolist() for r in two]
    assert Searcher(parts).search("valve").hits


def stem(text):
    return [word.lower() for word in text.replace("_", " ").split()]


@given(
    st.text(alphabet="ab c.\n数", max_size=300),
    st.sets(st.sampled_from(["a", "b", "ab", "数"]), max_size=2),
    st.integers(50, 120),
)
def test_marks_are_matching_words_of_the_text(text, stems, width):
    snippet, marks = highlight(text, stems, stem, width=width)
    flat = " ".join(text.split())
    assert snippet.removeprefix("… ").removesuffix(" …") in flat
    assert len(snippet) <= width + 4
    for start, end in marks:
        assert snippet[start:end].lower() in stems
    words = {w.lower() for part in flat.split() for w in part.split(".") if len(w) <= 10}
    assert bool(marks) or not stems & words


def test_a_far_match_is_shown_without_spaces_around():
    for far in ("x." * 300 + "valve" + ".y" * 300, "数。" * 200 + " valve" + "。数" * 200):
        snippet, marks = highlight(far, {"valve"}, stem)
        assert [snippet[a:b] for a, b in marks] == ["valve"]
