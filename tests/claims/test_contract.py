"""Running a claim: the result's shape, and that effect and judgement follow from the values."""

import json
import sys
import types

import numpy as np
import pytest
import torch

from vecsmith.claims import Claim, Measurement, claims_table, load_claim, run_claim
from vecsmith.core import ConfigError, numpy_generator, seeds_and_items_interval, write_json
from vecsmith.systems import SYSTEMS, System

SLUG = "tiny-claim"
KEYS = {
    "slug",
    "claim",
    "paper",
    "data",
    "metric",
    "higher_is_better",
    "effect_kind",
    "baseline",
    "system",
    "extra",
    "extra_by_seed",
    "effect",
    "ci95",
    "holds",
    "notes",
    "quick",
    "seconds",
    "peak_memory_mb",
    "hardware",
    "versions",
    "date",
}


@pytest.fixture
def install(monkeypatch):
    """Put a claim into the table of systems, and give what `measure` was called with."""
    calls = []

    def put(measure, **changes):
        def wrapped(seed: int, quick: bool) -> Measurement:
            calls.append((seed, quick, torch.get_num_threads()))
            return measure(seed)

        settings = {
            "slug": SLUG,
            "claim": "one sentence",
            "paper": {"figure": "+1", "baseline": "none"},
            "data": "made up",
            "metric": "score",
            "baseline": "old",
            "system": "new",
            "measure": wrapped,
            "threads": 1,
        }
        module = types.ModuleType("vecsmith.claims.tiny_claim")
        module.CLAIM = Claim(**{**settings, **changes})
        monkeypatch.setitem(sys.modules, "vecsmith.claims.tiny_claim", module)
        monkeypatch.setitem(SYSTEMS, SLUG, System("Tiny", 2024, "vecsmith.core:Stamp", "d", "u"))
        return calls

    return put


def numbers(gain: float, spread: float = 0.01):
    def measure(seed: int) -> Measurement:
        base = 0.5 + 0.1 * seed
        return Measurement(base, base + gain + spread * (seed - 1), extra={"x": float(seed)})

    return measure


def items(gain: float):
    def measure(seed: int) -> Measurement:
        rng = numpy_generator(seed, "items")
        base = rng.uniform(size=200)
        system = base + rng.normal(gain, 0.05, 200)
        return Measurement(float(base.mean()), float(system.mean()), base, system)

    return measure


def test_result_is_the_contract(install) -> None:
    calls = install(numbers(0.1))
    threads = torch.get_num_threads()
    result = run_claim(SLUG, seeds=3)
    assert set(result) == KEYS
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert calls == [(0, False, 1), (1, False, 1), (2, False, 1)]
    assert torch.get_num_threads() == threads
    assert result["baseline"] == {"name": "old", "values": pytest.approx([0.5, 0.6, 0.7])}
    assert result["system"] == {"name": "new", "values": pytest.approx([0.59, 0.7, 0.81])}
    assert result["extra"] == {"x": 1.0}
    assert result["extra_by_seed"] == [{"x": 0.0}, {"x": 1.0}, {"x": 2.0}]
    assert result["versions"]["torch"] == torch.__version__
    assert result["slug"] == SLUG and result["quick"] is False
    assert result["seconds"] >= 0 and "cores" in result["hardware"]


def test_effect_and_interval_follow_from_the_values(install) -> None:
    install(numbers(0.1))
    result = run_claim(SLUG, seeds=3)
    expected = seeds_and_items_interval(result["system"]["values"], result["baseline"]["values"])
    assert (result["effect"], *result["ci95"]) == pytest.approx(tuple(expected))
    assert result["effect"] == pytest.approx(0.1) and result["holds"] is True


def test_effect_of_items(install) -> None:
    install(items(0.03))
    result = run_claim(SLUG, seeds=3)
    measured = [items(0.03)(seed) for seed in range(3)]
    expected = seeds_and_items_interval(
        [m.system_items for m in measured], [m.baseline_items for m in measured]
    )
    assert (result["effect"], *result["ci95"]) == pytest.approx(tuple(expected))
    assert result["holds"] is True
    # the items are judged, and not stored
    assert len(json.dumps(result)) < 5000


@pytest.mark.parametrize(
    ("gain", "higher", "holds"),
    [(0.1, True, True), (-0.1, True, False), (0.01, True, False), (-0.1, False, True)],
)
def test_holds_follows_from_the_interval(install, gain: float, higher: bool, holds: bool) -> None:
    install(numbers(gain), higher_is_better=higher)
    result = run_claim(SLUG, seeds=3)
    low, high = result["ci95"]
    assert result["holds"] is holds
    assert holds == (low > 0 if higher else high < 0)


