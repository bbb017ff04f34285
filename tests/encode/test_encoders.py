import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from vecsmith.core import ConfigError, ModelError, StoreError
from vecsmith.encode import (
    OpenVinoEncoder,
    TorchEncoder,
    export_encoder,
    load_encoder,
    load_sentence_transformer,
    set_precision,
)
from vecsmith.encode.text._int8 import quantise_network, round_weights
from vecsmith.encode.text._openvino import openvino_core

TEXTS = [
    "open the file",
    "a",
    "How to close the red door and paint it blue? " * 4,
    "valve pump filter",
    "",
    "the motor is running",
    "ümläut 数 \N{PILE OF POO}",
    "colour " * 200,
]


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return OpenVinoEncoder(tiny_encoder, precision="f32", threads=2)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_sentence_transformer(tiny_model)


def reference(model, texts, **options):
    return model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False, **options)


def test_the_exported_encoder_equals_the_model(encoder, model, tiny_encoder):
    assert json.loads((tiny_encoder / "encoder.json").read_text())["backend"] == "openvino"
    got = encoder.encode(TEXTS)
    assert got.shape == (len(TEXTS), 32) and got.dtype == np.float32
    np.testing.assert_allclose(got, reference(model, TEXTS), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)


def test_the_torch_encoder_equals_the_model(tiny_model, model):
    torch_encoder = TorchEncoder(tiny_model)
    np.testing.assert_allclose(torch_encoder.encode(TEXTS), reference(model, TEXTS), atol=1e-5)


@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_vectors_do_not_depend_on_the_batches(encoder, budget):
    got = encoder.encode(TEXTS, token_budget=budget)
    np.testing.assert_allclose(got, encoder.encode(TEXTS), atol=1e-5)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(got, alone, atol=1e-5)


def test_prompts_stand_before_the_texts(prompted_model, tmp_path, encoder):
    exported = export_encoder(prompted_model, tmp_path / "encoder")
    assert exported.stamp.query_prompt == "query: "
    for kind in ("query", "document"):
        by_hand = encoder.encode([f"{kind}: {text}" for text in TEXTS])
        np.testing.assert_allclose(exported.encode(TEXTS, kind=kind), by_hand, atol=1e-4)
        in_torch = TorchEncoder(prompted_model).encode(TEXTS, kind=kind)
        np.testing.assert_allclose(in_torch, by_hand, atol=1e-4)
    assert not np.allclose(exported.encode(TEXTS[:1], kind="query"), exported.encode(TEXTS[:1]))
    with pytest.raises(ConfigError, match="kind"):
        exported.encode(TEXTS, kind="passage")


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_cut_vectors_are_normalised_and_stamped(backend, tiny_encoder, tiny_model, encoder):
    load = load_encoder if backend == "openvino" else TorchEncoder
    cut = load(tiny_encoder if backend == "openvino" else tiny_model, dims=8)
    assert cut.stamp.dims == 8 and cut.stamp.reshape == ("truncate:8",)
    whole = encoder.encode(TEXTS)[:, :8]
    want = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(cut.encode(TEXTS), want, atol=1e-4)
    with pytest.raises(StoreError, match="truncate:8"):
        encoder.stamp.check(cut.stamp)


@pytest.mark.parametrize("dims", [0, 33, -1])
def test_dims_out_of_range_are_refused(tiny_encoder, dims):
    with pytest.raises(ConfigError, match="between 1 and the model's 32"):
        load_encoder(tiny_encoder, dims=dims)


def test_tokens_are_counted_uncut_and_without_special_ones(encoder, tiny_model):
    counts = encoder.count_tokens(["open the file", "", "colour " * 200, "filtering \ud800"])
    assert counts == [3, 0, 200, 3]
    assert TorchEncoder(tiny_model).count_tokens(["open the file", "\ud800"]) == [3, 1]


def test_lone_surrogates_are_replaced(encoder, tiny_model):
    broken, plain = ["open \ud800 file", "\udcff"], ["open ? file", "?"]
    np.testing.assert_array_equal(encoder.encode(broken), encoder.encode(plain))
    in_torch = TorchEncoder(tiny_model)
    np.testing.assert_array_equal(in_torch.encode(broken), in_torch.encode(plain))


