import pytest

from vecsmith.core import DataError
from vecsmith.data.samples import fetch, load_hpo, load_icd10cm
from vecsmith.data.samples._hpo import _terms


def test_icd10cm_is_whole():
    rows = load_icd10cm()
    by_code = {row["code"]: row for row in rows}
    assert len(by_code) == len(rows) > 46_000
    assert by_code["E11.21"]["title"] == "Type 2 diabetes mellitus with diabetic nephropathy"
    assert by_code["E11.21"]["parent"] == "E11.2" and by_code["E11.21"]["category"] == "E11"
    assert any("Kimmelstiel-Wilson" in text for text in by_code["E11.21"]["synonyms"])
    assert sum(row["parent"] == "" for row in rows) == 1918
    parents = {row["parent"] for row in rows}
    assert all(row["leaf"] == (row["code"] not in parents) for row in rows)


def test_hpo_is_whole():
    rows = load_hpo()
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows) > 19_000
    seizure = by_id["HP:0001250"]
    assert seizure["name"] == "Seizure" and "Epileptic seizure" in seizure["exact"]
    assert all(parent in by_id for row in rows for parent in row["parents"])


def test_obo_details(tmp_path):
    path = tmp_path / "x.obo"
    path.write_text(
        'format-version: 1.2\n\n[Term]\nid: HP:1\nname: A "b"\ndef: "Say \\"x\\"." [PMID:1]\n'
        'synonym: "c" EXACT layperson [ORCID:1]\nsynonym: "d" BROAD []\n'
        "is_a: HP:2 {source=x} ! name\n\n[Term]\nid: HP:3\nname: gone\nis_obsolete: true\n\n"
        "[Typedef]\nid: part_of\nname: part of\n"
    )
    assert list(_terms(path)) == [
        {
            "id": "HP:1",
            "name": 'A "b"',
            "definition": 'Say "x".',
            "exact": ["c"],
            "related": ["d"],
            "parents": ["HP:2"],
        }
    ]


def test_unknown_package():
    with pytest.raises(DataError, match="icd10cm"):
        fetch("icd10")
