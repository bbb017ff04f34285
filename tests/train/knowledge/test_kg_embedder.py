"""Entity vectors: losses against plain loops, scores and ranks against PyKEEN's, bad graphs."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.train.knowledge import (
    KGEmbedder,
    KGOptions,
    KnowledgeGraph,
    filtered_ranks,
    self_adversarial_loss,
    split_triples,
    summarise_ranks,
)
from vecsmith.train.knowledge._kg_embedder import _batches
from vecsmith.train.knowledge._products import PRODUCTS, shared_scores
from vecsmith.train.knowledge._pykeen import make_model, quiet_pykeen

QUICK = KGOptions(epochs=2, batch_size=16, negatives=8, cpu=True)


def ring(size=24):
    """A ring of places with two relations, one the other's inverse."""
    ahead = [(i, "next", (i + 1) % size) for i in range(size)]
    return ahead + [(t, "before", h) for h, _, t in ahead]


def test_loss_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(size=5), rng.normal(size=(5, 7))
    allowed = rng.random((5, 7)) > 0.3
    allowed[2] = False
    total = 0.0
    for row in range(5):
        places = np.flatnonzero(allowed[row])
        weights = np.exp(0.7 * negative[row, places])
        weights /= weights.sum() if len(places) else 1
        wrong = -sum(
            w * np.log(1 / (1 + np.exp(1.5 + negative[row, p])))
            for w, p in zip(weights, places, strict=True)
        )
        right = -np.log(1 / (1 + np.exp(-(1.5 + positive[row]))))
        total += (wrong + right) / 2 / 5
    found = self_adversarial_loss(
        torch.tensor(positive),
        torch.tensor(negative),
        margin=1.5,
        temperature=0.7,
        allowed=torch.tensor(allowed),
    )
    assert float(found) == pytest.approx(total, abs=1e-12)


def test_loss_is_pykeens():
    from vecsmith.train.knowledge._pykeen import load_pykeen

    losses = load_pykeen("pykeen.losses")
    rng = torch.Generator().manual_seed(0)
    positive, negative = torch.randn(6, generator=rng), torch.randn(6, 9, generator=rng)
    theirs = losses.NSSALoss(margin=2.0, adversarial_temperature=0.5)
    wanted = theirs.process_slcwa_scores(positive[:, None], negative)
    found = self_adversarial_loss(positive, negative, margin=2.0, temperature=0.5)
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)


def test_weights_of_negatives_get_no_gradient():
    negative = torch.tensor([[0.5, -0.2]], dtype=torch.float64, requires_grad=True)
    loss = self_adversarial_loss(torch.zeros(1), negative, margin=0.0, temperature=1.0)
    loss.backward()
    weights = torch.softmax(negative.detach(), 1)
    assert torch.allclose(negative.grad, weights * torch.sigmoid(negative.detach()) / 2)


@pytest.mark.parametrize("name", [*PRODUCTS, "rotate"])
def test_products_are_pykeens_scores(name):
    model = make_model(name, sizes=(9, 2), dim=6, seed=1, settings={}).double()
    others = torch.tensor([0, 3, 8, 3])
    pairs = torch.tensor([[0, 1], [7, 0]])
    with torch.no_grad(), quiet_pykeen():
        tails = shared_scores(name, model, pairs, others, heads=False)
        assert torch.allclose(tails, model.score_t(pairs)[:, others], atol=1e-6)
        turned = pairs.flip(1)
        heads = shared_scores(name, model, turned, others, heads=True)
        assert torch.allclose(heads, model.score_h(turned)[:, others], atol=1e-6)
        single = torch.tensor([[0, 1, 3]])
        assert float(model.score_hrt(single)) == pytest.approx(float(tails[0, 1]), abs=1e-6)


def test_powers_of_distances_take_pykeens_way():
    model = make_model("transe", sizes=(9, 2), dim=6, seed=1, settings={"power_norm": True})
    pairs, others = torch.tensor([[0, 1], [7, 0]]), torch.tensor([0, 3, 8])
    with torch.no_grad(), quiet_pykeen():
        found = shared_scores("transe", model, pairs, others, heads=False)
        assert torch.allclose(found, model.score_t(pairs)[:, others])


