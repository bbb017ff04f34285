"""Twin-Merging: differences, mixing within a batch, the router, files."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from vecsmith.core import ConfigError, DataError, ModelError, StoreError
from vecsmith.reshape import MergeSet, TwinModel
from vecsmith.reshape.merge.twin import (
    SVD,
    Drop,
    Mixer,
    Prune,
    Router,
    RouterOptions,
    compress,
    train_router,
    truncated_svd,
)

Move = Callable[..., nn.Module]
QUICK = RouterOptions(epochs=30, lr=1e-2, batch=16)


class Kinds(nn.Module):
    """A table, two linear layers, a LayerNorm, a tied output and shared positions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.places = nn.Embedding(11, 6), nn.Embedding(5, 6)
        self.up, self.norm = nn.Linear(6, 9), nn.LayerNorm(9)
        self.down = nn.Linear(9, 6, bias=False)
        self.out = nn.Linear(6, 11, bias=False)
        self.out.weight = self.table.weight
        self.double()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table(ids) + self.places(torch.arange(ids.shape[1])[None])
        # the tokens of all rows in one long row of vectors, as expert layers and flat losses do
        flat = torch.tanh(self.norm(self.up(x).flatten(0, 1)))
        x = x + self.down(flat).reshape(x.shape)
        return self.out(x).mean(1)


def kinds(moved: Move, count: int = 3, **settings: object) -> tuple[TwinModel, MergeSet]:
    base = Kinds()
    ms = MergeSet(base, {f"e{i}": moved(base, i + 1) for i in range(count)}, same_base=False)
    return TwinModel.build(ms, represent=lambda output: output, **settings), ms


IDS = torch.randint(0, 11, (4, 5), generator=torch.Generator().manual_seed(1))


def test_truncated_svd_is_the_nearest_of_its_rank() -> None:
    matrix = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, right = truncated_svd(matrix, 2)
    assert left.shape == (7, 2) and right.shape == (2, 5)
    singular = torch.linalg.svdvals(matrix)
    error = (matrix - left @ right).norm()
    torch.testing.assert_close(error, singular[2:].norm())
    assert torch.linalg.matrix_rank(left @ right) == 2


