import numpy as np
import pytest

from vecsmith.core import DataError
from vecsmith.data.taxonomy import Taxonomy, hpo, icd10cm, read_obo, read_owl, read_rf2, wordnet

NAMES = {"r": "root", "a": "heart", "b": "lung", "a1": "heart attack", "a2": "heart failure"}
EDGES = [("a", "r"), ("b", "r"), ("a1", "a"), ("a2", "a"), ("a2", "a")]


@pytest.fixture
def small():
    return Taxonomy.from_edges(EDGES, NAMES, {"a1": ["infarct", "heart attack", " "]})


def test_pairs_name_first_and_each_phrase_once(small):
    assert small.pairs(["a1"]) == [("heart attack", "a1"), ("infarct", "a1")]
    assert len(small.pairs()) == 6 and small.name("a2") == "heart failure"
    assert small.parents["a2"] == ("a",) and "a2" in small and "x" not in small
    # the edge that comes twice weighs no more
    assert small.graph.adjacency.max() == 1


def test_distances_and_paths(small):
    pairs = [("a1", "a2"), ("a1", "b"), ("b", "b")]
    np.testing.assert_array_equal(small.distances(pairs), [2, 3, 0])
    assert small.path("a1", "b") == ["a1", "a", "r", "b"] and small.path("b", "b") == ["b"]
    assert np.isinf(small.distances(pairs, max_hops=2)[1])


def test_distances_over_several_blocks(monkeypatch):
    monkeypatch.setattr("vecsmith.data.taxonomy._taxonomy._BLOCK", 3)
    line = Taxonomy.from_edges([(i, i + 1) for i in range(9)], {i: str(i) for i in range(10)})
    pairs = [(i, j) for j in range(10) for i in range(10)]
    np.testing.assert_array_equal(line.distances(pairs), [abs(a - b) for a, b in pairs])


def test_parts_that_lie_apart_and_a_root_that_joins_them():
    apart = Taxonomy.from_edges(
        [("b", "a"), ("c", "d"), ("d", "c")], dict(zip("abcde", "vwxyz", strict=True))
    )
    assert len(set(apart.parts)) == 3 and apart.path("a", "c") == []
    assert np.isinf(apart.distances([("a", "e")])[0])
    joined = apart.rooted("top", "all")
    assert len(set(joined.parts)) == 1 and joined.ids[0] == "top" and len(joined) == 6
    assert joined.distances([("a", "e")])[0] == 2 and joined.name("e") == "z"
    with pytest.raises(DataError, match="there already"):
        joined.rooted("a", "x")


def test_subset(small):
    part = small.subset(["a", "a1", "b"])
    assert part.parents == {"a": (), "a1": ("a",), "b": ()} and len(part.pairs()) == 4
    assert np.isinf(part.distances([("a", "b")])[0])


@pytest.mark.parametrize(
    ("edges", "names", "synonyms", "match"),
    [
        ([], [("a", "x"), ("a", "y")], None, "comes twice"),
        ([], {"a": " "}, None, "needs a name"),
        ([], {}, None, "at least one concept"),
        ([("a", "b")], {"a": "x"}, None, "'b'.*has no name"),
        ([], {"a": "x"}, {"b": ["y"]}, "'b'.*has no name"),
        ([], {"a": "x"}, {"a": "y"}, "list of texts"),
        ([("a", "a")], {"a": "x"}, None, "self"),
        (["ab"], {"a": "x", "b": "y"}, None, "pairs of ids"),
    ],
)
def test_bad_input(edges, names, synonyms, match):
    with pytest.raises(DataError, match=match):
        Taxonomy.from_edges(edges, names, synonyms)


def test_unknown_ids(small):
    with pytest.raises(DataError, match="no node 'x'"):
        small.distances([("a", "x")])
    with pytest.raises(DataError, match="no node 'x'"):
        small.pairs(["x"])


def test_icd10cm_has_blocks_and_hangs_together():
    tax = icd10cm(["4", "10"])
    assert tax.path("E11.2", "J45")[:4] == ["E11.2", "E11", "E08-E13", "chapter 4"]
    assert set(tax.parts) == {0} and ("Diseases", "ICD-10-CM") in tax.pairs()
    with pytest.raises(DataError, match="chapters"):
        icd10cm("4")


def test_hpo_hangs_together():
    tax = hpo()
    assert set(tax.parts) == {0} and len(tax) > 19_000
    assert len(hpo(related=False).pairs()) < len(tax.pairs())


def test_wordnet_names_a_synset_by_its_first_lemma(monkeypatch):
    rows = [
        {"id": "n1", "lemmas": ["animal"], "hypernyms": []},
        {"id": "n2", "lemmas": ["dog", "hound", "Canis familiaris"], "hypernyms": ["n1"]},
    ]
    monkeypatch.setattr("vecsmith.data.samples.load_wordnet", lambda: rows, raising=False)
    tax = wordnet()
    assert tax.parents == {"n2": ("n1",)} and tax.pairs(["n1"]) == [("animal", "n1")]
    assert [phrase for phrase, _ in tax.pairs(["n2"])] == ["dog", "hound", "Canis familiaris"]