def test_ratio(install) -> None:
    install(lambda seed: Measurement(2.0 + seed, (2.0 + seed) * (0.5 + 0.01 * seed)))
    assert run_claim(SLUG, seeds=3)["effect"] == pytest.approx(-1.3, abs=0.2)
    install(
        lambda seed: Measurement(2.0 + seed, (2.0 + seed) * (0.5 + 0.01 * seed)),
        effect_kind="ratio",
        higher_is_better=False,
    )
    result = run_claim(SLUG, seeds=3)
    assert result["effect"] == pytest.approx(0.51)
    assert result["holds"] is True and result["ci95"][1] < 1.0


def test_quick_judges_nothing(install) -> None:
    calls = install(numbers(0.5))
    result = run_claim(SLUG, seeds=2, quick=True)
    assert [quick for _, quick, _ in calls] == [True, True]
    assert result["ci95"][0] > 0
    assert result["quick"] is True and result["holds"] is False
    assert run_claim(SLUG, seeds=3, quick=True)["notes"] == ["a quick run judges nothing"]


@pytest.mark.parametrize(("seeds", "holds"), [(2, False), (3, True)])
def test_two_seeds_judge_nothing(install, seeds: int, holds: bool) -> None:
    install(items(0.3))
    result = run_claim(SLUG, seeds=seeds)
    assert result["ci95"][0] > 0
    assert result["holds"] is holds
    assert [note.partition(";")[0] for note in result["notes"]] == ([] if holds else ["2 seeds"])


@pytest.mark.parametrize("rounding", [0.0, 1e-16])
def test_equal_effects_are_no_certainty(install, rounding: float) -> None:
    install(lambda seed: Measurement(0.25, 0.5 + rounding * seed))
    result = run_claim(SLUG, seeds=3)
    assert result["effect"] == pytest.approx(0.25) and result["ci95"] == pytest.approx([0.25, 0.25])
    assert result["holds"] is False
    assert len(result["notes"]) == 1 and "no width" in result["notes"][0]


def test_equal_seeds_leave_the_chance_of_the_items(install) -> None:
    install(lambda seed: items(0.3)(0))
    result = run_claim(SLUG, seeds=3)
    assert result["ci95"][0] < result["effect"] < result["ci95"][1]
    assert result["holds"] is True and result["notes"] == []


def test_extra_is_averaged_over_the_seeds_that_have_it(install) -> None:
    install(lambda seed: Measurement(0.0, 1.0, extra={"a": seed, **({"b": 4.0} if seed else {})}))
    assert run_claim(SLUG, seeds=3)["extra"] == {"a": 1.0, "b": 4.0}


def test_each_seed_starts_from_its_own_global_state(install) -> None:
    def measure(seed: int) -> Measurement:
        return Measurement(0.0, float(torch.rand(())) + float(np.random.rand()))  # noqa: NPY002

    install(measure)
    first, second = (run_claim(SLUG, seeds=2)["system"]["values"] for _ in range(2))
    assert first == second and first[0] != first[1]


def test_failing_measure_gives_the_threads_back(install) -> None:
    def fails(seed: int) -> Measurement:
        raise RuntimeError("no data")

    install(fails)
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="no data"):
        run_claim(SLUG)
    assert torch.get_num_threads() == threads


def test_bad_input_is_named(install) -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        run_claim(SLUG, seeds=1)
    with pytest.raises(ConfigError, match=r"no system is called 'self-position'.*did you mean"):
        run_claim("self-position")
    with pytest.raises(ConfigError, match="known:"):
        load_claim("nothing of the kind")
    install(lambda seed: Measurement(0.0, float("nan")))
    with pytest.raises(ConfigError, match="finite"):
        run_claim(SLUG)


def test_table_of_stored_results(install, tmp_path) -> None:
    install(numbers(0.1))
    result = run_claim(SLUG, seeds=3)
    write_json(tmp_path / f"{SLUG}.json", result)
    write_json(tmp_path / f"{SLUG}.gpu.json", {**result, "metric": "not shown"})
    table = claims_table(tmp_path)
    assert table.count("\n") == 3 and "not shown" not in table
    assert f"| [{SLUG}](systems/{SLUG}.md) | score | old: 0.6 | new: 0.7 | +0.1000 (" in table
    assert table.rstrip().endswith("| yes |")
