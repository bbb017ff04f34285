"""The tour: steps reach their floors, the page has its pictures, unknown steps are refused."""

import numpy as np
import pytest

from vecsmith.cli import main
from vecsmith.core import ConfigError
from vecsmith.techniques import TECHNIQUES
from vecsmith.techniques.tour import QUICK, STEPS, Floor, StepResult, run, sense_areas, usages
from vecsmith.techniques.tour import _run as tour_run
from vecsmith.techniques.tour._step import bars


def step(value=1.0, least=0.5):
    figures = {"score": value, "chance": 0.1}
    floors = (Floor("score", least, "set beforehand"),)
    return StepResult("A step", "Did it.", figures, floors, ("tfidf",), bars(figures, "score"))


@pytest.fixture
def two(monkeypatch):
    seen = []

    def make(name):
        def go(quick, seed):
            seen.append((name, quick, seed))
            return step()

        return go

    monkeypatch.setattr(tour_run, "STEPS", {name: make(name) for name in ("one", "two")})
    monkeypatch.setattr(tour_run, "QUICK", ("two",))
    return seen


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_quick_walk_reaches_its_floors(tmp_path):
    results = run(quick=True, out=tmp_path)
    assert tuple(results) == QUICK
    page = (tmp_path / "tour.md").read_text()
    for name, result in results.items():
        assert not result.missed, name
        assert result.seconds > 0 and (tmp_path / f"{name}.png").stat().st_size > 5000
        assert f"![{result.title}]({name}.png)" in page
        assert set(result.techniques) <= set(TECHNIQUES)


@pytest.mark.parametrize("name", ["users", "bias"])
def test_other_steps_run_small(name):
    result = STEPS[name](True, 0)
    assert not [text for text in result.missed if name == "bias"]
    assert set(result.techniques) <= set(TECHNIQUES)
    assert all(np.isfinite(value) for value in result.figures.values())


def test_steps_come_in_order_and_as_asked(two, tmp_path):
    assert list(run(("two", "one"), out=tmp_path)) == ["one", "two"]
    assert two == [("one", False, 0), ("two", False, 0)]
    assert list(run(quick=True, seed=3)) == ["two"] and two[-1] == ("two", True, 3)
    assert (tmp_path / "one.png").exists()
    with pytest.raises(ConfigError, match="no step 'three'"):
        run("three")
    with pytest.raises(ConfigError, match="steps must name some"):
        run(())


def test_a_missed_floor_is_told():
    assert step().missed == []
    # a floor is to be passed, not met
    assert len(step(value=0.5).missed) == 1
    text = step(value=0.2).missed[0]
    assert text == "score is 0.200 and must be above 0.500 (set beforehand)"
    assert "**Missed: score is 0.200" in tour_run.page("x", step(value=0.2))


def test_the_command_fails_where_a_floor_is_missed(two, monkeypatch, capsys):
    assert main(["tour", "one"]) == 0
    assert "1.0000  score" in capsys.readouterr().out
    monkeypatch.setitem(tour_run.STEPS, "one", lambda quick, seed: step(value=0.2))
    assert main(["tour", "one", "--json"]) == 2
    shown = capsys.readouterr()
    assert '"missed": [' in shown.out and "floors were missed: one: score is 0.200" in shown.err
    assert main(["tour", "--list"]) == 0
    assert main(["tour", "nothing"]) == 2


def test_areas_of_senses_are_counted_by_hand():
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [1, 0], [1, 0], [1, 0]])
    lemmas = np.array(["bank"] * 3 + ["port"] * 3)
    senses = np.array([1, 1, 2, 1, 1, 2])
    # bank: the pair of one sense is the nearest of three; port: all tie
    assert sense_areas(vectors, lemmas, senses).tolist() == [1.0, 0.5]
    assert sense_areas(vectors[:2], lemmas[:2], senses[:2]).size == 0


def test_uses_have_the_noun_in_two_senses():
    for lemma, uses in usages(20, 0):
        senses = [sense for sense, _ in uses]
        assert len(set(senses)) > 1 and len(senses) > len(set(senses))
        assert all(lemma in text.split() for _, text in uses)
    assert usages(5, 1) == usages(5, 1) != usages(5, 2)
