"""Each claim runs from end to end in seconds, and says what a result must say."""

import json
import math
from typing import Any

import pytest

from vecsmith.claims import run_claim

# what a reader of results relies on, whatever the claim
NEEDED: dict[str, type | tuple[type, ...]] = {
    "slug": str,
    "claim": str,
    "paper": dict,
    "data": str,
    "metric": str,
    "higher_is_better": bool,
    "effect_kind": str,
    "baseline": dict,
    "system": dict,
    "effect": (int, float),
    "ci95": list,
    "holds": bool,
    "seconds": (int, float),
    "peak_memory_mb": (int, float),
    "hardware": str,
    "versions": dict,
    "date": str,
}


def check(result: dict[str, Any], slug: str) -> None:
    for name, kind in NEEDED.items():
        assert isinstance(result[name], kind), name
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["slug"] == slug and set(result["paper"]) == {"figure", "baseline"}
    baseline, system = result["baseline"]["values"], result["system"]["values"]
    assert len(baseline) == len(system) == 2
    mean = sum(system) / 2 - sum(baseline) / 2
    low, high = result["ci95"]
    assert result["effect"] == pytest.approx(mean, abs=1e-6) and low <= result["effect"] <= high
    assert result["quick"] is True and result["holds"] is False and result["notes"]
    # some 10 s by itself, vectors in the cache or not; the rest is for a busy machine
    assert result["seconds"] < 60
    assert all(math.isfinite(value) for row in result["extra_by_seed"] for value in row.values())


@pytest.mark.slow
def test_gistembed() -> None:
    result = run_claim("gistembed", seeds=2, quick=True)
    check(result, "gistembed")
    assert {"map_r1_gte", "map_r1_gist", "map_r1_oracle"} <= set(result["extra"])
    for row in result["extra_by_seed"]:
        assert 0 < row["recall_r1_strong"] < row["recall_r1_strong_margin"] <= 1


@pytest.mark.slow
def test_self_positioning() -> None:
    result = run_claim("self-positioning", seeds=2, quick=True)
    check(result, "self-positioning")
    arms = ("joint temperature", "greedy soup", "random search")
    assert {f"mrr {arm}" for arm in arms} <= set(result["extra"])
    for row in result["extra_by_seed"]:
        assert row["probe definitions"] == 60
        for part in ("probe", "train"):
            assert row[f"overlap of {part} and test, definitions"] == 0
            assert row[f"overlap of {part} and test, words"] == 0


@pytest.mark.slow
def test_dupmae() -> None:
    result = run_claim("dupmae", seeds=2, quick=True)
    check(result, "dupmae")
    needed = {"mrr_bm25", "mrr_lexical_retromae", "mrr_raw_lexical_dupmae_1", "mrr_sum_dupmae_1"}
    assert needed <= set(result["extra"])


@pytest.mark.slow
def test_nv_embed() -> None:
    result = run_claim("nv-embed", seeds=2, quick=True)
    check(result, "nv-embed")
    for row in result["extra_by_seed"]:
        assert all(0.25 < row[f"f1_{kind}_in_batch_off"] < 1 for kind in ("label", "example"))


@pytest.mark.slow
@pytest.mark.parametrize("slug", ["starbucks", "two-d-matryoshka"])
def test_elastic_encoders(slug: str) -> None:
    result = run_claim(slug, seeds=2, quick=True)
    check(result, slug)
    arms = {"starbucks": ("2dmse", "srl"), "two-d-matryoshka": ("untrained", "mrl", "2dmse")}
    for row in result["extra_by_seed"]:
        for arm in arms[slug]:
            sizes = [row[f"mrr {arm} {size}"] for size in ("1,24", "2,48", "3,96")]
            assert row[f"mrr {arm} small"] == pytest.approx(sum(sizes) / 3)
            assert 0 < sizes[0] < row[f"mrr {arm} 4,384"] <= 1


@pytest.mark.slow
def test_moe_contrastive() -> None:
    result = run_claim("moe-contrastive", seeds=2, quick=True)
    check(result, "moe-contrastive")
    for row in result["extra_by_seed"]:
        assert row["difference from dense before training"] < 1e-6
        assert {"mrr dense on lemma", "mrr moe on kind"} <= set(row)


@pytest.mark.slow
def test_hiprbert() -> None:
    result = run_claim("hiprbert", seeds=2, quick=True)
    check(result, "hiprbert")
    for row in result["extra_by_seed"]:
        assert row["cosine falls levels"] == 1.0
        assert 0.5 < row["auc 2vfar untouched"] < 1 and 0 < row["synonym@1 word overlap"] < 1


@pytest.mark.slow
def test_twin_merging() -> None:
    result = run_claim("twin-merging", seeds=2, quick=True)
    check(result, "twin-merging")
    assert {"normalised rank 1", "normalised ties", "router accuracy"} <= set(result["extra"])


@pytest.mark.slow
def test_class_incremental() -> None:
    result = run_claim("class-incremental", seeds=2, quick=True)
    check(result, "class-incremental")
    assert {"ADAM, ssf, average", "SimpleCIL, forgetting"} <= set(result["extra"])
    assert result["extra"]["order, largest difference of prototypes"] < 1e-6


@pytest.mark.slow
def test_restore() -> None:
    result = run_claim("restore", seeds=2, quick=True)
    check(result, "restore")
    assert {"lift 2 ring, hope", "floor 3 ring", "simlex999, deepwalk"} <= set(result["extra"])


@pytest.mark.slow
def test_snip() -> None:
    result = run_claim("snip", seeds=2, quick=True)
    check(result, "snip")
    needed = {"retrieval @10, snip", "laws, R2, search", "ncr, 1000 labels, scratch"}
    assert needed <= set(result["extra"])
    for row in result["extra_by_seed"]:
        assert row["laws, decoded formulas, search"] == row["laws, decoded formulas, random"]


@pytest.mark.slow
def test_kg_qa() -> None:
    result = run_claim("kg-qa", seeds=2, quick=True)
    check(result, "kg-qa")
    needed = {"systems, random, dekcor", "systems, mlp, dekcor", "systems, most frequent"}
    assert needed <= set(result["extra"])


@pytest.mark.slow
def test_text2node() -> None:
    result = run_claim("text2node", seeds=2, quick=True)
    check(result, "text2node")
    for row in result["extra_by_seed"]:
        assert row["TF-IDF, unseen, accuracy@10"] == 0 < row["TF-IDF, seen, accuracy@10"]
    assert "sum, unseen, within 2" in result["extra"]