def test_a_random_projection_finds_the_same_directions() -> None:
    generator = torch.Generator().manual_seed(0)
    low = torch.randn(90, 3, generator=generator) @ torch.randn(3, 70, generator=generator)
    left, right = truncated_svd(low, 3, randomised=True)
    torch.testing.assert_close(left @ right, low, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("ratio, rank", [(0.5, None), (0.1, None), (0.9, 2)])
def test_stored_numbers_are_rank_times_both_sides(ratio: float, rank: int | None) -> None:
    delta = torch.randn(20, 12)
    part = compress(delta, SVD(ratio, rank))
    kept = rank or max(1, round(ratio * 12))
    assert part.size == kept * (20 + 12) and part.dense().shape == (20, 12)
    assert compress(torch.randn(9), SVD(ratio, rank)).size == 9
    assert torch.equal(compress(delta, SVD(1.0)).dense(), delta)


def test_a_tensor_of_four_dimensions_keeps_its_shape() -> None:
    delta = torch.randn(8, 3, 3, 3)
    part = compress(delta, SVD(rank=2))
    assert part.dense().shape == delta.shape and part.size == 2 * (8 + 27)


def test_pruned_and_dropped_differences() -> None:
    delta = torch.tensor([[1.0, -5.0], [0.5, 3.0]])
    part = compress(delta, Prune(0.5))
    assert part.dense().tolist() == [[0.0, -5.0], [0.0, 3.0]] and part.size == 4
    many = torch.ones(100, 100)
    dropped = compress(many, Drop(0.2, seed=1), "w")
    assert set(dropped.dense().unique().tolist()) == {0.0, 5.0}
    assert dropped.dense().mean().item() == pytest.approx(1.0, abs=0.08)
    assert torch.equal(dropped.dense(), compress(many, Drop(0.2, seed=1), "w").dense())
    assert not torch.equal(dropped.dense(), compress(many, Drop(0.2, seed=1), "v").dense())


@pytest.mark.parametrize("compression", [None, SVD(0.3), SVD(rank=1), Prune(0.2), Drop(0.5)])
def test_a_mixed_batch_equals_built_weights_row_by_row(compression: object, moved: Move) -> None:
    twin, _ = kinds(moved, compression=compression, scale=0.3)
    weights = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert not twin.mixer.by_row
    before = copy.deepcopy(twin.shared.state_dict())
    batched = twin(IDS, weights=weights).vectors
    for row in range(4):
        alone = twin.merged(weights[row])(IDS[row : row + 1])
        torch.testing.assert_close(batched[row : row + 1], alone, rtol=1e-10, atol=1e-10)
        one = twin(IDS[row : row + 1], weights=weights[row]).vectors
        torch.testing.assert_close(batched[row : row + 1], one, rtol=1e-10, atol=1e-10)
    for name, value in twin.shared.state_dict().items():
        assert torch.equal(value, before[name])
    plain = twin(IDS, weights=torch.zeros(3)).vectors
    torch.testing.assert_close(plain, twin.shared(IDS), rtol=1e-12, atol=1e-12)


def test_full_rank_and_one_expert_give_the_expert(moved: Move) -> None:
    twin, ms = kinds(moved, compression=SVD(1.0), scale=0.7)
    for number, task in enumerate(ms.tasks):
        alone = twin(IDS, weights=torch.eye(3)[number]).vectors
        torch.testing.assert_close(alone, ms.experts[task](IDS), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(
            twin.merged({task: 1.0})(IDS), ms.experts[task](IDS), rtol=1e-9, atol=1e-9
        )


def test_differences_are_to_the_shared_model(moved: Move) -> None:
    twin, ms = kinds(moved, compression=None, scale=0.3)
    shared = twin.shared.state_dict()
    for name in ms.names:
        expected = ms.experts["e1"].state_dict()[name] - shared[name]
        torch.testing.assert_close(twin.parts["e1"][name].dense(), expected)
        assert not torch.equal(twin.parts["e1"][name].dense(), ms.delta("e1", name))


def test_what_cannot_be_mixed_in_a_batch_is_run_row_by_row(moved: Move) -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(6, dtype=torch.float64))
            self.line = nn.Linear(6, 3).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.line(torch.exp(self.gain) * x)

    base = Gate()
    ms = MergeSet(base, {"a": moved(base, 1), "b": moved(base, 2)}, same_base=False)
    twin = TwinModel.build(ms, compression=None)
    assert twin.mixer.by_row == ("gain",)
    x = torch.randn(3, 6, dtype=torch.float64)
    weights = torch.rand(3, 2, dtype=torch.float64)
    found = twin(x, weights=weights).vectors
    expected = torch.cat([twin.merged(w)(row[None]) for w, row in zip(weights, x, strict=True)])
    torch.testing.assert_close(found, expected)
    with pytest.raises(ModelError, match="gain"), Mixer(base, twin.parts).mixed(weights):
        pass


def test_convolutions_and_norms_are_affine_in_their_weights(moved: Move) -> None:
    base = nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(64, 3))
    base.double()
    ms = MergeSet(base, {"a": moved(base, 1), "b": moved(base, 2)}, same_base=False)
    twin = TwinModel.build(ms, compression=SVD(rank=2))
    assert not twin.mixer.by_row
    x, weights = torch.randn(3, 2, 6, 6).double(), torch.rand(3, 2).double()
    found = twin(x, weights=weights).vectors
    expected = torch.cat([twin.merged(w)(row[None]) for w, row in zip(weights, x, strict=True)])
    torch.testing.assert_close(found, expected)


