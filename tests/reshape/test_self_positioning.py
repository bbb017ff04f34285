"""Self Positioning: exact gradients, known optima, probes, reports, real sentence encoders."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.reshape import (
    EqualTargetLoss,
    MergeSet,
    PositionOptions,
    SelfPositioning,
    task_vector_report,
)
from vecsmith.reshape.merge import Probe, masked_info_nce, position_gradient

Move = Callable[..., nn.Module]


def contrast(model: nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
    right = torch.arange(len(batch[0]))
    return functional.cross_entropy(model(batch[0]) @ model(batch[1]).T * 5, right)


def rows(seed: int, count: int = 24) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, 6, generator=generator, dtype=torch.float64)
    return list(zip(x, x + 0.3 * noise, torch.arange(count) % 8, strict=True))


def three(small: nn.Module, moved: Move) -> MergeSet:
    return MergeSet(small, {str(i): moved(small, i) for i in range(1, 4)})


@pytest.mark.parametrize("granularity", ["model", "layer"])
def test_inner_product_gradient_equals_autograd(
    small: nn.Module, granularity: str, moved: Move
) -> None:
    ms = three(small, moved)
    probe = {"p": rows(0), "q": rows(1)}
    options = PositionOptions(batch=8, lam=0.8)
    weights = {"p": 3.0, "q": 1.0}
    sp = SelfPositioning(
        ms, contrast, probe, weights, granularity=granularity, mu=0.05, options=options
    )
    sp.logits = torch.randn(
        sp.logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    sp._place()
    sp.probe._order = {"p": list(range(24)), "q": list(range(24))}
    _, products = sp._measure()
    by_logits, by_lam = position_gradient(products, sp.logits, sp.lam, mu=0.05)

    # the same through autograd, all the way from the coefficients
    logits = sp.logits.clone().requires_grad_(True)
    lam = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    alpha = torch.softmax(logits, -1)
    theta = {
        name: ms.start(name)
        + lam
        * sum(alpha[sp.groups[name], t] * ms.delta(task, name) for t, task in enumerate("123"))
        for name in ms.names
    }

    def called(x: torch.Tensor) -> torch.Tensor:
        return functional_call(small, theta, (x,))

    total = 0.05 * lam**2
    for task, share in (("p", 0.75), ("q", 0.25)):
        batch = torch.utils.data.default_collate(probe[task][:8])
        total = total + share * contrast(called, batch)
    total.backward()
    assert logits.shape[0] == (1 if granularity == "model" else 3)
    torch.testing.assert_close(by_logits, logits.grad, rtol=1e-10, atol=1e-12)
    assert by_lam == pytest.approx(float(lam.grad), rel=1e-10)


def test_position_gradient_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    slope = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    logits = torch.randn(2, 3, generator=generator, dtype=torch.float64)

    def loss(logits: torch.Tensor, lam: float) -> float:
        # linear in theta, so the products are constant
        return float(lam * (torch.softmax(logits, -1) * slope).sum()) + 0.1 * lam**2

    by_logits, by_lam = position_gradient(slope, logits, 0.7, mu=0.1)
    step = 1e-6
    for index in range(6):
        shift = torch.zeros(6, dtype=torch.float64)
        shift[index] = step
        change = loss(logits + shift.view(2, 3), 0.7) - loss(logits - shift.view(2, 3), 0.7)
        assert float(by_logits.flatten()[index]) == pytest.approx(change / (2 * step), abs=1e-8)
    change = loss(logits, 0.7 + step) - loss(logits, 0.7 - step)
    assert by_lam == pytest.approx(change / (2 * step), abs=1e-8)


def nearness(target: dict[str, torch.Tensor]) -> object:
    def loss(model: nn.Module, batch: object) -> torch.Tensor:
        return sum(((value - target[name]) ** 2).sum() for name, value in model.named_parameters())

    return loss


def test_known_optimum_is_found(small: nn.Module, moved: Move) -> None:
    ms = MergeSet(small, {"a": moved(small, 1), "b": moved(small, 2)})
    state = {
        n: ms.start(n) + 0.6 * (0.8 * ms.delta("a", n) + 0.2 * ms.delta("b", n)) for n in ms.names
    }
    sp = SelfPositioning(ms, nearness(state), {"all": rows(0)}, mu=0.0)
    merged = sp.fit(300)
    assert sp.alpha == pytest.approx((0.8, 0.2), abs=1e-3)
    assert sp.lam == pytest.approx(0.6, abs=1e-3)
    assert len(sp.trace) == 300 and sp.trace[-1]["loss"] < 1e-4 < sp.trace[0]["loss"]
    for name, value in merged.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=0, atol=2e-3)
    # the inputs are as they were
    fresh = MergeSet(small, {"a": moved(small, 1)})
    torch.testing.assert_close(ms.task_vector("a"), fresh.task_vector("a"))


def test_single_expert_learns_only_the_length(small: nn.Module, moved: Move) -> None:
    ms = MergeSet(small, {"adapted": moved(small, 1)})
    state = {n: ms.start(n) + 0.4 * ms.delta("adapted", n) for n in ms.names}
    sp = SelfPositioning(ms, nearness(state), {"domain": rows(0), "general": rows(1)}, mu=0.0)
    sp.fit(200)
    assert sp.alpha == (1.0,)
    assert sp.lam == pytest.approx(0.4, abs=1e-3)
    penalised = SelfPositioning(ms, nearness(state), {"domain": rows(0)}, mu=10.0)
    penalised.fit(200)
    assert penalised.lam < 0.35


def test_layers_get_their_own_direction(moved: Move) -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4).double() for _ in range(2)])

    torch.manual_seed(0)
    base = Stack()
    ms = MergeSet(base, {"a": moved(base, 1), "b": moved(base, 2)})
    mix = {"layers.0": 0.9, "layers.1": 0.2}
    state = {
        n: ms.start(n) + mix[n[:8]] * ms.delta("a", n) + (1 - mix[n[:8]]) * ms.delta("b", n)
        for n in ms.names
    }
    sp = SelfPositioning(ms, nearness(state), {"all": rows(0)}, granularity="layer", mu=0.0)
    sp.fit(400)
    assert set(sp.alpha) == {"layers.0", "layers.1"}
    assert sp.alpha["layers.0"] == pytest.approx((0.9, 0.1), abs=5e-3)
    assert sp.alpha["layers.1"] == pytest.approx((0.2, 0.8), abs=5e-3)


def test_weights_rebalance_and_seeds_repeat(small: nn.Module, moved: Move) -> None:
    ms = three(small, moved)
    near = {
        "1": nearness(ms.experts["1"].state_dict()),
        "2": nearness(ms.experts["2"].state_dict()),
    }
    probe = {"1": rows(0), "2": rows(1)}

    def fitted(weights: dict[str, float]) -> tuple[float, ...]:
        sp = SelfPositioning(ms, near, probe, weights, mu=0.0)
        sp.fit(60)
        return sp.alpha

    assert fitted({"1": 9.0, "2": 1.0})[0] > 0.6 > 0.4 > fitted({"1": 1.0, "2": 9.0})[0]
    runs = [SelfPositioning(ms, contrast, probe) for _ in range(2)]
    assert torch.equal(runs[0].fit(10).up.weight, runs[1].fit(10).up.weight)
    assert runs[0].trace == runs[1].trace


def test_held_out_rows_choose_and_stop(small: nn.Module, moved: Move) -> None:
    ms = three(small, moved)
    options = PositionOptions(batch=4, hold_out=0.25, validate_every=1, patience=3, lr=0.5)
    sp = SelfPositioning(ms, contrast, {"p": rows(0), "q": rows(1)}, options=options)
    sp.fit(200)
    assert len(sp.probe.data["p"]) == 18 and len(sp.held.data["p"]) == 6
    kept = {tuple(row[0].tolist()) for row in sp.probe.data["p"]}
    assert not kept & {tuple(row[0].tolist()) for row in sp.held.data["p"]}
    assert len(sp.trace) < 200
    sp._place()
    now = sum(sp.held.mean_loss(task) for task in "pq") / 2
    best = min(row["held_out"] for row in sp.trace)
    assert now <= best + 1e-12


def test_normalised_losses_start_at_one(small: nn.Module, moved: Move) -> None:
    ms = three(small, moved)
    loss = {"p": contrast, "q": lambda m, b: 100 * contrast(m, b)}
    probe = {"p": rows(0), "q": rows(0)}
    options = PositionOptions(batch=24, normalise=True, lam=1e-9)
    sp = SelfPositioning(ms, loss, probe, options=options)
    sp.fit(1)
    assert sp.trace[0]["losses"]["p"] == pytest.approx(1.0)
    assert sp.trace[0]["losses"]["q"] == pytest.approx(1.0)


def test_recipe_is_json(small: nn.Module, moved: Move) -> None:
    sp = SelfPositioning(three(small, moved), contrast, {"p": rows(0)})
    merged = sp.fit(3)
    recipe = json.loads(json.dumps(merged.merge_recipe))
    assert recipe["method"] == "self_positioning"
    assert recipe["alpha"] == pytest.approx(sp.alpha) and recipe["lambda"] == sp.lam
    assert recipe["probe"]["p"]["rows"] == 24
    other = SelfPositioning(three(small, moved), contrast, {"p": rows(1)})
    assert other.recipe()["probe"]["p"]["hash"] != recipe["probe"]["p"]["hash"]


def test_bad_input_is_named(small: nn.Module, moved: Move) -> None:
    ms = three(small, moved)
    with pytest.raises(ConfigError, match="granularity"):
        SelfPositioning(ms, contrast, {"p": rows(0)}, granularity="weight")
    with pytest.raises(ConfigError, match="mu"):
        SelfPositioning(ms, contrast, {"p": rows(0)}, mu=-1.0)
    with pytest.raises(ConfigError, match=r"exactly the tasks \['p'\]"):
        SelfPositioning(ms, contrast, {"p": rows(0)}, {"x": 1.0})
    with pytest.raises(DataError, match="'p' has no rows"):
        SelfPositioning(ms, contrast, {"p": []})
    with pytest.raises(DataError, match="at least one task"):
        SelfPositioning(ms, contrast, {})
    with pytest.raises(ConfigError, match="exactly the probe's tasks"):
        SelfPositioning(ms, {"x": contrast}, {"p": rows(0)})
    with pytest.raises(ConfigError, match="patience needs hold_out"):
        PositionOptions(patience=3)
    with pytest.raises(ConfigError, match="leaves no row"):
        SelfPositioning(ms, contrast, {"p": rows(0)[:1]}, options=PositionOptions(hold_out=0.5))
    with pytest.raises(ConfigError, match="steps"):
        SelfPositioning(ms, contrast, {"p": rows(0)}).fit(0)
    broken = SelfPositioning(ms, lambda m, b: contrast(m, b) * float("nan"), {"p": rows(0)})
    with pytest.raises(ModelError, match="probe loss became nan at step 1"):
        broken.fit(2)


def test_probe_gives_each_row_once_a_pass(small: nn.Module) -> None:
    data = list(range(10))
    probe = Probe(small, contrast, {"t": data}, batch=5, seed=1, collate=list)
    taken = [probe.draw("t") for _ in range(4)]
    assert sorted(taken[0] + taken[1]) == data == sorted(taken[2] + taken[3])
    assert taken[0] != taken[2]
    assert list(probe.walk("t")) == [data[:5], data[5:]]
    tiny = Probe(small, contrast, {"t": data[:3]}, batch=5, collate=list)
    assert sorted(tiny.draw("t")) == [0, 1, 2]


def test_masked_loss_against_a_naive_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    documents = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    targets = torch.tensor([7, 1, 7, 2, 1, 9])
    total = 0.0
    for i in range(4):
        query = queries[i].detach()
        cosines = [float(functional.cosine_similarity(query, d, dim=0)) for d in documents]
        kept = [j for j in range(6) if j == i or targets[j] != targets[i]]
        exps = {j: torch.tensor(cosines[j] / 0.2).exp().item() for j in kept}
        total -= torch.tensor(exps[i] / sum(exps.values())).log().item() / 4
    found = masked_info_nce(queries, documents, targets, temperature=0.2)
    assert float(found.detach()) == pytest.approx(total, rel=1e-6)
    assert torch.autograd.gradcheck(
        lambda q: masked_info_nce(q, documents, targets, temperature=0.2), (queries,)
    )


def test_report(small: nn.Module, moved: Move) -> None:
    ms = MergeSet(small, {"a": moved(small, 1, 0.2), "b": moved(small, 2, 0.1)})
    joint = copy.deepcopy(ms.experts["a"])
    probe = Probe(small, contrast, {"p": rows(0), "q": rows(1)}, batch=8)
    grads = [p.grad for p in small.parameters()]
    report = task_vector_report(ms, joint=joint, sizes={"a": 20, "b": 10}, probe=probe)
    flat = torch.cat([v.flatten() for v in ms.task_vector("a").values()])
    assert report.norms["a"] == pytest.approx(float(flat.norm()))
    assert report.norms["a"] > report.norms["b"]
    assert report.joint_norm == pytest.approx(report.norms["a"])
    assert report.joint_cosines["a"] == pytest.approx(1.0)
    assert report.cosines["a"]["b"] == report.cosines["b"]["a"] == report.joint_cosines["b"]
    gradients = {t: probe.gradient(t, ms.names) for t in "pq"}
    one, two = (torch.cat([g.flatten() for g in gradients[t].values()]) for t in "pq")
    expected = functional.cosine_similarity(one, two, dim=0)
    assert report.conflicts["p"]["q"] == pytest.approx(float(expected))
    assert grads == [p.grad for p in small.parameters()]
    json.dumps(report.to_dict())
    assert "| a | 20 |" in report.to_markdown()
    with pytest.raises(ConfigError, match=r"Probe\(ms.base"):
        task_vector_report(ms, probe=Probe(joint, contrast, {"p": rows(0)}))


PAIRS = [
    ("what barks", "a dog"),
    ("what meows", "a cat"),
    ("capital of France", "Paris"),
    ("capital of Spain", "Madrid"),
    ("frozen water", "ice"),
    ("baked dough", "bread"),
    ("it gives light by day", "the sun"),
    ("it gives light by night", "the moon"),
]


@pytest.mark.slow
def test_sentence_transformers(minilm_folder: Path, tmp_path: Path, moved: Move) -> None:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import (
        CoSENTLoss,
        MultipleNegativesRankingLoss,
    )

    base = SentenceTransformer(str(minilm_folder), device="cpu")
    expert = moved(base, 1, 0.01)
    ms = MergeSet(base, {"adapted": expert})
    pairs = Dataset.from_dict({"query": [a for a, _ in PAIRS], "document": [b for _, b in PAIRS]})
    scored = [{"a": a, "b": b, "score": 0.5 + i / 16} for i, (a, b) in enumerate(PAIRS)]
    sp = SelfPositioning(
        ms,
        {"domain": MultipleNegativesRankingLoss, "general": EqualTargetLoss, "sts": CoSENTLoss},
        {"domain": pairs, "general": PAIRS, "sts": scored},
        options=PositionOptions(batch=8, lr=0.1),
    )
    merged = sp.fit(3)
    assert sp.alpha == (1.0,)

    # the first step went where the loss falls, by finite differences along lambda
    def loss_at(lam: float) -> float:
        sp.lam = lam
        sp._place()
        return sum(sp.probe.mean_loss(task) for task in sp.probe.tasks) / 3

    found, sp.lam = sp.lam, 1.0
    sp._place()
    _, products = sp._measure()
    _, by_lam = position_gradient(products, sp.logits, 1.0)
    change = (loss_at(1.02) - loss_at(0.98)) / 0.04
    assert by_lam == pytest.approx(change, rel=0.02)
    assert (sp.trace[1]["lam"] - 1.0) * change < 0
    sp.lam = found
    # without equal targets the masked loss is sentence-transformers' own
    assert sp.trace[0]["losses"]["general"] == pytest.approx(sp.trace[0]["losses"]["domain"], 1e-5)
    merged.save_pretrained(str(tmp_path))
    recipe = json.loads((tmp_path / "merge.json").read_text())
    assert recipe["lambda"] == sp.lam
    vectors = [m.encode(["a dog"]) for m in (merged, SentenceTransformer(str(tmp_path)))]
    assert (vectors[0] == vectors[1]).all()


@pytest.mark.slow
def test_equal_documents_are_masked(minilm_folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm_folder), device="cpu").eval()
    doubled = [*PAIRS[:3], ("which animal barks", "a dog")]
    probe = Probe(model, EqualTargetLoss, {"t": doubled}, batch=4)
    queries, documents = (
        model.encode([pair[i] for pair in doubled], convert_to_tensor=True) for i in (0, 1)
    )
    targets = torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        found = probe.loss("t", probe.collate(doubled))
    expected = masked_info_nce(queries, documents, targets)
    assert float(found) == pytest.approx(float(expected), rel=1e-4)
    unmasked = masked_info_nce(queries, documents, torch.arange(4))
    assert float(found) < float(unmasked)
    with pytest.raises(ConfigError, match="temperature"):
        EqualTargetLoss(model, temperature=0.0)
