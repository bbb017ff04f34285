import pytest

from vecsmith.core import DataError
from vecsmith.data.samples import load_icd9
from vecsmith.data.samples._icd9 import dotted, read_map, read_titles

HEAD = '"icd9cm","icd10cm","flags","approximate","no_map","combination","scenario","choice_list"\n'


def test_map_marks_what_is_no_single_target(tmp_path):
    path = tmp_path / "gem.csv"
    path.write_text(
        HEAD + '"0010","A000","00000",0,0,0,0,0\n"25000","E119","10000",1,0,0,0,0\n'
        '"36570","NoDx","11000",1,1,0,0,0\n"1234","A1","10112",1,0,1,1,2\n'
    )
    made = read_map(path)
    assert made["0010"] == {
        "targets": ["A00.0"],
        "approximate": False,
        "no_map": False,
        "combination": False,
    }
    assert made["25000"]["approximate"] and made["25000"]["targets"] == ["E11.9"]
    assert made["36570"]["no_map"] and made["36570"]["targets"] == []
    assert made["1234"]["combination"] and made["1234"]["targets"] == []


def test_icd9_is_whole():
    rows = {row["code"]: row for row in load_icd9()}
    assert len(rows) == 14_567
    assert rows["250.00"]["targets"] == ["E11.9"]
    assert rows["E800.0"]["title"].startswith("Railway accident")
    assert sum(row["no_map"] for row in rows.values()) == 425
    assert all(row["targets"] or row["no_map"] or row["combination"] for row in rows.values())


def test_the_dot():
    assert dotted("E8940") == "E89.40" and dotted("E8000", ninth=True) == "E800.0"
    assert dotted("V01", ninth=True) == "V01" and dotted("A00") == "A00"


def test_bad_files(tmp_path):
    path = tmp_path / "x"
    path.write_text("0010\n")
    with pytest.raises(DataError, match="line 1"):
        read_titles(path)
    path.write_text("")
    with pytest.raises(DataError, match="no titles"):
        read_titles(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="lacks"):
        read_map(path)
