"""Decoder, its training, and decoding that gives whole trees alone."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError
from vecsmith.data.formulas import ExpressionGenerator, ExpressionOptions, PointOptions
from vecsmith.decode.equations import (
    DecoderTraining,
    EquationDecoder,
    EquationDecoderConfig,
    decode_formulas,
    train_decoder,
)
from vecsmith.encode.formulas import Snip
from vecsmith.train.formulas import PairSource

SMALL = {"width": 16, "layers": 1, "heads": 2, "feedforward": 32, "latent": 8, "number_dims": 4}
EASY = ExpressionOptions(
    max_binary=1, max_unary=1, prefactors=0.5, constants=(-2, 2), max_symbols=8, max_value=1e3
)
POINTS = PointOptions(number=12, clusters=1, kinds=("uniform",))
Z = np.random.default_rng(0).normal(size=(5, 8))


@pytest.fixture(scope="module")
def snip():
    return Snip.from_config(
        "tiny", **SMALL, digits=1, max_points=8, scale_y="minmax", max_tokens=14
    )


@pytest.fixture(scope="module")
def decoder(snip):
    return EquationDecoder.for_snip(snip, memory=3, layers=2)


def test_step_by_step_is_all_at_once(decoder):
    latents = torch.randn(3, 8)
    ids = torch.randint(3, 30, (3, 6))
    whole = decoder(latents, ids)
    memory, kept, parts = decoder.memory(latents), None, []
    for place in range(6):
        logits, kept = decoder.write(ids[:, place : place + 1], memory, kept)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)


def test_later_tokens_change_no_earlier_score(decoder):
    latents, ids = torch.randn(1, 8), torch.randint(3, 30, (1, 6))
    other = ids.clone()
    other[0, 4:] = 5
    a, b = decoder(latents, ids), decoder(latents, other)
    torch.testing.assert_close(a[:, :4], b[:, :4])
    assert not torch.allclose(a[:, 4:], b[:, 4:])


def test_the_mapper_is_the_papers(decoder):
    z = torch.randn(2, 8)
    scaled = z / z.norm(dim=-1, keepdim=True) * 8**0.5
    wide = torch.relu(scaled @ decoder.mapper.weight.T + decoder.mapper.bias).reshape(2, 3, 16)
    states = wide @ decoder.mapped.weight.T + decoder.mapped.bias
    for layer, (key, value) in zip(decoder.layers, decoder.memory(z), strict=True):
        both = layer.cross.both(states)
        wanted = both[..., :16].reshape(2, 3, 2, 8).transpose(1, 2)
        torch.testing.assert_close(key, wanted)
        assert value.shape == key.shape
    # vectors of unit length and their multiples are one
    torch.testing.assert_close(decoder.memory(z)[0][0], decoder.memory(3 * z)[0][0])


@pytest.mark.parametrize("temperature", [None, 0.1, 5.0])
def test_whole_trees_alone_come_out(decoder, temperature):
    rows = decode_formulas(decoder, Z, beams=4, temperature=temperature, seed=1)
    assert len(rows) == 5
    for row in rows:
        assert 1 <= len(row) <= 4
        scores = [item.log_probability for item in row]
        assert scores == sorted(scores, reverse=True)
        for item in row:
            assert len(decoder.tokenizer.encode(item.expression)) <= 14
            assert item.expression.dims <= 1
    if temperature is None:
        assert all(len({item.expression for item in row}) == len(row) for row in rows)


def naive_log_probability(decoder, latent, expression):
    from vecsmith.data.formulas import PrefixGrammar

    ids = decoder.tokenizer.encode(expression)
    grammar = PrefixGrammar(decoder.tokenizer, decoder.config.max_tokens - 2, 1)
    state, total = grammar.start(1), 0.0
    logits = decoder(torch.tensor(latent[None], dtype=torch.float32), torch.tensor([ids]))
    for place, token in enumerate(ids[1:-1]):
        allowed = torch.from_numpy(grammar.allowed(state, place)[0])
        scores = logits[0, place].masked_fill(~allowed, -torch.inf).log_softmax(-1)
        total += scores[token].item()
        state = grammar.advance(state, np.array([token]))
    return total


@pytest.mark.parametrize("temperature", [None, 1.0])
def test_scores_are_those_of_the_whole_formula(decoder, temperature):
    rows = decode_formulas(decoder, Z[:2], beams=3, temperature=temperature)
    for latent, row in zip(Z, rows, strict=False):
        for item in row:
            wanted = naive_log_probability(decoder, latent, item.expression)
            # a drawn number may be one that is written in another way
            if temperature is None or not any(
                isinstance(s, float) for s in item.expression.symbols
            ):
                assert item.log_probability == pytest.approx(wanted, abs=1e-3) or any(
                    isinstance(s, float) for s in item.expression.symbols
                )


def test_beams_find_at_least_the_greedy_line(decoder):
    one = decode_formulas(decoder, Z, beams=1)
    many = decode_formulas(decoder, Z, beams=8)
    for a, b in zip(one, many, strict=True):
        assert b[0].log_probability >= a[0].log_probability - 1e-5


def test_inputs_that_the_data_lack_are_not_written():
    wide = Snip.from_config("tiny", **SMALL, digits=1, max_dim=3, max_tokens=14)
    decoder = EquationDecoder.for_snip(wide)
    found = decode_formulas(decoder, Z, beams=60, temperature=5.0, dims=2)
    assert max(item.expression.dims for row in found for item in row) == 2
    found = decode_formulas(decoder, Z, beams=60, temperature=5.0)
    assert max(item.expression.dims for row in found for item in row) == 3


def test_draws_repeat_by_seed(decoder):
    first, again, other = (
        [
            [i.expression for i in row]
            for row in decode_formulas(decoder, Z, temperature=2.0, seed=s)
        ]
        for s in (0, 0, 1)
    )
    assert first == again != other


def test_training_learns_and_leaves_the_encoders(snip):
    samples = ExpressionGenerator(1, options=EASY, points=POINTS).batch(150, "d")
    decoder = EquationDecoder.for_snip(snip, memory=3, layers=1)
    before = {k: v.clone() for k, v in snip.state_dict().items()}
    options = DecoderTraining(batch=50, steps=80, lr=1e-2, cpu=True)
    result = train_decoder(snip, decoder, samples, options=options)
    assert all(torch.equal(before[k], v) for k, v in snip.state_dict().items())
    assert result.records[-1]["loss"] < 0.6 * result.records[0]["loss"]
    assert not decoder.training and result.model is decoder


def test_the_loss_is_the_mean_over_tokens_that_are_no_padding(snip, decoder):
    from vecsmith.decode.equations._decoder_training import _Written

    samples = ExpressionGenerator(1, options=EASY, points=POINTS).batch(6, "loss")
    batch = PairSource(snip, samples, batch=6).kept
    assert (batch.formulas[:, -1] == 0).any()
    latents = snip.normalised(snip.numeric(batch.points, batch.mask))
    terms = []
    for latent, row in zip(latents, batch.formulas, strict=True):
        ids = row[row > 0]
        scores = decoder(latent[None], ids[None, :-1])[0].log_softmax(-1)
        terms += [-float(line[i].detach()) for line, i in zip(scores, ids[1:], strict=True)]
    assert float(_Written(snip, decoder)(batch).detach()) == pytest.approx(np.mean(terms), rel=1e-4)


def test_a_cold_draw_is_the_greedy_line_and_has_its_probability(decoder):
    greedy = decode_formulas(decoder, Z, beams=1)
    cold = decode_formulas(decoder, Z, beams=1, temperature=1e-4, seed=3)
    for one, other in zip(greedy, cold, strict=True):
        assert one[0].expression == other[0].expression
        assert one[0].log_probability == pytest.approx(other[0].log_probability, abs=1e-4)


def test_training_repeats_and_goes_on(snip, tmp_path):
    gen = ExpressionGenerator(1, options=EASY, points=POINTS)
    options = DecoderTraining(batch=6, steps=6, epoch=4, cpu=True)
    made = [EquationDecoder.for_snip(snip, memory=2, layers=1) for _ in range(2)]
    train_decoder(snip, made[0], gen, options=options)
    train_decoder(snip, made[1], gen, options=options, checkpoint=tmp_path / "c")
    train_decoder(snip, made[1], gen, options=options, checkpoint=tmp_path / "c")
    for a, b in zip(made[0].parameters(), made[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_saved_and_loaded(decoder, tmp_path):
    decoder.save_pretrained(tmp_path / "d")
    again = EquationDecoder.from_pretrained(tmp_path / "d")
    a, b = (decode_formulas(d, Z, beams=2) for d in (decoder, again))
    assert a == b


def test_bad_input_is_refused(snip, decoder):
    for wrong in (Z[0], Z[:, :5], np.full((2, 8), np.nan)):
        with pytest.raises(DataError, match="latents must be finite"):
            decode_formulas(decoder, wrong)
    for wrong in ({"beams": 0}, {"temperature": 0.0}, {"dims": 2}):
        with pytest.raises(ConfigError):
            decode_formulas(decoder, Z, **wrong)
    for wrong in ({"width": 15}, {"memory": 0}, {"max_tokens": 2}):
        with pytest.raises(ConfigError):
            EquationDecoderConfig(**wrong)
    other = EquationDecoder(EquationDecoderConfig(latent=9, digits=1))
    with pytest.raises(ConfigError, match="latent 8 there, 9 here"):
        train_decoder(snip, other, [])
    other = EquationDecoder.for_snip(snip, normalise=False)
    with pytest.raises(ConfigError, match="normalise True there, False here"):
        train_decoder(snip, other, [])
    with pytest.raises(ConfigError, match="batch"):
        DecoderTraining(batch=1)
