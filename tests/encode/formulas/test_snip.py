"""The two encoders: pooling, padding, sets, scales, files, bad input."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.data.formulas import Expression
from vecsmith.encode.formulas import AttentionPooling, Snip, SnipConfig

SMALL = {"width": 16, "layers": 1, "heads": 2, "feedforward": 32, "latent": 8, "number_dims": 4}
TEXTS = ["x", "sin(2*x) + x**2", "exp(x) - 0.5"]
RNG = np.random.default_rng(0)
SETS = [(RNG.normal(size=(n, 1)), RNG.normal(size=n)) for n in (3, 12, 7)]


def make(**changes):
    return Snip.from_config("tiny", **{**SMALL, "digits": 2, "max_points": 12, **changes})


@pytest.fixture(scope="module")
def model():
    return make()


def test_pooling_is_that_of_a_loop():
    torch.manual_seed(0)
    pooling = AttentionPooling(5).double().requires_grad_(False)
    states = torch.randn(3, 4, 5, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 1, 0]]).bool()
    found = pooling(states, mask)
    for row in range(3):
        there = [i for i in range(4) if mask[row, i]]
        scores = [float(pooling.score.weight[0] @ states[row, i]) for i in there]
        shares = np.exp(scores) / np.sum(np.exp(scores))
        wanted = sum(s * states[row, i] for s, i in zip(shares, there, strict=True))
        torch.testing.assert_close(found[row], wanted)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_no_vector(norm, training):
    model = make(norm=norm).train(training)
    ids = torch.from_numpy(model.formula_inputs(["sin(x) + 2.5"]))
    padded = torch.nn.functional.pad(ids, (0, 5))
    torch.testing.assert_close(model.symbolic(padded), model.symbolic(ids), rtol=1e-5, atol=1e-6)
    points, mask = map(torch.from_numpy, model.point_inputs([SETS[0]]))
    wide = torch.nn.functional.pad(points, (0, 0, 0, 4))
    more = torch.nn.functional.pad(mask, (0, 4))
    torch.testing.assert_close(
        model.numeric(wide, more), model.numeric(points, mask), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_points_are_a_set_unless_they_have_positions(norm):
    X, y = SETS[1]
    order = np.random.default_rng(1).permutation(12)
    for positions, same in ((False, True), (True, False)):
        model = make(norm=norm, point_positions=positions)
        a, b = model.encode_points(X, y), model.encode_points(X[order], y[order])
        assert np.allclose(a, b, atol=1e-5) is same


def test_norms_stand_where_they_should():
    torch.manual_seed(0)
    first, last = make(norm="pre"), make(norm="post")
    assert first.numeric.layers.norm is not None and last.numeric.layers.norm is None
    assert (
        first.numeric.layers.layers[0].norm_first and not last.numeric.layers.layers[0].norm_first
    )
    assert not np.allclose(first.encode_formula(TEXTS), last.encode_formula(TEXTS))


def test_batches_change_no_vector(model):
    whole = model.encode_formula(TEXTS)
    np.testing.assert_allclose(model.encode_formula(TEXTS, batch_size=1), whole, atol=1e-5)
    X, y = [s[0] for s in SETS], [s[1] for s in SETS]
    both = model.encode_points(X, y)
    assert both.shape == (3, 8) and both.dtype == np.float32
    for row, (one, values) in zip(both, SETS, strict=True):
        np.testing.assert_allclose(model.encode_points(one, values)[0], row, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, rtol=1e-5)


def test_lengths_are_kept_where_they_are_asked_for():
    plain = make(normalise=False, tau=1.0, learned_tau=False)
    assert not np.allclose(np.linalg.norm(plain.encode_formula(TEXTS), axis=1), 1, atol=1e-3)
    assert plain.latent_scale == 1.0 and not plain.log_temperature.requires_grad
    assert float(plain.temperature.detach()) == 1.0
    assert make().latent_scale == pytest.approx(8**0.5)


def test_the_temperature_starts_as_given_and_stays_above_a_hundredth():
    model = make(tau=0.2)
    assert float(model.temperature.detach()) == pytest.approx(0.2)
    with torch.no_grad():
        model.log_temperature.fill_(-9.0)
    assert float(model.temperature.detach()) == pytest.approx(0.01)


def test_encoding_leaves_the_mode_as_it_was(model):
    net = make().train()
    np.testing.assert_array_equal(net.encode_formula(TEXTS), model.encode_formula(TEXTS))
    assert net.training and not make().training


def test_several_sets_in_one_array(model):
    X, y = RNG.normal(size=(3, 6, 1)), RNG.normal(size=(3, 6))
    found = model.encode_points(X, y)
    for row, one, values in zip(found, X, y, strict=True):
        np.testing.assert_allclose(model.encode_points(one, values)[0], row, atol=1e-5)


def test_every_input_has_its_place():
    model = make(max_dim=3)
    ids, mask = model.point_inputs([(np.ones((2, 2)), np.ones(2))])
    assert ids.shape == (1, 2, 12) and mask.all()
    assert (ids[0, 0, 6:9] == 0).all() and (ids[0, 0, :6] > 0).all() and (ids[0, 0, 9:] > 0).all()
    swapped = model.encode_points(np.array([[1.0, 2], [3, 4]]), [1, 2])
    assert not np.allclose(swapped, model.encode_points(np.array([[2.0, 1], [4, 3]]), [1, 2]))


def test_scale_of_y_is_taken_off_where_asked():
    X, y = SETS[1]
    scaled, plain = make(scale_y="minmax"), make()
    np.testing.assert_array_equal(scaled.encode_points(X, y), scaled.encode_points(X, 1000 * y + 7))
    assert not np.allclose(plain.encode_points(X, y), plain.encode_points(X, 1000 * y + 7))


def test_larger_sets_are_drawn_from(model):
    X = np.linspace(-1, 1, 500)
    ids, mask = model.point_inputs([(X, X), SETS[0]])
    assert ids.shape == (2, 12, 6) and mask.sum(1).tolist() == [12, 3]
    first = model.encode_points(X, X, seed=1)
    np.testing.assert_array_equal(first, model.encode_points(X, X, seed=1))
    assert not np.array_equal(first, model.encode_points(X, X, seed=2))


def test_all_forms_of_a_formula_are_one(model):
    made = Expression.parse("sin(x_0) + x_0**2")
    a = model.encode_formula(["sin(x) + x**2"])
    np.testing.assert_array_equal(a, model.encode_formula([made]))
    b = model.encode_formula([made.to_sympy()])
    # sympy orders sums as it likes
    assert b.shape == a.shape and np.isfinite(b).all()


def test_gradients_reach_every_weight(model):
    net = make(max_dim=2, point_positions=True).train()
    formulas = torch.from_numpy(net.formula_inputs(["x_0 + x_1", "sin(x_1)*0.5"]))
    points, mask = net.point_inputs([(RNG.normal(size=(5, 2)), RNG.normal(size=5))] * 2)
    zf, zy = net(formulas, torch.from_numpy(points), torch.from_numpy(mask))
    ((zf * torch.randn_like(zf)).sum() + (zy * torch.randn_like(zy)).sum()).backward()
    for name, weight in net.named_parameters():
        if name != "log_temperature":
            assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_saved_and_loaded(model, tmp_path):
    model.save_pretrained(tmp_path / "m")
    again = Snip.from_pretrained(tmp_path / "m")
    np.testing.assert_array_equal(again.encode_formula(TEXTS), model.encode_formula(TEXTS))
    np.testing.assert_array_equal(again.encode_points(*SETS[1]), model.encode_points(*SETS[1]))
    assert again.config.to_dict()["latent"] == 8 and again.tokenizer.words == model.tokenizer.words
    assert {p.name for p in (tmp_path / "m").iterdir()} == {
        "config.json",
        "model.safetensors",
        "formula_tokenizer.json",
    }
    from vecsmith.data.formulas import FormulaTokenizer

    FormulaTokenizer(2).save(tmp_path / "m" / "formula_tokenizer.json")
    with pytest.raises(ModelError, match="are not those"):
        Snip.from_pretrained(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="should hold a SNIP"):
        Snip.from_pretrained(tmp_path / "m")
    with pytest.raises(ModelError):
        Snip.from_pretrained(tmp_path / "nothing")


def test_seeds_repeat():
    a, b, c = (Snip.from_config("tiny", **SMALL, seed=s).encode_formula(["x"]) for s in (1, 1, 2))
    assert (a == b).all() and not np.allclose(a, c)
    state = torch.get_rng_state()
    make()
    assert torch.equal(state, torch.get_rng_state())


def test_the_papers_size():
    config = SnipConfig.of_size("base")
    shape = (config.width, config.layers, config.heads, config.feedforward, config.latent)
    assert shape == (512, 8, 16, 2048, 512) and config.norm == "post" and config.max_points == 200


def test_bad_formulas_are_refused(model):
    for wrong, text in (
        ([], "empty list"),
        ("x", "into a list"),
        (["x +"], "cannot be read"),
        (["x_1"], "at most 1 input"),
        (["+".join(["x"] * 60)], "at most 48 tokens"),
    ):
        with pytest.raises(DataError, match=text):
            model.encode_formula(wrong)


def test_bad_points_are_refused(model):
    X, y = SETS[1]
    with pytest.raises(DataError, match="hold NaN or infinity, the first at row 2"):
        model.encode_points(X, np.where(np.arange(12) == 2, np.nan, y))
    with pytest.raises(DataError, match="at most 1 column"):
        model.encode_points(np.zeros((4, 2)), np.zeros(4))
    with pytest.raises(DataError, match="same points"):
        model.encode_points(X, y[:5])
    with pytest.raises(DataError, match="same sets"):
        model.encode_points([X], [y, y])
    with pytest.raises(DataError, match="got none"):
        model.point_inputs([])
    with pytest.raises(DataError, match="finite and at most"):
        model.encode_points(X, y * 1e120)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 15},
        {"layers": 0},
        {"norm": "middle"},
        {"scale_y": "log"},
        {"tau": 0.0},
        {"max_tokens": 2},
        {"max_points": 1},
        {"digits": 1.5},
    ],
)
def test_bad_shapes_are_refused(wrong):
    with pytest.raises(ConfigError):
        SnipConfig(**wrong)


def test_unknown_size():
    with pytest.raises(ConfigError, match="known: base, tiny"):
        Snip.from_config("tiney")
