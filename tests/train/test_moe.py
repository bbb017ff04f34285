"""Losses of models with experts: both bases by hand, router losses, gradients, caching."""

import math
from dataclasses import replace

import pytest
import torch

from vecsmith.core import ConfigError, DataError
from vecsmith.encode import MoEExtension, with_domain
from vecsmith.train import (
    ContrastiveLoss,
    MatryoshkaLoss,
    MoEContrastiveLoss,
    MomentumQueue,
    ProjectionHead,
    TwoDMatryoshkaLoss,
    UnsupervisedContrastiveLoss,
)
from vecsmith.train.contrastive import (
    agreement_rows,
    balance_loss,
    dot_product_rows,
    gathered_batch,
    mutual_information,
)

NAMES = ["heart", "lung"]
LEFT = ["open the valve", "red sensor cable", "pump", "close door"]
RIGHT = ["how to open a valve", "cable of the sensor", "pumps", "door closed"]


def cross_entropy(scores, target):
    return math.log(sum(math.exp(float(s)) for s in scores)) - float(scores[target])


def test_dot_product_rows_by_hand(plain) -> None:
    a, b, n = (plain.draw(4, 3, seed=s) for s in range(3))
    found = dot_product_rows(gathered_batch([a, b, n]))
    texts = torch.cat([b, n])
    expected = [cross_entropy([a[i] @ t for t in texts], i) for i in range(4)]
    assert found.tolist() == pytest.approx(expected)


def test_agreement_rows_by_hand(plain) -> None:
    a, b = plain.draw(5, 3), plain.draw(5, 3, seed=1)
    # so that the row that both call nearest is not always the row itself
    a[1], b[1] = 3 * a[0], 3 * b[0]
    both = (a @ a.T + b @ b.T) / 2
    labels = [max(range(5), key=lambda j, i=i: float(both[i, j])) for i in range(5)]
    assert labels[0] == 1 and labels[1] == 1
    expected = [
        (cross_entropy(a[i] @ b.T, labels[i]) + cross_entropy(b[i] @ a.T, labels[i])) / 2
        for i in range(5)
    ]
    batch = gathered_batch([a, b])
    assert agreement_rows(batch).tolist() == pytest.approx(expected)
    part = agreement_rows(replace(batch, rows=slice(3, 5)))
    assert part.tolist() == pytest.approx(expected[3:])


def test_balance_is_one_when_even() -> None:
    even = torch.full((6, 4), 0.25)
    assert float(balance_loss(even, even)) == pytest.approx(1.0)
    one = torch.nn.functional.one_hot(torch.zeros(6, dtype=torch.long), 4).float()
    assert float(balance_loss(one, one)) == pytest.approx(4.0)


def test_mutual_information_by_hand(plain) -> None:
    assert float(mutual_information(torch.full((2, 2), 0.25))) == pytest.approx(0.0, abs=1e-6)
    assert float(mutual_information(torch.eye(3) / 3)) == pytest.approx(math.log(3))
    joint = plain.draw(3, 4).abs()
    joint = (joint / joint.sum()).requires_grad_()
    cells = joint.detach()
    expected = sum(
        float(cells[t, e] * (cells[t, e] / (cells[t].sum() * cells[:, e].sum())).log())
        for t in range(3)
        for e in range(4)
    )
    assert float(mutual_information(cells)) == pytest.approx(expected)
    assert torch.autograd.gradcheck(mutual_information, (joint,))


def marked(texts):
    return with_domain(texts[:2], "heart") + with_domain(texts[2:], "lung")


def features(model):
    return [model.preprocess(marked(texts)) for texts in (LEFT, RIGHT)]


def routed_model(layered_model, routing="token_topk", *, k=1, **options):
    dense = layered_model(**options)
    model = MoEExtension(NAMES, routing=routing, where=[1, 3], k=k).apply(dense)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "router" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("routing", ["token_topk", "sentence_topk"])
@pytest.mark.parametrize("kind", ["ce", "balance", "mi"])
def test_router_losses_train_the_router(layered_model, routing, kind) -> None:
    model = routed_model(layered_model, routing)
    plain = ContrastiveLoss(model)
    loss = MoEContrastiveLoss(
        model, base=ContrastiveLoss(model), router_loss=kind, router_weight=0.5
    ).eval()
    choices = torch.stack([model(dict(f))["router_choices"] for f in features(model)])
    log_p, p, sent = choices.unbind(3)
    if kind == "ce":
        terms = [-log_p[:, i, :, int(i >= 2)].mean() for i in range(4)]
        expected = sum(terms) / 4
    elif kind == "balance":
        expected = (
            sum(2 * (p[:, :, n].mean((0, 1)) * sent[:, :, n].mean((0, 1))).sum() for n in (0, 1))
            / 2
        )
    else:
        joint = torch.stack([p[:, :2].mean(0).sum(0), p[:, 2:].mean(0).sum(0)], dim=1) / 4
        expected = -sum(mutual_information(block) for block in joint) / 2
    difference = loss(features(model)) - plain(features(model))
    assert float(difference.detach()) == pytest.approx(0.5 * float(expected.detach()), rel=1e-3)
    routers = {n: p for n, p in model.named_parameters() if "router.weight" in n}
    # one expert a token has weight 1, so that the router's gradient is that of its own loss alone
    wanted = torch.autograd.grad(0.5 * expected, list(routers.values()))
    model.zero_grad()
    loss(features(model)).backward()
    for parameter, gradient in zip(routers.values(), wanted, strict=True):
        assert gradient.abs().max() > 1e-4
        torch.testing.assert_close(parameter.grad, gradient, rtol=2e-3, atol=1e-6)


