"""The model card says what the report says, and the model loads beside it."""

import json

import pytest

from vecsmith.build._card import model_card


@pytest.fixture(scope="module")
def report(built):
    return json.loads((built / "report.json").read_text("utf-8"))


def test_the_adapted_model_has_a_card_with_its_scores(built, report):
    card = (built / "adapted" / "model" / "README.md").read_text("utf-8")
    assert card.startswith("---\nbase_model: ")
    for name, scores in report["judge"]["test"]["rankings"].items():
        assert f"| {name} | {scores['ndcg@10']['mean']:.3f} |" in card
    assert f"{report['read']['documents']:,} documents" in card
    assert report["versions"]["torch"] in card and "{" not in card
    checked = json.loads((built / "checksums.json").read_text("utf-8"))
    assert "adapted/model/README.md" in checked


def test_the_model_loads_with_the_card_beside_it(built):
    from vecsmith.encode import load_sentence_transformer

    assert load_sentence_transformer(built / "adapted" / "model").encode(["valve"]).shape[1] == 32


def test_a_name_with_line_breaks_cannot_forge_the_header(built, report):
    stamp = json.loads((built / "manifest.json").read_text("utf-8"))["stamps"]["adapted"]
    forged = {**report, "settings": {**report["settings"], "model": "x\nlicense: mit"}}
    assert "\nlicense:" not in model_card(forged, stamp)


def test_a_collection_too_small_to_judge_gets_a_card_all_the_same(built, report):
    stamp = json.loads((built / "manifest.json").read_text("utf-8"))["stamps"]["adapted"]
    judge = {**report["judge"], "test": {"queries": 0, "rankings": {}}}
    assert "too few documents" in model_card({**report, "judge": judge}, stamp)