def test_encoding_needs_no_torch(tiny_encoder):
    code = (
        "import sys\n"
        "from vecsmith.encode import load_encoder\n"
        f"assert load_encoder({str(tiny_encoder)!r}).encode(['a']).shape == (1, 32)\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def test_what_cannot_be_traced_stays_in_torch(tiny_model, tmp_path, monkeypatch, caplog, model):
    def broken(*_):
        raise RuntimeError("no such operator")

    monkeypatch.setattr("vecsmith.encode.text._export._convert", broken)
    kept = export_encoder(tiny_model, tmp_path / "encoder", label="tiny")
    assert isinstance(kept, TorchEncoder) and "no such operator" in caplog.text
    np.testing.assert_allclose(kept.encode(TEXTS), reference(model, TEXTS), atol=1e-5)
    assert not (tmp_path / "encoder" / "model.xml").exists()
    recorded = json.loads((tmp_path / "encoder" / "encoder.json").read_text())["stamp"]
    assert kept.stamp.to_dict() == recorded


def test_another_models_stamp_is_refused(encoder, prompted_model):
    with pytest.raises(StoreError, match="query_prompt"):
        encoder.stamp.check(TorchEncoder(prompted_model).stamp)


def test_the_precision_is_recorded(tiny_encoder, tmp_path):
    import shutil

    folder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    set_precision(folder, "bf16")
    assert OpenVinoEncoder(folder).precision == "bf16"
    assert OpenVinoEncoder(folder, precision="f32").precision == "f32"
    with pytest.raises(ConfigError, match="f16"):
        OpenVinoEncoder(folder, precision="f16")


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-9, 9, width=32)),
    st.sampled_from([0, 1]),
)
def test_rounded_weights_are_off_by_half_a_scale_at_most(weights, axis):
    rounded, scales = round_weights(weights, axis)
    assert rounded.dtype == np.int8 and scales.shape[axis] == 1
    error = np.abs(rounded.astype(np.float64) * scales - weights)
    assert (error <= scales * 0.501).all()


def test_eight_bit_products_are_close_whatever_the_batch(encoder, tiny_encoder):
    network = openvino_core().read_model(str(tiny_encoder / "model.xml"))
    assert quantise_network(network) == 12  # two layers: query, key, value, output, two dense
    small = OpenVinoEncoder(tiny_encoder, precision="int8", threads=2)
    whole, got = encoder.encode(TEXTS), small.encode(TEXTS)
    assert (whole * got).sum(axis=1).min() > 0.98 and not np.allclose(whole, got, atol=1e-6)
    np.testing.assert_allclose(small.encode(TEXTS, token_budget=1), got, atol=1e-5)


def test_a_folder_without_an_encoder_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"encoder\.json"):
        OpenVinoEncoder(tmp_path)
    with pytest.raises(StoreError, match=r"encoder\.json"):
        load_encoder(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the signal stack by Linux's layout")
def test_encoders_that_come_and_go_leave_the_signal_stack_alone(tiny_encoder):
    # a stack that an encoder took away with itself would let the next signal kill the process
    code = f"""
import ctypes, gc, signal
from vecsmith.encode import OpenVinoEncoder

class Stack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

def stack():
    found = Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found)) == 0
    return found.start, found.size

seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(stack()))
kept = [OpenVinoEncoder({str(tiny_encoder)!r}, precision="f32", threads=1) for _ in range(3)]
for encoder in kept:
    encoder.encode(["open the door"])
    signal.raise_signal(signal.SIGUSR1)
while kept:
    kept.pop(0)
    encoder = None
    gc.collect()
    signal.raise_signal(signal.SIGUSR1)
print(len(seen), len(set(seen)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, (run.returncode, run.stderr[-800:])
    assert run.stdout == "6 1\n"


@pytest.mark.parametrize("kind", ["query", "document"])
def test_the_tokens_are_those_that_are_encoded(encoder, tiny_model, kind):
    torch_encoder = TorchEncoder(tiny_model)
    rows = encoder.tokens(TEXTS, kind=kind)
    assert rows == torch_encoder.tokens(TEXTS, kind=kind)
    assert max(map(len, rows)) == encoder.stamp.max_tokens
    np.testing.assert_array_equal(encoder.encode_tokens(rows), encoder.encode(TEXTS, kind=kind))
    assert max(map(max, rows)) < encoder.vocabulary


def test_a_vector_is_the_same_bits_in_any_company(encoder):
    together = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(encoder.encode([text])[0], vector)
    backwards = encoder.encode(TEXTS[::-1], token_budget=64)
    np.testing.assert_array_equal(backwards[::-1], together)


def test_a_torch_encoder_counts_while_it_encodes(tiny_model):
    from concurrent.futures import ThreadPoolExecutor

    torch_encoder = TorchEncoder(tiny_model)
    with ThreadPoolExecutor(4) as pool:
        encoded = [pool.submit(torch_encoder.encode, TEXTS * 4) for _ in range(4)]
        counted = [pool.submit(torch_encoder.tokens, TEXTS * 4) for _ in range(20)]
        lengths = [pool.submit(torch_encoder.count_tokens, TEXTS * 4) for _ in range(20)]
        assert len({len(c.result()) for c in (*encoded, *counted, *lengths)}) == 1