def test_running_counts_move_in_training_alone(layered_model) -> None:
    model = routed_model(layered_model)
    loss = MoEContrastiveLoss(model, router_loss="mi", memory=0.5)
    loss.eval()(features(model))
    assert loss.counts.abs().sum() == 0
    loss.train()(features(model))
    assert loss.counts.sum(dim=(1, 2)).tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("base", ["mnr", "mnr_plus", "cosine"])
@pytest.mark.parametrize("router_loss", ["none", "ce", "balance", "mi"])
def test_gradient_caching_changes_nothing(layered_model, base, router_loss) -> None:
    k = 2 if router_loss == "none" else 1
    model = routed_model(layered_model, k=k, initializer_range=0.1)
    found = []
    for rows in (None, 3):
        inner = ContrastiveLoss(model) if base == "cosine" else base
        loss = MoEContrastiveLoss(
            model, base=inner, router_loss=router_loss, cached_mini_batch=rows
        )
        model.zero_grad()
        value = loss(features(model))
        value.backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        found.append((float(value.detach()), gradients))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("router_loss", ["none", "ce"])
def test_a_base_with_head_and_queue_keeps_both(layered_model, router_loss) -> None:
    model = routed_model(layered_model, k=2, initializer_range=0.1).train()
    torch.manual_seed(2)
    base = UnsupervisedContrastiveLoss(
        model, head=ProjectionHead(32), queue=MomentumQueue(model, 6)
    )
    texts = model.preprocess(marked(LEFT))
    with torch.no_grad():
        alone = base.eval()([dict(texts)])
    loss = MoEContrastiveLoss(model, base=base, router_loss=router_loss, router_weight=0.0).train()
    value = loss([dict(texts)])
    assert float(value.detach()) == pytest.approx(float(alone), rel=1e-4)
    value.backward()
    assert base.head.linear.weight.grad.abs().sum() > 0
    assert base.queue.vectors.shape == (4, 32)


def test_enforced_experts_learn_two_notions_of_the_same_texts(layered_model) -> None:
    model = MoEExtension(NAMES).apply(layered_model(initializer_range=0.05))
    loss = MoEContrastiveLoss(model, base=ContrastiveLoss(model))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    turned = [RIGHT[1], RIGHT[0], RIGHT[3], RIGHT[2]]
    columns = [
        with_domain(LEFT, "heart") + with_domain(LEFT, "lung"),
        with_domain(RIGHT, "heart") + with_domain(turned, "lung"),
    ]
    for _ in range(40):
        optimizer.zero_grad()
        loss([model.preprocess(column) for column in columns]).backward()
        optimizer.step()
    for name, places in (("heart", [0, 1, 2, 3]), ("lung", [1, 0, 3, 2])):
        query, answer = (model.encode(texts, prompt_name=name) for texts in (LEFT, RIGHT))
        assert (query @ answer.T).argmax(1).tolist() == places


def test_wrong_use_is_named(layered_model) -> None:
    model = routed_model(layered_model)
    for options, text in (
        ({"base": "mnr+"}, "did you mean 'mnr"),
        ({"router_loss": "mutual"}, "known: balance"),
        ({"router_weight": -1.0}, "router_weight"),
    ):
        with pytest.raises(ConfigError, match=text):
            MoEContrastiveLoss(model, **options)
    with pytest.raises(ConfigError, match="this model has none"):
        MoEContrastiveLoss(layered_model(), router_loss="ce")
    with pytest.raises(ConfigError, match="no gradient"):
        MoEContrastiveLoss(model)
    with pytest.raises(ConfigError, match="in its own way"):
        MoEContrastiveLoss(model, base=TwoDMatryoshkaLoss(ContrastiveLoss(model)), router_loss="ce")
    loss = MoEContrastiveLoss(model, router_loss="ce")
    with pytest.raises(ConfigError, match="router_loss='none'"):
        MatryoshkaLoss(loss, [8, 32])
    with pytest.raises(DataError, match="domain of every row"):
        loss([model.preprocess(texts) for texts in (LEFT, RIGHT)])