def test_a_layer_that_loses_track_of_the_rows_is_told(moved: Move) -> None:
    base = nn.Sequential(nn.Flatten(0, 1), nn.Linear(4, 2))
    ms = MergeSet(base, {"a": moved(base, 1)}, same_base=False)
    mixer = TwinModel.build(ms).mixer
    with pytest.raises(ModelError, match="5 rows for a batch of 2"), mixer.mixed(torch.ones(2, 1)):
        base = mixer.model(torch.randn(1, 5, 4))


def draws(count: int = 60) -> dict[str, torch.Tensor]:
    """Inputs of three tasks that differ in their tokens."""
    generator = torch.Generator().manual_seed(3)
    return {
        f"e{i}": torch.randint(3 * i, 3 * i + 4, (count, 5), generator=generator) for i in range(3)
    }


def test_the_router_finds_the_expert(moved: Move) -> None:
    heads = {f"e{i}": nn.Linear(11, i + 2).double() for i in range(3)}
    twin, _ = kinds(moved, heads=heads)
    with pytest.raises(ConfigError, match="no router yet"):
        twin(IDS)
    report = twin.fit_router(draws(), QUICK)
    assert report.accuracy > 0.8 and set(report.by_task) == {"e0", "e1", "e2"}
    assert report.rows == {"e0": 60, "e1": 60, "e2": 60}
    mixed = torch.cat([rows[:2] for rows in draws(4).values()])
    output = twin(mixed)
    torch.testing.assert_close(output.weights.sum(1), torch.ones(6, dtype=torch.float64))
    assert [len(row) for row in output.logits] == [int(t[1]) + 2 for t in output.tasks]
    assert output.tasks == ("e0", "e0", "e1", "e1", "e2", "e2")
    given = twin(mixed, tasks="e1")
    assert {len(row) for row in given.logits} == {3}
    torch.testing.assert_close(given.vectors, output.vectors)
    expected = heads["e1"](given.vectors[3])
    torch.testing.assert_close(given.logits[3], expected)


def test_vectors_do_not_depend_on_the_batch(moved: Move) -> None:
    twin, _ = kinds(moved)
    twin.fit_router(draws(), QUICK)
    rows = list(torch.cat([r[:3] for r in draws(4).values()]))
    torch.testing.assert_close(twin.encode(rows, batch=9), twin.encode(rows, batch=1))
    # BatchNorm of the router must be in eval mode, also for a single row
    torch.testing.assert_close(twin.route(rows[:1]), twin.route(rows)[:1])


def test_the_router_is_repeatable_and_needs_rows() -> None:
    vectors = {"a": torch.randn(20, 4), "b": torch.randn(20, 4) + 1}
    first, report = train_router(vectors, QUICK)
    again, same = train_router(vectors, QUICK)
    for ours, theirs in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert report == same
    other, _ = train_router(vectors, RouterOptions(epochs=2, seed=1))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    with pytest.raises(DataError, match="'b' has 1"):
        train_router({"a": vectors["a"], "b": vectors["b"][:1]})


def test_the_router_has_the_papers_layers() -> None:
    names = [type(layer).__name__ for layer in Router(4, 3).layers]
    block = ["Linear", "BatchNorm1d", "LeakyReLU", "Dropout"]
    assert names == [*block, *block, "Linear"]
    assert [p.shape for p in Router(4, 3).parameters() if p.ndim == 2] == [(8, 4), (8, 8), (3, 8)]


def test_another_expert_comes_later(moved: Move) -> None:
    twin, ms = kinds(moved, compression=None)
    twin.fit_router(draws(), QUICK)
    expert = moved(ms.base, 9)
    shared = copy.deepcopy(twin.shared.state_dict())
    twin.add_expert("late", expert)
    assert twin.tasks == ("e0", "e1", "e2", "late") and twin.router is None
    assert all(torch.equal(v, shared[n]) for n, v in twin.shared.state_dict().items())
    torch.testing.assert_close(twin(IDS, weights=torch.tensor([0.0, 0, 0, 1])).vectors, expert(IDS))
    with pytest.raises(ConfigError, match="is there already"):
        twin.add_expert("late", expert)
    with pytest.raises(ModelError, match="architecture"):
        twin.add_expert("other", nn.Linear(3, 3))
    with pytest.raises(ConfigError, match="needs no head"):
        twin.add_expert("headed", expert, nn.Linear(11, 2))


