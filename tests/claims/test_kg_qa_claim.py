"""The claim's own parts: what the graph may not hold, and what questions may share."""

from collections import Counter

import numpy as np
import pytest

from vecsmith.claims import kg_qa as claim


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph's entities without their vectors, which questions do not look at."""
    ids = {e for h, _, t in claim.graph_triples() for e in (h, t)}
    known = type("Known", (), {"ids": sorted(ids)})()
    monkeypatch.setattr(claim, "graph", lambda size: known)


def test_no_hidden_pair_and_no_answer_is_in_the_graph() -> None:
    hidden = claim.world().hidden
    assert len(hidden) > 20_000
    triples = claim.graph_triples()
    assert len(set(triples)) == len(triples)
    linked = {(h, t) for h, _, t in triples} | {(t, h) for h, _, t in triples}
    assert not hidden & linked
    assert not set(claim.system_of().items()) & linked


def test_a_disease_has_the_system_that_most_of_its_signs_lie_in() -> None:
    systems, branches = claim.system_of(), claim.branch_of()
    assert len(set(systems.values())) == claim.SYSTEMS
    signs: dict[str, list[str]] = {}
    for disease, sign in claim.world().pairs:
        signs.setdefault(disease, []).append(sign)
    for disease, system in list(systems.items())[::50]:
        counts = Counter(b for sign in signs[disease] for b in branches[sign])
        assert all(counts[other] < counts[system] for other in counts if other != system)


def test_questions_share_no_disease(untrained: None) -> None:
    sides = [claim.system_questions(seed, claim.FULL) for seed in (0, 1, None)]
    for parts in sides:
        asked = [{q.facts[0] for q in part} for part in (parts.train, parts.test)]
        assert len(asked[0]) == claim.FULL.train and not asked[0] & asked[1]
    development = {q.facts[0] for q in sides[2].test}
    for parts in sides[:2]:
        assert not development & {q.facts[0] for q in [*parts.train, *parts.test]}
    assert {q.question for q in sides[0].test} != {q.question for q in sides[1].test}
    right, names = claim.system_of(), claim.world().names
    assert all(q.label == names[right[q.facts[0]]] for q in sides[0].test)


def test_signs_lie_below_organ_systems() -> None:
    branches = claim.branch_of()
    assert len(set().union(*branches.values())) > 20
    assert branches["HP:0001166"]


def test_control_has_mean_and_spread_of_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(50, 8)).astype(np.float32)
    known = type("Known", (), {"ids": list("abcdefghij") + [str(i) for i in range(40)]})()
    monkeypatch.setattr(claim, "graph", lambda size: known)
    monkeypatch.setattr(claim, "aligned", lambda row, size: (table, {}))
    wanted = known.ids[5:25]
    real, made = (
        np.stack(list(claim.vectors_of_row(row, wanted, 3, claim.QUICK).values()))
        for row in ("mlp", "random")
    )
    assert np.array_equal(real, table[5:25])
    assert np.allclose(real.mean(0), made.mean(0), atol=1e-5)
    assert np.square(real).sum() == pytest.approx(np.square(made).sum(), rel=1e-4)
    assert not np.allclose(real, made)
