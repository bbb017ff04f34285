"""Loss, batches, pre-training, and heads."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError
from vecsmith.data.formulas import (
    ExpressionGenerator,
    ExpressionOptions,
    PointOptions,
    property_of,
)
from vecsmith.encode.formulas import Snip
from vecsmith.train.formulas import (
    HeadTraining,
    PairSource,
    PropertyHead,
    SnipTrainer,
    SnipTraining,
    matched,
    symmetric_contrastive,
)
from vecsmith.train.formulas._snip_trainer import inverse_sqrt

SMALL = {
    "width": 16,
    "layers": 1,
    "heads": 2,
    "feedforward": 32,
    "latent": 8,
    "number_dims": 4,
    "digits": 1,
    "max_points": 8,
    "scale_y": "minmax",
}
EASY = ExpressionOptions(
    max_binary=1, max_unary=1, prefactors=0.5, constants=(-2, 2), max_symbols=8, max_value=1e3
)
POINTS = PointOptions(number=12, clusters=1, kinds=("uniform",))


def make(**changes):
    return Snip.from_config("tiny", **{**SMALL, **changes})


def gen(seed=0):
    return ExpressionGenerator(1, options=EASY, points=POINTS, seed=seed)


@pytest.fixture(scope="module")
def samples():
    return gen().batch(120, "samples")


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def naive(zf, zy, tau, groups):
    total = 0.0
    for first, second in ((zf, zy), (zy, zf)):
        for i in range(len(first)):
            kept = [j for j in range(len(first)) if j == i or groups[j] != groups[i]]
            scores = [float(first[i] @ second[j]) / tau for j in kept]
            total += np.log(np.sum(np.exp(scores))) - scores[kept.index(i)]
    return total / (2 * len(zf))


def test_loss_is_that_of_a_loop():
    g = torch.Generator().manual_seed(0)
    zf, zy = (torch.randn(6, 3, generator=g, dtype=torch.float64) for _ in range(2))
    for groups in ([0, 1, 2, 3, 4, 5], [0, 0, 2, 2, 2, 5]):
        found = symmetric_contrastive(zf, zy, temperature=0.7, groups=torch.tensor(groups))
        assert float(found) == pytest.approx(naive(zf.numpy(), zy.numpy(), 0.7, groups))
    plain = symmetric_contrastive(zf, zy)
    assert float(plain) == pytest.approx(naive(zf.numpy(), zy.numpy(), 1.0, range(6)))


def test_gradients_of_the_loss():
    g = torch.Generator().manual_seed(0)
    zf, zy = (torch.randn(4, 3, generator=g, dtype=torch.float64) for _ in range(2))
    tau = torch.tensor(0.5, dtype=torch.float64)
    inputs = [v.requires_grad_() for v in (zf, zy, tau)]
    groups = torch.tensor([0, 1, 1, 2])
    assert torch.autograd.gradcheck(
        lambda a, b, t: symmetric_contrastive(a, b, temperature=t, groups=groups), inputs
    )


def test_processes_together_have_the_loss_of_one(monkeypatch):
    """Each of two ranks sees what the other gathered, in one process."""
    import sentence_transformers.util as util

    g = torch.Generator().manual_seed(0)
    zf, zy = (torch.randn(8, 6, generator=g, dtype=torch.float64) for _ in range(2))
    weight = torch.randn(6, 5, generator=g, dtype=torch.float64, requires_grad=True)
    groups = torch.tensor([0, 1, 1, 2, 3, 0, 4, 5])
    wanted = symmetric_contrastive(zf @ weight, zy @ weight, temperature=0.5, groups=groups)
    (gradient,) = torch.autograd.grad(wanted, weight)
    total = 0.0
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    for rank in range(2):
        part = slice(4 * rank, 4 * rank + 4)
        formulas, points = zf @ weight, zy @ weight
        mine = (formulas[part], points[part], groups[part])
        whole = dict(zip(map(id, mine), (formulas, points, groups), strict=True))
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        for name in ("all_gather", "all_gather_with_grad"):
            monkeypatch.setattr(util, name, lambda own, whole=whole: whole[id(own)])
        total = total + symmetric_contrastive(*mine[:2], temperature=0.5, groups=mine[2]) / 2
    torch.testing.assert_close(total, wanted)
    torch.testing.assert_close(torch.autograd.grad(total, weight)[0], gradient)


def test_matching_counts_ties_against():
    eye = np.eye(3, dtype=np.float32)
    assert matched(eye, eye) == 1.0
    assert matched(np.ones((3, 2), np.float32), np.ones((3, 2), np.float32)) == 0.0
    assert matched(eye, eye[[1, 0, 2]]) == pytest.approx(1 / 3)
    assert matched(eye, eye[[1, 0, 2]], top_k=3) == 1.0


def test_batches_from_a_list(samples):
    source = PairSource(make(), samples, batch=50)
    batches = list(source(0))
    assert len(batches) == len(source(0)) == 2
    first = batches[0]
    assert first.points.shape == (50, 8, 6) and first.mask.all()
    again = next(iter(PairSource(make(), samples, batch=50)(0)))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(next(iter(source(1))).points, first.points)
    words = source.model.tokenizer
    texts = {s.expression for s in samples}
    for row, group in zip(first.formulas, first.groups, strict=True):
        assert words.decode(row.tolist()) in texts
        same = first.groups == group
        assert {tuple(r.tolist()) for r in first.formulas[same]} == {tuple(row.tolist())}


def test_short_sets_keep_all_their_points(samples):
    short = [s._replace(X=s.X[:5], y=s.y[:5]) for s in samples[:3]]
    batch = next(iter(PairSource(make(), [*short, *samples[3:6]], batch=6)(0)))
    assert sorted(batch.mask.sum(1).tolist()) == [5, 5, 5, 8, 8, 8]
    assert ((batch.points[..., -1] > 0) == batch.mask).all()


def test_every_epoch_makes_other_batches():
    source = PairSource(make(), gen(), batch=4, epoch=3)
    first, again, other = (source.made(epoch, 1) for epoch in (0, 0, 1))
    assert torch.equal(first.points, again.points)
    assert first.points.shape != other.points.shape or not torch.equal(first.points, other.points)


def test_workers_make_the_same_batches():
    plain = PairSource(make(), gen(), batch=4, epoch=3)
    spread = PairSource(make(), gen(), batch=4, epoch=3, workers=2)
    for a, b in zip(plain(1), spread(1), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_generator_of_formulas_that_are_all_too_long_is_told():
    """With prefactors everywhere even one input takes more than three tokens."""
    source = PairSource(make(max_tokens=3), ExpressionGenerator(1, points=POINTS), batch=2)
    with pytest.raises(DataError, match="more than the 3 tokens"):
        source.made(0, 0)
    # long ones alone are left out
    batch = PairSource(make(max_tokens=5), gen(), batch=4).made(0, 0)
    assert batch.formulas.shape[1] <= 5


def test_training_brings_formulas_and_points_together(samples):
    model = make()
    texts = [s.expression for s in samples]
    sets = [s.X for s in samples], [s.y for s in samples]

    def loss():
        zf, zy = model.encode_formula(texts), model.encode_points(*sets)
        return float(
            symmetric_contrastive(torch.from_numpy(zf), torch.from_numpy(zy), temperature=0.1)
        )

    before = loss()
    options = SnipTraining(lr=5e-3, warmup_steps=5, cpu=True)
    result = SnipTrainer(model, samples, batch=40, steps=60, options=options).train()
    assert result.steps == 60 and loss() < before - 0.5 and not model.training
    assert float(model.temperature.detach()) != pytest.approx(0.1)


def test_a_run_that_is_taken_up_ends_alike(tmp_path):
    options = SnipTraining.paper(lr=1e-3, warmup_steps=3, epoch=4, cpu=True)
    models = [make(seed=1), make(seed=1)]
    SnipTrainer(models[0], gen(), batch=6, steps=10, options=options).train()
    trainer = SnipTrainer(models[1], gen(), batch=6, steps=5, options=options)
    trainer.train(checkpoint=tmp_path / "c")
    longer = SnipTrainer(models[1], gen(), batch=6, steps=10, options=options)
    assert longer.train(checkpoint=tmp_path / "c").steps == 10
    assert same_weights(*models)


def test_seeds_repeat(samples):
    made = []
    for seed in (0, 0, 1):
        model = make()
        options = SnipTraining(seed=seed, cpu=True)
        SnipTrainer(model, samples, batch=20, steps=3, options=options).train()
        made.append(model)
    assert same_weights(made[0], made[1]) and not same_weights(made[0], made[2])


def test_the_papers_schedule():
    assert [inverse_sqrt(s, 4) for s in (1, 2, 4, 16)] == [0.25, 0.5, 1.0, 0.5]
    options = SnipTraining.paper()
    assert (options.lr, options.warmup_steps, options.max_norm) == (4e-5, 10_000, 0.5)
    quick = SnipTraining.paper(lr=1e-3, warmup_steps=2, epoch=20, cpu=True)
    trainer = SnipTrainer(make(), gen(), batch=4, steps=20, options=quick)
    result = trainer.train()
    assert result.records[0]["lr"] == pytest.approx(1e-3 * (2 / 10) ** 0.5)
    assert result.records[1]["lr"] == pytest.approx(1e-3 * (2 / 20) ** 0.5)


def test_bad_training_is_refused(samples):
    with pytest.raises(ConfigError, match="lr"):
        SnipTraining(lr=0)
    with pytest.raises(ConfigError, match="batch"):
        SnipTrainer(make(), samples, batch=1)
    with pytest.raises(ConfigError, match="2 inputs"):
        SnipTrainer(make(), ExpressionGenerator(2))
    with pytest.raises(DataError, match="at least two samples"):
        SnipTrainer(make(), samples[:1])
    bad = samples[0]._replace(y=np.full(12, np.nan))
    with pytest.raises(DataError, match="NaN"):
        SnipTrainer(make(), [*samples[:3], bad])


def labelled(samples):
    texts = [s.expression for s in samples]
    return texts, np.array([len(text) for text in texts], float)


def test_ridge_is_that_of_the_normal_equations(samples):
    model, (texts, labels) = make(), labelled(samples)
    head = PropertyHead(model).fit(texts, labels)
    Z = model.encode_formula(texts).astype(np.float64)
    Z = (Z - Z.mean(0)) / Z.std(0)
    w = np.linalg.solve(Z.T @ Z + head.alpha_ * np.eye(8), Z.T @ (labels - labels.mean()))
    np.testing.assert_allclose(head.predict(texts), Z @ w + labels.mean(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("regime", ["scratch", "frozen", "finetuned"])
def test_regimes_train_what_they_should(samples, regime):
    model, (texts, labels) = make(), labelled(samples)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    options = HeadTraining(steps=40, batch=30, lr=5e-3, seed=3, cpu=True)
    head = PropertyHead(model, regime=regime, head="mlp", options=options).fit(texts, labels)
    # the model that was given is never changed
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    tower = dict(head._net.encoder.named_parameters())
    moved = {name: not torch.equal(w, before[f"symbolic.{name}"]) for name, w in tower.items()}
    if regime == "frozen":
        assert not any(moved.values())
    else:
        assert moved["output.weight"] and moved["embedding.weight"]
    found = head.predict(texts)
    assert np.corrcoef(found, labels)[0, 1] > (0.5 if regime == "frozen" else 0.8)
    np.testing.assert_allclose(head.predict(texts, batch_size=7), found, atol=1e-4)
    again = PropertyHead(model, regime=regime, head="mlp", options=options).fit(texts, labels)
    np.testing.assert_array_equal(again.predict(texts), found)


def test_scratch_starts_elsewhere_than_the_model(samples):
    model, (texts, labels) = make(), labelled(samples)
    options = HeadTraining(steps=1, lr=1e-9, cpu=True)
    head = PropertyHead(model, regime="scratch", head="mlp", options=options).fit(texts, labels)
    weight = head._net.encoder.output.weight
    assert not torch.allclose(weight, model.symbolic.output.weight, atol=1e-3)


@pytest.mark.parametrize("head", ["ridge", "mlp"])
def test_the_other_direction(samples, head):
    model = make()
    sets = [(s.X, s.y) for s in samples]
    labels = np.array([property_of("mean", s.X, s.y) for s in samples])
    options = HeadTraining(steps=60, lr=5e-3, cpu=True)
    regime = "frozen" if head == "ridge" else "finetuned"
    made = PropertyHead(model, regime=regime, head=head, side="points", options=options)
    found = made.fit(sets, labels).predict(sets)
    assert np.corrcoef(found, labels)[0, 1] > 0.5


def test_bad_heads_are_refused(samples):
    model, (texts, labels) = make(), labelled(samples)
    for wrong in ({"regime": "cold"}, {"head": "tree"}, {"side": "both"}, {"regime": "scratch"}):
        with pytest.raises(ConfigError):
            PropertyHead(model, **wrong)
    with pytest.raises(ConfigError, match="call fit first"):
        PropertyHead(model, head="mlp").predict(texts)
    with pytest.raises(DataError, match="1 of them not finite"):
        PropertyHead(model).fit(texts, [np.nan, *labels[1:]])
    with pytest.raises(DataError, match="for 120 inputs"):
        PropertyHead(model).fit(texts, labels[:5])
    with pytest.raises(ConfigError, match="steps"):
        HeadTraining(steps=0)