@pytest.mark.parametrize("name", ["transe", "distmult", "complex", "rotate"])
def test_scores_are_those_of_the_papers(name):
    kge = KGEmbedder(name, dim=3, options=QUICK).fit(ring(5))
    half = kge.entity_vectors.astype(np.float64)
    relation = kge._net.relation_representations[0](None).detach().numpy()
    if name in ("complex", "rotate"):
        half = half[:, :3] + 1j * half[:, 3:]
    if name == "rotate":
        np.testing.assert_allclose(np.abs(relation), 1, atol=1e-6)
    h, r, t = half[0], relation[0], half[1]
    wanted = {
        "transe": lambda: -np.linalg.norm(h + r - t),
        "distmult": lambda: (h * r * t).sum(),
        "complex": lambda: (h * r * t.conj()).sum().real,
        "rotate": lambda: -np.linalg.norm(h * r - t),
    }[name]()
    assert kge.score([(0, "next", 1)])[0] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("margin", [None, 1.5])
@pytest.mark.parametrize("name", ["transe", "complex"])
def test_the_loss_of_a_batch_is_that_of_its_parts(name, margin):
    """Both holes, the model's own margin, the decay and PyKEEN's regulariser."""
    graph = KnowledgeGraph.from_triples(ring(6))
    how = KGOptions(margin=margin, temperature=0.5, decay=0.2)
    kge = KGEmbedder(name, dim=4, options=how, settings={"regularizer": "lp"})
    model = kge._make(graph)
    rows = torch.from_numpy(graph.triples[:4])
    heads, tails = torch.tensor([0, 3, 5]), torch.tensor([1, 2, 4])
    with quiet_pykeen():
        found = float(kge._loss(model, rows, heads, tails).detach())
        # what other scores left behind is forgotten
        model.post_parameter_update()
        positive = model.score_hrt(rows).flatten()
        regular = float(model.collect_regularization_term().detach())
        wrong_tails = model.score_t(rows[:, :2])[:, tails]
        wrong_heads = model.score_h(rows[:, 1:])[:, heads]
    own = (6.0 if name == "transe" else 0.0) if margin is None else margin
    total = regular
    for wrong, allowed in (
        (wrong_tails, rows[:, 2:] != tails),
        (wrong_heads, rows[:, :1] != heads),
    ):
        part = self_adversarial_loss(positive, wrong, margin=own, temperature=0.5, allowed=allowed)
        total += float(part.detach())
    vectors = model.entity_representations[0](rows[:, [0, 2]].flatten()).detach().abs()
    assert regular > 0
    assert found == pytest.approx(total + 0.2 * float(vectors.square().sum(-1).mean()), rel=1e-4)


def test_constraints_hold_before_each_step():
    graph = KnowledgeGraph.from_triples(ring(6))
    kge = KGEmbedder("rotate", dim=4, options=QUICK)
    model = kge._make(graph)
    turns = model.relation_representations[0]
    with torch.no_grad():
        for weight in turns.parameters():
            weight.mul_(3)
    with quiet_pykeen():
        kge._loss(model, torch.from_numpy(graph.triples[:4]), torch.tensor([0]), torch.tensor([1]))
    np.testing.assert_allclose(turns(None).abs().detach(), 1, atol=1e-5)


def test_each_epoch_has_an_order_and_wrong_entities_of_its_own():
    graph = KnowledgeGraph.from_triples(ring())
    first, again, second = (list(_batches(graph, QUICK, epoch)) for epoch in (0, 0, 1))
    rows = torch.cat([part for part, _, _ in first])
    assert sorted(rows.tolist()) == sorted(graph.triples.tolist())
    for place in range(3):
        assert torch.equal(first[0][place], again[0][place])
        assert not torch.equal(first[0][place], second[0][place])


def test_pykeens_log_is_as_loud_as_before():
    logger = logging.getLogger("pykeen")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    with quiet_pykeen():
        assert logger.level == logging.ERROR
    assert logger.level == logging.DEBUG
    logger.setLevel(before)


@pytest.mark.parametrize("name", ["distmult", "complex", "rotate", "transe", "simple"])
def test_fits_any_model_and_repeats_by_seed(name):
    first = KGEmbedder(name, dim=4, options=QUICK).fit(ring())
    again = KGEmbedder(name, dim=4, options=QUICK).fit(ring())
    width = {"complex": 8, "rotate": 8, "simple": 8}.get(name, 4)
    assert first.entity_vectors.shape == (24, width)
    assert first.entity_vectors.dtype == np.float32
    assert np.array_equal(first.entity_vectors, again.entity_vectors)
    other = KGEmbedder(name, dim=4, options=KGOptions(epochs=2, negatives=8, cpu=True, seed=1))
    assert not np.array_equal(first.entity_vectors, other.fit(ring()).entity_vectors)


