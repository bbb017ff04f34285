"""Experts: identity at the start, separate storage, routing, saving, export."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.encode import (
    MoEExtension,
    MoETransformer,
    export_expert,
    load_with_experts,
    with_domain,
)
from vecsmith.encode.text._layers import LAYOUTS, backbone_of
from vecsmith.encode.text._routing import RoutedExperts, Routing, top_weights

NAMES = ["heart", "lung", "skin"]
TEXTS = ["open the valve", "how to read a red sensor cable", "pump", "close door and write file"]
MIXED = [f"[{NAMES[i % 3]}] {text}" for i, text in enumerate(TEXTS)]


def shake(model, seed=0):
    """Give every weight its own value, so that experts differ."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def routed(model):
    return [module for module in model.modules() if isinstance(module, RoutedExperts)]


@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_every_backbone_starts_as_the_dense_model(layered_model, kind) -> None:
    model = layered_model(kind)
    expected = model.encode(TEXTS)
    for routing in ("enforced", "token_topk", "sentence_topk"):
        extended = MoEExtension(NAMES, routing=routing).apply(model)
        assert np.abs(extended.encode(MIXED) - expected).max() < 1e-5
        assert len(routed(extended)) == 4
    assert np.array_equal(model.encode(TEXTS), expected)


def test_domain_tokens_start_as_the_dense_model(layered_model) -> None:
    model = layered_model()
    extended = MoEExtension(NAMES).apply(model, domain_tokens=True)
    assert np.abs(extended.encode(MIXED) - model.encode(TEXTS)).max() < 1e-6
    features = extended.preprocess([*MIXED, "no marker"])
    ids = [extended[0].moe["domain_tokens"][name] for name in (*NAMES, "heart")]
    first = features["input_ids"][:, 0].tolist()
    assert first == [*ids, extended.tokenizer.cls_token_id]
    assert features["domains"].tolist() == [0, 1, 2, 0, -1]
    # what follows is tokenised as without marker
    assert torch.equal(
        features["input_ids"][:4, 1:], model.preprocess([*TEXTS, "no marker"])["input_ids"][:4, 1:]
    )


def test_experts_have_storage_of_their_own(layered_model) -> None:
    extended = MoEExtension(NAMES).apply(layered_model())
    for experts in routed(extended):
        for name, _ in experts.experts[0].named_parameters():
            places = {e.get_parameter(name).data_ptr() for e in experts.experts}
            assert len(places) == 3


@pytest.mark.parametrize(("where", "count"), [("middle", 1), ("none", 0), ([1, 4], 2)])
def test_where(layered_model, where, count) -> None:
    extended = MoEExtension(NAMES, where=where).apply(layered_model())
    assert len(routed(extended)) == count
    if where == "middle":
        assert isinstance(backbone_of(extended).blocks[1].intermediate, RoutedExperts)


def test_mixed_batch_equals_batches_by_domain(layered_model) -> None:
    extended = shake(MoEExtension(NAMES).apply(layered_model()))
    together = extended.encode(MIXED)
    alone = np.concatenate([extended.encode([text]) for text in MIXED])
    assert np.abs(together - alone).max() < 1e-5
    named = np.stack(
        [extended.encode(text, prompt_name=NAMES[i % 3]) for i, text in enumerate(TEXTS)]
    )
    assert np.abs(together - named).max() < 1e-5
    other = extended.encode(with_domain(TEXTS, "lung"))
    assert np.abs(together[0] - other[0]).max() > 1e-3


def test_no_rows_no_gradient(layered_model) -> None:
    extended = MoEExtension(NAMES).apply(layered_model())
    features = extended.preprocess(["[heart] pump", "[skin] valve"])
    extended(features)["sentence_embedding"].square().sum().backward()
    for experts in routed(extended):
        moved = [
            any(p.grad is not None and p.grad.abs().sum() > 0 for p in e.parameters())
            for e in experts.experts
        ]
        assert moved == [True, False, True]


def test_token_routing_by_hand(plain_mlp) -> None:
    mlp, states = plain_mlp
    routing = Routing()
    experts = RoutedExperts(mlp, 3, routing, kind="token_topk", k=2).double()
    shake(experts)
    routing.mask = torch.tensor([[True, True], [True, False]])
    found = experts(states)
    for b in range(2):
        for t in range(2):
            state = states[b, t]
            p = torch.softmax(experts.router(state), 0)
            best = p.argsort(descending=True)[:2]
            expected = sum(p[e] / p[best].sum() * experts.experts[e](state) for e in best)
            torch.testing.assert_close(found[b, t], expected, rtol=1e-5, atol=1e-6)
    log_p, p, sent = routing.choices[0].unbind(1)
    every = torch.softmax(experts.router(states), -1)
    # padding takes no part in what the router is judged by
    torch.testing.assert_close(p[1], every[1, 0], check_dtype=False)
    torch.testing.assert_close(p[0], every[0].mean(0), check_dtype=False)
    torch.testing.assert_close(log_p[0], every[0].log().mean(0), check_dtype=False)
    assert sent.sum(1).tolist() == pytest.approx([1.0, 1.0])