@pytest.mark.parametrize(
    "weights, text",
    [
        (torch.ones(2), r"got \(2,\)"),
        (torch.ones(3, 3), r"got \(3, 3\)"),
        (torch.full((3,), torch.nan), "finite"),
    ],
)
def test_weights_must_fit(weights: torch.Tensor, text: str, moved: Move) -> None:
    twin, _ = kinds(moved)
    with pytest.raises(ConfigError, match=text):
        twin(IDS, weights=weights)


def test_bad_names_and_settings_are_told(moved: Move) -> None:
    twin, ms = kinds(moved)
    with pytest.raises(ConfigError, match="e0"):
        twin.merged({"e9": 1.0})
    with pytest.raises(ConfigError, match="exactly the experts"):
        twin.fit_router({"e0": IDS})
    with pytest.raises(ConfigError, match="no expert is called 'x'"):
        twin(IDS, weights=torch.ones(3), tasks="x")
    with pytest.raises(ConfigError, match="one expert a row"):
        twin(IDS, weights=torch.ones(3), tasks=["e0"])
    with pytest.raises(ConfigError, match="heads must name"):
        TwinModel.build(ms, heads={"e0": nn.Linear(2, 2)}, represent=lambda x: x)
    for make in (lambda: SVD(0.0), lambda: SVD(rank=0), lambda: Prune(1.5), lambda: Drop(0.0)):
        with pytest.raises(ConfigError):
            make()
    with pytest.raises(ConfigError, match="save_pretrained"):
        twin.save_pretrained("nowhere")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory, moved: Move) -> dict[str, nn.Module]:
    """A small sentence encoder and two experts of it."""
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("twin") / "model"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(str(folder))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(str(folder))
    base = SentenceTransformer(str(folder), device="cpu").eval()
    return {"base": base, "x": moved(base, 1, 0.05), "y": moved(base, 2, 0.05)}


TEXTS = ["a b c", "d", "e f g h i j a b", "j j"]