def test_complex_vectors_are_real_parts_then_imaginary_ones():
    kge = KGEmbedder("complex", dim=3, options=QUICK).fit(ring())
    made = kge._net.entity_representations[0](None).detach()
    assert np.array_equal(kge.entity_vectors[:, :3], made.real.numpy())
    assert np.array_equal(kge.entity_vectors[:, 3:], made.imag.numpy())


def test_learns_a_ring():
    how = KGOptions(epochs=60, batch_size=16, negatives=16, lr=0.1, decay=1e-3, cpu=True)
    kge = KGEmbedder("complex", dim=12, options=how).fit(ring())
    scores = kge.evaluate(ring())
    assert scores.mrr > 0.9
    assert kge.losses[-1] < kge.losses[0]
    wrong = [(h, "next", h) for h in range(24)]
    assert kge.score(ring()[:24]).mean() > kge.score(wrong).mean() + 1


def test_ranks_are_those_of_a_plain_loop():
    scores = np.array([[0.5, 0.9, 0.5, 0.1], [1.0, 2.0, 3.0, 4.0]])
    found = filtered_ranks(scores, np.array([0, 0]), [[1], [3, 0]])
    # row 0: entity 1 is filtered, entity 2 is level; row 1: 1 and 2 are above
    assert found.tolist() == [1.5, 3.0]
    assert summarise_ranks(found, (1, 3)).hits == {1: 0.0, 3: 1.0}
    assert summarise_ranks(found).mrr == pytest.approx((1 / 1.5 + 1 / 3) / 2)
    with pytest.raises(DataError, match="finite"):
        filtered_ranks(np.array([[np.nan]]), np.array([0]), [[]])


def test_evaluation_is_pykeens():
    from vecsmith.train.knowledge._pykeen import load_pykeen

    train, held = split_triples(
        [(i, "r", (i * 7 + j) % 30) for i in range(30) for j in range(4)], share=0.1
    )
    kge = KGEmbedder("distmult", dim=6, options=QUICK).fit(train)
    evaluator = load_pykeen("pykeen.evaluation").RankBasedEvaluator(filtered=True)
    rows = torch.from_numpy(kge.graph.numbered(held))
    with quiet_pykeen():
        theirs = evaluator.evaluate(
            kge._net,
            rows,
            additional_filter_triples=[torch.from_numpy(kge.graph.triples)],
            use_tqdm=False,
            batch_size=16,
        )
    found = kge.evaluate(held, ks=(10,))
    assert found.mrr == pytest.approx(theirs.get_metric("both.realistic.mrr"), rel=0.02)
    assert found.hits[10] == pytest.approx(theirs.get_metric("both.realistic.hits_at_10"))


def test_further_facts_are_no_rivals():
    train = [(i, "r", (i + 1) % 8) for i in range(8)]
    kge = KGEmbedder(dim=3, options=QUICK).fit(train)
    asked, more = [(0, "r", 4)], [(0, "r", k) for k in (2, 3, 5)] + [(k, "r", 4) for k in (5, 6)]
    for known in ([], more):
        found = kge.evaluate(asked, known=known).ranks
        facts = {*train, *asked, *known}
        for side in range(2):
            rivals = [(e, "r", 4) if side == 0 else (0, "r", e) for e in range(8)]
            scores = dict(zip(rivals, kge.score(rivals), strict=True))
            above = [f for f in rivals if f not in facts and scores[f] > scores[asked[0]]]
            assert found[side, 0] == 1 + len(above)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_held_out_is_known_from_training(seed):
    rng = np.random.default_rng(seed)
    triples = [(h, f"r{r}", t) for h, r, t in rng.integers(0, 7, (24, 3)).tolist()]
    train, held = split_triples(triples, share=0.6, seed=seed)
    known = {e for h, _, t in train for e in (h, t)}
    assert {e for h, _, t in held for e in (h, t)} <= known
    assert {r for _, r, _ in held} <= {r for _, r, _ in train}


def test_split_leaves_no_pair_on_both_sides():
    triples = [(i, "a", j) for i in range(12) for j in range(12) if (i * j) % 3 == 1]
    triples += [(t, "b", h) for h, _, t in triples]
    train, held = split_triples(triples, share=0.2, seed=3)
    assert sorted(map(str, train + held)) == sorted(map(str, set(triples)))
    assert held
    pairs = [{frozenset((h, t)) for h, _, t in side} for side in (train, held)]
    assert not pairs[0] & pairs[1]
    known = {e for h, _, t in train for e in (h, t)}
    assert {e for h, _, t in held for e in (h, t)} <= known
    assert split_triples(triples, share=0.2, seed=3) == (train, held)
    assert split_triples(triples, share=0.2, seed=4)[1] != held