def test_obo(tmp_path):
    path = tmp_path / "x.obo"
    path.write_text(
        'format-version: 1.2\n\n[Term]\nid: X:1\nname: top\n\n[Term]\nid: X:2\nname: "a"\n'
        'synonym: "b \\"c\\"" EXACT []\nis_a: X:1 {s="!"} ! top\nis_a: Y:9\nis_a: X:2\n'
        "relationship: part_of X:3 ! part\n\n[Term]\nid: X:3\n\n[Term]\nid: X:4\n"
        "is_obsolete: true\n\n[Typedef]\nid: part_of\n"
    )
    tax = read_obo(path)
    assert tax.ids == ("X:1", "X:2", "X:3") and tax.parents == {"X:2": ("X:1",)}
    assert tax.synonyms["X:2"] == ('b "c"',) and tax.name("X:3") == "X:3"
    assert read_obo(path, relations=("is_a", "part_of")).parents["X:2"] == ("X:1", "X:3")
    path.write_text("nothing")
    with pytest.raises(DataError, match="no \\[Term\\]"):
        read_obo(path)
    with pytest.raises(DataError, match="OBO"):
        read_obo(tmp_path / "none")


def test_owl(tmp_path):
    path = tmp_path / "x.owl"
    head = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" '
        'xmlns:owl="http://www.w3.org/2002/07/owl#" xmlns:o="http://o#">'
    )
    path.write_text(
        head + '<owl:Class rdf:about="http://x/A"><rdfs:label>heart</rdfs:label></owl:Class>'
        '<owl:Class rdf:about="http://x#B"><o:hasExactSynonym>c</o:hasExactSynonym>'
        '<rdfs:subClassOf rdf:resource="http://x/A"/><rdfs:subClassOf rdf:resource="http://y"/>'
        '</owl:Class><owl:Class rdf:about="http://x/A"><o:exactSynonym>cor</o:exactSynonym>'
        '<rdfs:subClassOf rdf:resource="http://x/A"/></owl:Class>'
        '<owl:Class rdf:about="http://x/D"><owl:deprecated>true</owl:deprecated>'
        "</owl:Class></rdf:RDF>"
    )
    tax = read_owl(path)
    # told of twice: the name stays, synonyms are added
    assert tax.pairs(["http://x/A"]) == [("heart", "http://x/A"), ("cor", "http://x/A")]
    assert tax.pairs(["http://x#B"]) == [("B", "http://x#B"), ("c", "http://x#B")]
    assert len(tax) == 2
    assert tax.parents == {"http://x#B": ("http://x/A",)}
    path.write_text("Prefix(")
    with pytest.raises(DataError, match="RDF/XML"):
        read_owl(path)
    path.write_text(head + "</rdf:RDF>")
    with pytest.raises(DataError, match="no owl:Class"):
        read_owl(path)


def test_rf2(tmp_path):
    def write(kind, columns, rows):
        lines = ["\t".join(columns), *("\t".join(row) for row in rows)]
        (tmp_path / f"sct2_{kind}_Snapshot_X.txt").write_text("\n".join(lines) + "\n")

    with pytest.raises(DataError, match="Concept_Snapshot"):
        read_rf2(tmp_path)
    write("Concept", ["id", "active"], [["10", "1"], ["2", "1"], ["3", "0"], ["4", "1"]])
    full, plain, is_a = "900000000000003001", "900000000000013009", "116680003"
    columns = ["active", "conceptId", "languageCode", "typeId", "term"]
    texts = [
        ["1", "10", "en", full, 'Heart "attack" (disorder)'],
        ["1", "10", "en", plain, '"MI" alone'],
        ["0", "10", "en", plain, "old"],
        ["1", "2", "en", full, "Finding"],
        ["1", "4", "en", plain, "only a synonym"],
        ["1", "3", "en", full, "gone"],
    ]
    write("Description", columns, texts)
    links = [["1", "10", "2", is_a], ["1", "4", "2", "42"], ["1", "3", "2", is_a]]
    write("Relationship", ["active", "sourceId", "destinationId", "typeId"], links)
    tax = read_rf2(tmp_path)
    assert tax.ids == ("2", "4", "10") and tax.parents == {"10": ("2",)}
    assert tax.pairs(["10"]) == [('Heart "attack"', "10"), ('"MI" alone', "10")]
    with pytest.raises(DataError, match="'de'"):
        read_rf2(tmp_path, language="de")
    write("Concept", ["id", "alive"], [["1", "1"]])
    with pytest.raises(DataError, match="lacks"):
        read_rf2(tmp_path)