def test_sentence_routing_by_hand(plain_mlp) -> None:
    mlp, states = plain_mlp
    routing = Routing()
    experts = RoutedExperts(mlp, 3, routing, kind="sentence_topk", k=1).double()
    shake(experts)
    routing.mask = torch.tensor([[True, True], [True, False]])
    found = experts(states)
    logits = experts.router(states)
    for b, mean in enumerate((logits[0].mean(0), logits[1, 0])):
        expected = experts.experts[int(mean.argmax())](states[b])
        torch.testing.assert_close(found[b], expected, rtol=1e-5, atol=1e-6)


@pytest.fixture
def plain_mlp():
    torch.manual_seed(0)
    mlp = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 4))
    return mlp.double(), torch.randn(2, 2, 4, dtype=torch.float64)


def test_top_weights() -> None:
    weights = top_weights(torch.tensor([[0.5, 0.2, 0.3]]), 2)
    assert weights.tolist()[0] == pytest.approx([0.625, 0.0, 0.375])


@pytest.mark.parametrize("routing", ["enforced", "token_topk", "sentence_topk"])
@pytest.mark.parametrize("tokens", [False, True])
def test_saved_and_loaded(layered_model, tmp_path, routing, tokens) -> None:
    extended = MoEExtension(NAMES, routing=routing, where=[2, 3]).apply(
        layered_model(), domain_tokens=tokens
    )
    shake(extended)
    expected = extended.encode(MIXED)
    extended.save_pretrained(str(tmp_path), create_model_card=False)
    assert np.array_equal(extended.encode(MIXED), expected)
    loaded = load_with_experts(tmp_path, device="cpu")
    assert isinstance(loaded[0], MoETransformer) and loaded[0].moe == extended[0].moe
    assert np.abs(loaded.encode(MIXED) - expected).max() < 1e-6
    assert loaded.prompts["lung"] == "[lung] "
    assert not list(tmp_path.rglob("*.bin"))
    (tmp_path / "experts.safetensors").unlink()
    with pytest.raises(ModelError, match=r"experts\.safetensors"):
        load_with_experts(tmp_path, device="cpu")


@pytest.mark.parametrize("kind", ["bert", "distilbert", "modernbert"])
@pytest.mark.parametrize("tokens", [False, True])
def test_exported_expert_is_dense_and_equal(layered_model, tmp_path, kind, tokens) -> None:
    extended = MoEExtension(NAMES).apply(layered_model(kind), domain_tokens=tokens)
    shake(extended)
    expected = extended.encode(TEXTS, prompt_name="lung")
    dense = export_expert(extended, "lung")
    assert not routed(dense) and np.abs(dense.encode(TEXTS) - expected).max() < 1e-6
    dense.save_pretrained(str(tmp_path), create_model_card=False)
    assert "vecsmith" not in (tmp_path / "modules.json").read_text("utf-8")
    loaded = SentenceTransformer(str(tmp_path), device="cpu")
    assert np.abs(loaded.encode(TEXTS) - expected).max() < 1e-6
    # the model it came from is whole
    assert len(routed(extended)) == 4
    assert np.array_equal(extended.encode(TEXTS, prompt_name="lung"), expected)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MoEExtension(["one"]), "two or more"),
        (lambda: MoEExtension(["one", "one"]), "different names"),
        (lambda: MoEExtension(NAMES, routing="enforce"), "did you mean 'enforced'"),
        (lambda: MoEExtension(NAMES, where="some"), "'middle'"),
        (lambda: MoEExtension(NAMES, k=4), "from 1 to 3"),
    ],
)
def test_wrong_settings_are_named(make, text) -> None:
    with pytest.raises(ConfigError, match=text):
        make()


def test_wrong_use_is_named(layered_model) -> None:
    model = layered_model()
    extended = MoEExtension(NAMES).apply(model)
    with pytest.raises(DataError, match="domain of every text"):
        extended.encode(["[heart] pump", "no marker"])
    with pytest.raises(ConfigError, match="experts already"):
        MoEExtension(NAMES).apply(extended)
    with pytest.raises(ConfigError, match="did you mean 'lung'"):
        export_expert(extended, "lungs")
    with pytest.raises(ConfigError, match="no experts"):
        export_expert(model, "lung")
    with pytest.raises(ConfigError, match="numbers from 1"):
        MoEExtension(NAMES, where=[5]).apply(model)