def test_nothing_is_held_out_that_training_needs():
    with pytest.raises(DataError, match="denser"):
        split_triples([("a", "r", "b"), ("c", "r", "d")], share=0.5)
    with pytest.raises(ConfigError, match="share"):
        split_triples(ring(), share=1.0)


def test_duplicates_are_counted_and_names_kept():
    kge = KGEmbedder(dim=2, options=QUICK).fit(
        [("病", "is", "症状"), ("病", "is", "症状"), (("x", 1), "is", "病")], {"病": "illness"}
    )
    assert kge.graph.duplicates == 1
    assert kge.ids == ("病", "症状", ("x", 1))
    assert kge.names == ("illness", "症状", "('x', 1)")
    assert np.array_equal(kge.transform([("x", 1)])[0], kge.entity_vectors[2])


@pytest.mark.parametrize(
    ("triples", "text"),
    [
        ([], "empty graph"),
        ([("a", "b")], "triple 0 must be"),
        (["abc"], "triple 0 must be"),
        ([("a", "r", None)], "tail of triple 0"),
        ([("a", "r", float("nan"))], "tail of triple 0"),
        ([("", "r", "b")], "head of triple 0"),
        ([("a", ["r"], "b")], "hashable"),
    ],
)
def test_bad_graphs_are_refused(triples, text):
    with pytest.raises(DataError, match=text):
        KnowledgeGraph.from_triples(triples)


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match="distmult"):
        KGEmbedder("distmul", options=QUICK).fit(ring())
    with pytest.raises(ConfigError, match="cannot be made"):
        KGEmbedder("distmult", options=QUICK, settings={"strange": 1}).fit(ring())
    with pytest.raises(ConfigError, match="dim"):
        KGEmbedder(dim=0)
    with pytest.raises(ConfigError, match="epochs"):
        KGOptions(epochs=0)
    for wrong in ({"lr": 0}, {"temperature": -0.5}, {"decay": -1.0}):
        with pytest.raises(ConfigError, match="lr"):
            KGOptions(**wrong)
    with pytest.raises(ConfigError, match="fit first"):
        _ = KGEmbedder().entity_vectors
    kge = KGEmbedder(dim=2, options=QUICK).fit(ring())
    with pytest.raises(DataError, match=r"unknown entities: 99.*'after'"):
        kge.score([(99, "after", 1)])
    with pytest.raises(DataError, match="'nowhere'"):
        kge.transform([1, "nowhere"])


def test_saved_vectors_come_back_bit_for_bit(tmp_path):
    kge = KGEmbedder("rotate", dim=3, options=QUICK)
    kge.fit([*ring(), (("a", 1), "next", 0)], {3: "three"})
    kge.save_pretrained(tmp_path / "kge")
    again = KGEmbedder.from_pretrained(tmp_path / "kge")
    assert np.array_equal(kge.entity_vectors, again.entity_vectors)
    assert (again.ids, again.names, again.losses) == (kge.ids, kge.names, kge.losses)
    assert again.options == QUICK and again.names[3] == "three"
    assert np.array_equal(kge.score(ring()), again.score(ring()))
    files = {p.suffix for p in (tmp_path / "kge").iterdir()}
    assert files == {".json", ".safetensors"}
    (tmp_path / "kge" / "arrays.safetensors").write_bytes(b"cut")
    with pytest.raises(StoreError, match="damaged"):
        KGEmbedder.from_pretrained(tmp_path / "kge")
    odd = KGEmbedder(dim=2, options=QUICK).fit([(frozenset("a"), "r", "b"), ("b", "r", "c")])
    with pytest.raises(ConfigError, match="frozenset"):
        odd.save_pretrained(tmp_path / "odd")


def test_same_vectors_in_a_fresh_process(tmp_path):
    # strings are hashed with another key there
    triples = [(f"e{i}", "r", f"e{(i * 3 + 1) % 10}") for i in range(10)]
    KGEmbedder(dim=3, options=QUICK).fit(triples).save_pretrained(tmp_path / "here")
    code = (
        "from vecsmith.train.knowledge import KGEmbedder, KGOptions\n"
        "triples = [(f'e{i}', 'r', f'e{(i * 3 + 1) % 10}') for i in range(10)]\n"
        "how = KGOptions(epochs=2, batch_size=16, negatives=8, cpu=True)\n"
        "kge = KGEmbedder(dim=3, options=how).fit(triples)\n"
        f"kge.save_pretrained({str(tmp_path / 'there')!r})\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    here, there = (KGEmbedder.from_pretrained(tmp_path / n) for n in ("here", "there"))
    assert np.array_equal(here.entity_vectors, there.entity_vectors)