def test_a_sentence_encoder_is_saved_whole(encoders: dict[str, nn.Module], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    ms = MergeSet(encoders["base"], {"x": encoders["x"], "y/z": encoders["y"]}, same_base=False)
    heads = {"x": nn.Linear(16, 3), "y/z": nn.Linear(16, 2)}
    twin = TwinModel.build(ms, compression=SVD(rank=3), heads=heads, scale=0.4)
    twin.fit_router({"x": ["a b", "a c", "b a c"] * 4, "y/z": ["h i", "j", "g h"] * 4}, QUICK)
    twin.save_pretrained(tmp_path / "twin")
    loaded = TwinModel.from_pretrained(tmp_path / "twin")
    assert torch.equal(loaded.encode(TEXTS), twin.encode(TEXTS))
    ours, theirs = twin(TEXTS), loaded(TEXTS)
    assert ours.tasks == theirs.tasks and torch.equal(ours.weights, theirs.weights)
    for a, b in zip(ours.logits, theirs.logits, strict=True):
        assert torch.equal(a, b)
    assert loaded.compression == SVD(rank=3) and loaded.sizes() == twin.sizes()
    # rows that are padded in a batch get the same vectors alone
    torch.testing.assert_close(
        twin.encode(TEXTS, batch=4), twin.encode(TEXTS, batch=1), rtol=1e-4, atol=1e-5
    )
    plain = SentenceTransformer(str(tmp_path / "twin" / "shared"), device="cpu")
    zero = twin(TEXTS, weights=torch.zeros(2)).vectors
    torch.testing.assert_close(torch.as_tensor(plain.encode(TEXTS)), zero, rtol=1e-5, atol=1e-6)


def test_stored_experts_are_small_on_disk(encoders: dict[str, nn.Module], tmp_path: Path) -> None:
    ms = MergeSet(encoders["base"], {"x": encoders["x"], "y": encoders["y"]}, same_base=False)
    twin = TwinModel.build(ms, compression=SVD(rank=1))
    twin.save_pretrained(tmp_path / "twin")
    size = (tmp_path / "twin" / "experts" / "x.safetensors").stat().st_size
    matrices = sum(
        sum(twin.shared.state_dict()[n].shape)
        for n in ms.names
        if twin.shared.state_dict()[n].ndim == 2
    )
    rest = sum(v.numel() for n in ms.names if (v := twin.shared.state_dict()[n]).ndim != 2)
    assert twin.sizes()["x"] == matrices + rest
    assert 4 * (matrices + rest) <= size < 4 * (matrices + rest) + 8000
    assert (
        json.loads((tmp_path / "twin" / "twin.json").read_text())["sizes"]["x"] == matrices + rest
    )


def test_damaged_and_foreign_folders_are_refused(
    encoders: dict[str, nn.Module], tmp_path: Path
) -> None:
    ms = MergeSet(encoders["base"], {"x": encoders["x"], "y": encoders["y"]}, same_base=False)
    TwinModel.build(ms).save_pretrained(tmp_path / "twin")
    expert = tmp_path / "twin" / "experts" / "x.safetensors"
    whole = expert.read_bytes()
    expert.write_bytes(whole[:50])
    with pytest.raises(StoreError, match="damaged"):
        TwinModel.from_pretrained(tmp_path / "twin")
    expert.unlink()
    with pytest.raises(StoreError, match="missing"):
        TwinModel.from_pretrained(tmp_path / "twin")
    expert.write_bytes(whole)
    with pytest.raises(StoreError, match="other weights"):
        TwinModel.from_pretrained(tmp_path / "twin", shared=encoders["x"])
    (tmp_path / "twin" / "twin.json").write_text("{}")
    with pytest.raises(StoreError, match="format"):
        TwinModel.from_pretrained(tmp_path / "twin")


def test_a_transformers_model_writes_with_the_experts_it_needs(
    encoders: dict[str, nn.Module], moved: Move, tmp_path: Path
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=15,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        pad_token_id=0,
        eos_token_id=None,
        bos_token_id=None,
    )
    base = LlamaForCausalLM(config).eval()
    ms = MergeSet(base, {"x": moved(base, 1, 0.3), "y": moved(base, 2, 0.3)}, same_base=False)
    tokenizer = encoders["base"].tokenizer
    tokenizer.padding_side = "left"
    with pytest.raises(ConfigError, match="tokenizer"):
        TwinModel.build(ms)
    twin = TwinModel.build(ms, compression=SVD(1.0), tokenizer=tokenizer, scale=0.3)
    assert not twin.mixer.by_row  # LlamaRMSNorm, tied or not
    twin.fit_router({"x": ["a b", "a c", "b"] * 4, "y": ["h i", "j g", "h"] * 4}, QUICK)
    prompts = ["a b c", "i j h"]
    options = {"max_new_tokens": 6, "do_sample": False}
    both = twin.generate(prompts, **options)
    for row, prompt in enumerate(prompts):
        model = twin.merged(twin.route(prompts)[row])
        batch = tokenizer([prompt], return_tensors="pt")
        batch = {key: batch[key] for key in ("input_ids", "attention_mask")}
        assert torch.equal(model.generate(**batch, **options)[0], both[row])
    beams = twin.generate(prompts, **options, num_beams=3)
    assert beams.shape == both.shape
    twin.save_pretrained(tmp_path / "twin")
    loaded = TwinModel.from_pretrained(tmp_path / "twin")
    assert type(loaded.shared) is LlamaForCausalLM
    loaded.body.tokenizer.padding_side = "left"
    assert torch.equal(loaded.generate(prompts, **options), both)
