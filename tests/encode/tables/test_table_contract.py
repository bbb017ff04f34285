"""What every method keeps: shapes, gradients, bytes on disk, files, determinism, checked ids."""

import json
import struct
import time
import tracemalloc

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode.tables import METHODS, CompressedEmbedding, FrozenEmbedding
from vecsmith.train.tables import CTRModel, CTROptions, DCNv2, fit_ctr, predict

from .conftest import CASES, DIM

ALL = sorted(METHODS)
# gradients of the others go straight through; those have tests of their own
SMOOTH = [method for method in ALL if CASES[method].smooth]
# the others need every row
HUGE = [method for method in ALL if CASES[method].huge]


def test_every_method_has_a_case():
    assert set(CASES) == set(METHODS)


@pytest.fixture(scope="module")
def trained(make, parts):
    """Each method after a short training of all its stages; (model, scores before it)."""
    done = {}

    def train(method):
        if method not in done:
            model = CTRModel(make(method), DCNv2(cross=1, dense=(16,)))
            options = CTROptions(batch_size=128, epochs=3, lr=1e-2)
            fit_ctr(model, *parts, options=options)
            done[method] = model.eval()
        return done[method]

    return train


@pytest.mark.parametrize("method", ALL)
class TestEveryMethod:
    def test_shapes_are_those_of_an_embedding(self, method, make, ids):
        table = make(method)
        out = table(ids)
        assert out.shape == (200, 5, DIM) and out.dtype == torch.float32
        assert table(ids.reshape(10, 20, 5).int()).shape == (10, 20, 5, DIM)
        assert table(ids[:0]).shape == (0, 5, DIM)
        assert (table.num_embeddings, table.embedding_dim) == (table.shape.total, DIM)

    def test_one_field_takes_any_shape(self, method):
        case = CASES[method]
        counts = np.arange(2000)[::-1].copy()
        table = CompressedEmbedding.build(
            method, [2000], dim=DIM, rate=case.rate, counts=[counts], **case.settings
        )
        ids = torch.arange(12).reshape(3, 4)
        assert table(ids).shape == (3, 4, DIM)
        assert table(torch.tensor(7)).shape == (DIM,)

    def test_rows_do_not_depend_on_the_batch(self, method, make, ids):
        table = make(method).eval()
        alone = torch.cat([table(ids[i : i + 1]) for i in range(20)])
        torch.testing.assert_close(table(ids)[:20], alone, rtol=1e-5, atol=1e-6)

    def test_whole_table_is_its_lookups(self, method, make, ids):
        table = make(method).eval()
        weight = table.weight
        assert weight.shape == (table.shape.total, DIM)
        rows = ids + torch.tensor(table.shape.offsets)
        torch.testing.assert_close(weight[rows], table(ids), rtol=1e-5, atol=1e-6)

    def test_every_parameter_learns(self, method, make, ids):
        table = make(method).train()
        torch.manual_seed(0)
        out = table(ids)
        loss = (out * torch.randn(out.shape)).sum()
        extra = table.penalty()
        (loss if extra is None else loss + extra).backward()
        for name, parameter in table.named_parameters():
            assert parameter.grad is not None and parameter.grad.any(), name

    def test_training_stays_within_the_budget_on_disk(self, method, trained, parts, tmp_path):
        table = trained(method).embedding
        small = table.freeze()
        allowed = CASES[method].rate * 4 * table.shape.total * DIM
        assert 0 < small.nbytes() <= 1.01 * allowed
        small.save_pretrained(tmp_path / "table")
        data = (tmp_path / "table" / "table.safetensors").read_bytes()
        heading = 8 + struct.unpack("<Q", data[:8])[0]
        assert len(data) - heading == small.nbytes() == table.nbytes()
        held = sum(path.stat().st_size for path in (tmp_path / "table").iterdir())
        assert held - small.nbytes() < 6000
        assert small.rate == small.nbytes() / (4 * table.shape.total * DIM)

    def test_training_learns(self, method, trained, parts):
        scores = predict(trained(method), parts[0])
        labels = parts[0].labels
        assert scores[labels == 1].mean() > scores[labels == 0].mean() + 0.1

    def test_frozen_and_reloaded_tables_are_equal(self, method, trained, ids, tmp_path):
        table = trained(method).embedding
        with torch.no_grad():
            expected = table(ids)
        frozen = table.freeze()
        torch.testing.assert_close(frozen(ids), expected, rtol=1e-5, atol=1e-6)
        frozen.save_pretrained(tmp_path / "t")
        again = FrozenEmbedding.from_pretrained(tmp_path / "t")
        assert torch.equal(again(ids), frozen(ids))
        assert again.method == method and not list(again.parameters())

    def test_frozen_model_scores_alike(self, method, trained, parts):
        model = trained(method)
        before = predict(model, parts[1])
        kept, model.embedding = model.embedding, model.embedding.freeze()
        after = predict(model, parts[1])
        model.embedding = kept
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)

    def test_seed_decides(self, method, make, ids):
        tables = [make(method, seed=seed).eval()(ids) for seed in (3, 3, 4)]
        assert torch.equal(tables[0], tables[1])
        assert not torch.equal(tables[0], tables[2])

    def test_padding_is_zero_and_does_not_learn(self, method, make, ids):
        table = make(method, padding_idx=1).train()
        padded = torch.ones_like(ids)
        out = table(padded)
        assert not out.any()
        if out.requires_grad:
            out.sum().backward()
            for parameter in table.parameters():
                assert parameter.grad is None or not parameter.grad.any()
        assert table(torch.zeros_like(ids)).any()
        assert not table.freeze()(padded).any()

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            (torch.tensor([[0, 0, 0, 0, -1]]), r"ids of field 4 must be from 0 to 72; got -1"),
            (torch.tensor([[0, 0, 2, 0, 0]]), r"ids of field 2 must be from 0 to 1; got 2"),
            (torch.zeros(1, 5), "whole numbers"),
            (torch.zeros(1, 4, dtype=torch.int64), "one column for each of the 5 fields"),
            ([[0, 0, 0, 0, 0]], "must be a tensor"),
        ],
    )
    def test_wrong_ids_are_refused(self, method, make, wrong, named):
        table = make(method)
        for each in (table, table.freeze()):
            with pytest.raises(DataError, match=named):
                each(wrong)

    def test_rates_out_of_reach_are_named(self, method, make):
        least = METHODS[method].reachable([943, 1642, 2, 795, 73], dim=DIM)
        assert 0 < least <= 1
        with pytest.raises(ConfigError, match="cannot be reached") as error:
            make(method, rate=1e-7)
        assert method in str(error.value)


