"""WordNet's noun database: a hand-made line, and the real one."""

from pathlib import Path

import pytest

from vecsmith.core import DataError
from vecsmith.data.samples import load_wordnet
from vecsmith.data.samples._wordnet import read_synsets

LINE = (
    "02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 003 @ 02083346 n 0000 "
    "@i 01317541 n 0000 ~ 01322604 n 0000 | a member of the genus Canis; kept by man; "
    '"the dog barked all night"; "a dog"  \n'
)


def test_line_of_the_database(tmp_path: Path) -> None:
    path = tmp_path / "data.noun"
    path.write_text("  1 a licence\n" + LINE)
    assert read_synsets(path) == [
        {
            "id": "n02084071",
            "field": "animal",
            "lemmas": ["dog", "domestic dog", "Canis familiaris"],
            "gloss": "a member of the genus Canis; kept by man",
            "examples": ["the dog barked all night", "a dog"],
            "hypernyms": ["n02083346", "n01317541"],
        }
    ]
    path.write_text(LINE + "no synset\n")
    with pytest.raises(DataError, match="line 2 of"):
        read_synsets(path)


@pytest.mark.slow
def test_real_database() -> None:
    nouns = load_wordnet()
    assert len(nouns) == 82115
    assert nouns[0]["lemmas"] == ["entity"]
    known = set(nouns["id"])
    assert all(parent in known for parents in nouns["hypernyms"] for parent in parents)
    assert all(nouns["gloss"])
