"""Generated parts of README and docs: what they say, and that a stale one is noticed."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from vecsmith.core import read_json, write_json
from vecsmith.systems import SYSTEMS

ROOT = Path(__file__).resolve().parents[2]


def load():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tools" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The generator on a copy of README and docs, and a function that runs it."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    module = load()
    monkeypatch.setattr(module, "ROOT", tmp_path)

    def run(*options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["generate.py", *options])
        return module.main()

    return tmp_path, run


RESULT = {
    "metric": "MAP",
    "effect_kind": "difference",
    "baseline": {"name": "old", "values": [0.5, 0.6, 0.7]},
    "system": {"name": "new", "values": [0.7, 0.8, 0.9]},
    "effect": 0.2,
    "ci95": [-0.01, 0.41],
    "holds": False,
    "notes": ["chance was not measured"],
    "date": "2026-01-31",
    "seconds": 12.4,
    "hardware": "two cores",
}


def test_headline_says_verdict_effect_and_interval() -> None:
    assert load().headline(RESULT) == (
        "**The claim does not hold.** Metric: MAP. 0.6000 with old; 0.8000 with new.\n"
        "**Difference +0.2000, 95% interval -0.0100 to +0.4100**, 3 seeds.\n"
        "Measured on 2026-01-31 in 12 s (two cores).\n"
        "Note: chance was not measured."
    )


def test_headline_of_a_ratio_has_no_sign() -> None:
    ratio = {**RESULT, "effect_kind": "ratio", "ci95": [0.1, 0.3], "holds": True, "notes": []}
    text = load().headline(ratio)
    assert "**Ratio 0.2000, 95% interval 0.1000 to 0.3000**" in text
    assert text.startswith("**The claim holds.**") and "Note" not in text


def test_headline_without_a_result() -> None:
    assert load().headline({}) == "Not measured yet."


def test_stored_pages_are_fresh(copy) -> None:
    _, run = copy
    assert run("--check") == 0


@pytest.mark.parametrize("slug", sorted(SYSTEMS))
def test_new_result_makes_the_page_stale(copy, capsys, slug: str) -> None:
    root, run = copy
    path, page = root / "docs" / "claims" / f"{slug}.json", root / "docs" / "systems" / f"{slug}.md"
    before = page.read_text("utf-8")
    write_json(path, {**read_json(path), "ci95": [0.1234, 0.9876], "holds": False})
    assert run("--check") == 1
    assert f"{slug}.md is stale" in capsys.readouterr().err
    assert page.read_text("utf-8") == before
    assert run() == 0 and run("--check") == 0
    after = page.read_text("utf-8")
    assert "95% interval +0.1234 to +0.9876" in after and "The claim does not hold" in after
    # nothing but the generated part has changed
    begin, end = "<!-- generated: headline -->", "<!-- end of generated: headline -->"
    assert before.split(begin)[0] == after.split(begin)[0]
    assert before.split(end)[1] == after.split(end)[1]


@pytest.mark.parametrize("marks", ["", "<!-- generated: x -->", "<!-- end of generated: x -->"])
def test_missing_marks_are_named(marks: str) -> None:
    with pytest.raises(ValueError, match="generated: x"):
        load().filled(f"text {marks} text", "x", "content")