@pytest.mark.parametrize("method", SMOOTH)
def test_gradient_is_that_of_finite_differences(method, make, ids):
    table = make(method).eval().double()
    torch.manual_seed(1)
    target = torch.randn(200, 5, DIM, dtype=torch.float64)
    trained = [p for p in table.parameters() if p.requires_grad]
    gradients = torch.autograd.grad((table(ids) * target).sum(), trained)
    for parameter, gradient in zip(trained, gradients, strict=True):
        step = torch.randn_like(parameter)
        with torch.no_grad():
            values = []
            for sign in (1, -2, 1):
                parameter += sign * 1e-6 * step
                values.append(float((table(ids) * target).sum()))
        slope = (values[0] - values[1]) / 2e-6
        assert float((gradient * step).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("method", HUGE)
def test_fifty_million_rows_are_built_at_once(method):
    case = CASES[method]
    build = {"dim": 16, "rate": case.huge, **case.settings}
    CompressedEmbedding.build(method, [1000], **{**build, "rate": case.rate})
    tracemalloc.start()
    started = time.perf_counter()
    table = CompressedEmbedding.build(method, [50_000_000], **build)
    seconds = time.perf_counter() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    held = sum(t.numel() * t.element_size() for t in table.state_dict().values())
    assert seconds < 1 and peak + held < 200e6
    found = table(torch.tensor([0, 49_999_999]))
    assert found.shape == (2, 16) and not torch.equal(found[0], found[1])


def test_files_are_equal_in_a_fresh_process(trained, make, ids, tmp_path, fresh_process):
    expected = {}
    for method in ALL:
        trained(method).embedding.save_pretrained(tmp_path / method)
        expected[method] = (trained(method).embedding.freeze()(ids), make(method).eval()(ids))
    np.save(tmp_path / "ids.npy", ids.numpy())
    code = """
import json, sys, numpy as np, torch
from pathlib import Path
from vecsmith.encode.tables import CompressedEmbedding, FrozenEmbedding
folder = Path(sys.argv[1])
torch.set_num_threads(1)
ids = torch.from_numpy(np.load(folder / "ids.npy"))
for method, build in json.loads((folder / "build.json").read_text()).items():
    loaded = FrozenEmbedding.from_pretrained(folder / method)(ids)
    counts = np.load(folder / "counts.npz")
    counts = [counts[name] for name in counts.files]
    built = CompressedEmbedding.build(method, counts=counts, **build).eval()(ids)
    np.savez(folder / f"{method}.npz", loaded=loaded.detach(), built=built.detach())
"""
    plan = make("full").plan
    sizes = plan.shape.sizes
    borders = np.cumsum(sizes)[:-1]
    np.savez(tmp_path / "counts.npz", *np.split(plan.counts, borders))
    builds = {
        method: {"field_sizes": sizes, "dim": DIM, "rate": case.rate, **case.settings}
        for method, case in CASES.items()
    }
    (tmp_path / "build.json").write_text(json.dumps(builds))
    fresh_process(code, tmp_path)
    for method in ALL:
        found = np.load(tmp_path / f"{method}.npz")
        np.testing.assert_array_equal(found["loaded"], expected[method][0].detach(), method)
        np.testing.assert_array_equal(found["built"], expected[method][1].detach(), method)


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'hash'"):
        CompressedEmbedding.build("hsh", [10], dim=4)
    with pytest.raises(ConfigError, match="no setting 'mixd'"):
        CompressedEmbedding.build("hash", [10], dim=4, rate=0.5, mixd=True)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"field_sizes": []}, "field_sizes must be whole numbers from 1"),
        ({"field_sizes": [3, 0]}, "field_sizes"),
        ({"field_sizes": [2.5]}, "field_sizes"),
        ({"dim": 0}, "dim must be"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"rate": 1.5}, "rate must be above 0"),
        ({"counts": [[1, 2, 3]]}, "counts must hold one array a field"),
        ({"counts": [[-1] * 10]}, "counts must be whole numbers"),
        ({"padding_idx": 10}, "padding_idx must be an id of every field"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    given = {"field_sizes": [10], "dim": 4, "rate": 1.0, **arguments}
    with pytest.raises(ConfigError, match=named):
        CompressedEmbedding.build("full", **given)


def test_sparse_gradients_are_those_of_rows_that_were_read():
    table = CompressedEmbedding.build("full", [100], dim=4, sparse=True)
    table(torch.tensor([3, 3, 5])).sum().backward()
    assert table.table.grad.is_sparse
    assert table.table.grad.coalesce().indices().tolist() == [[3, 5]]


def test_damaged_files_are_refused(make, tmp_path):
    make("hash").save_pretrained(tmp_path / "t")
    with pytest.raises(StoreError, match="missing"):
        FrozenEmbedding.from_pretrained(tmp_path / "nothing")
    path = tmp_path / "t" / "table.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StoreError, match="cannot be read"):
        FrozenEmbedding.from_pretrained(tmp_path / "t")
    kept = json.loads((tmp_path / "t" / "config.json").read_text())
    (tmp_path / "t" / "config.json").write_text(json.dumps({**kept, "method": "hush"}))
    with pytest.raises(StoreError, match="did you mean 'hash'"):
        FrozenEmbedding.from_pretrained(tmp_path / "t")
