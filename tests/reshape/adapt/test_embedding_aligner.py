"""Alignment of graph vectors to a model's input embeddings, against plain arithmetic."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.reshape.adapt import EmbeddingAligner, MLPOptions, hit_at_k, name_vectors
from vecsmith.reshape.adapt._embedding_aligner import iterative_normal, linear_map
from vecsmith.reshape.adapt._homogeniser import homogeniser

KINDS = ("mlp", "linear", "procrustes", "iternorm")
QUICK = MLPOptions(hidden=24, epochs=60, batch_size=16, lr=1e-2, cpu=True)


class Lookup(torch.nn.Module):
    """The input table of a language model, which is all that alignment asks of one."""

    def __init__(self, rows, width):
        super().__init__()
        self.table = torch.nn.Embedding(rows, width)

    def get_input_embeddings(self):
        return self.table


class Letters:
    """A tokenizer whose sub-words are letters; what is none is unknown."""

    unk_token_id = 0

    def __call__(self, texts, *, add_special_tokens):
        assert not add_special_tokens
        ids = [[ord(c) - 96 if "a" <= c <= "z" else 0 for c in t if c != " "] for t in texts]
        return {"input_ids": ids}


@pytest.fixture
def lm():
    torch.manual_seed(0)
    return Lookup(27, 12), Letters()


def graph_of(lm, names, *, width=6, noise=0.0, seed=0):
    """Vectors from which the names' places can be told."""
    targets = name_vectors(names, *lm).vectors
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    made = targets @ turn[:, :width] + noise * rng.normal(size=(len(names), width))
    return (3 * made).astype(np.float32)


def words(count, length, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(chr(97 + c) for c in rng.integers(26, size=length)) for _ in range(count)]


LETTERS = [chr(c) for c in range(97, 123)]


def test_a_name_is_the_mean_of_its_sub_words(lm):
    table = lm[0].table.weight.detach().double().numpy()
    found = name_vectors(["ab c", "z", "症é", "a症"], *lm)
    wanted = [(table[1] + table[2] + table[3]) / 3, table[26], table[0], (table[1] + table[0]) / 2]
    assert np.allclose(found.vectors, wanted, atol=1e-6)
    assert found.pieces.tolist() == [3, 1, 2, 2]
    assert found.unknown.tolist() == [False, False, True, False]


def test_linear_map_is_least_squares(lm):
    names = [*LETTERS, *words(20, 5)]
    x = graph_of(lm, names, noise=0.1)
    aligner = EmbeddingAligner("linear").fit(x, lm=lm, names=names)
    assert aligner.pairs_ == 26
    z = name_vectors(LETTERS, *lm).vectors.astype(np.float64)
    own = x[:26].astype(np.float64)
    matrix = np.linalg.solve(own.T @ own, own.T @ z)
    assert np.allclose(aligner.transform(x), x @ matrix, atol=1e-4)
    few = linear_map(x[:2], z[:2].astype(np.float32))
    assert np.allclose(x[:2] @ few, z[:2], atol=1e-5)


def test_orthogonal_maps_keep_angles(lm):
    names = words(60, 3)
    x = graph_of(lm, names, noise=0.1)
    aligner = EmbeddingAligner("procrustes", pairs="all").fit(x, lm=lm, names=names)
    made = aligner.transform(x).astype(np.float64)
    centred, mapped = x - x.mean(0), made - made.mean(0)
    scale = np.linalg.norm(mapped) / np.linalg.norm(centred)
    assert np.allclose(mapped @ mapped.T, scale**2 * centred @ centred.T, atol=1e-4)
    targets = aligner.targets_.vectors
    lengths = [np.linalg.norm(v - v.mean(0), axis=1).mean() for v in (made, targets)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-3)


def test_iterative_normalisation_ends_at_unit_length_and_mean_zero():
    rows = np.random.default_rng(0).normal(size=(50, 8)) + 2
    found, means = iterative_normal(rows, 40)
    assert np.allclose(found.mean(0), 0, atol=1e-12)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
    assert means.shape == (40, 8)


def test_full_rotation_is_found_again(lm):
    names = words(80, 3)
    x = graph_of(lm, names, width=12)
    for kind in ("procrustes", "iternorm", "linear"):
        aligner = EmbeddingAligner(kind, pairs="all").fit(x, lm=lm, names=names)
        assert hit_at_k(aligner.transform(x), aligner.targets_.vectors, range(80), k=1) == 1.0


def test_network_learns_what_the_vectors_hold(lm):
    names = words(300, 3)
    x = graph_of(lm, names, width=10, noise=0.02)
    left = np.arange(250, 300)
    how = MLPOptions(hidden=48, dropout=0.0, epochs=80, batch_size=32, lr=5e-3, cpu=True)
    aligner = EmbeddingAligner("mlp", options=how).fit(x, lm=lm, names=names, leave_out=left)
    assert aligner.pairs_ == 250
    targets = aligner.targets_.vectors
    chance = hit_at_k(np.roll(aligner.transform(x), 1, 0), targets, left)
    assert hit_at_k(aligner.transform(x), targets, left) > chance + 0.5


def test_small_targets_are_not_outweighed_by_decay(lm):
    with torch.no_grad():
        lm[0].table.weight *= 0.003
    names = words(200, 3)
    x = graph_of(lm, names, width=10) * 300

    def hits(scaled):
        how = MLPOptions(
            hidden=24, dropout=0, epochs=40, batch_size=64, lr=1e-2, decay=1e-3, scaled=scaled
        )
        aligner = EmbeddingAligner("mlp", options=how).fit(x, lm=lm, names=names)
        return hit_at_k(aligner.transform(x), aligner.targets_.vectors, range(200), k=3)

    assert hits(True) > hits(False) + 0.3


def test_entities_lie_as_far_apart_as_their_names(lm):
    names = words(300, 3)
    x = graph_of(lm, names, width=4, noise=1.0)

    def made(stretched):
        how = MLPOptions(hidden=24, epochs=30, batch_size=64, stretched=stretched, cpu=True)
        aligner = EmbeddingAligner("mlp", options=how).fit(x, lm=lm, names=names)
        return aligner.transform(x).astype(np.float64), aligner.targets_.vectors.astype(np.float64)

    (own, targets), (shrunk, _) = made(True), made(False)
    spread = [np.sqrt(np.square(v - v.mean(0)).mean()) for v in (own, targets, shrunk)]
    assert spread[2] < 0.8 * spread[1]
    assert spread[0] == pytest.approx(spread[1], rel=1e-4)
    assert np.allclose(own.mean(0), targets.mean(0), atol=1e-5)
    # the same directions, only longer
    assert np.allclose(
        (own - own.mean(0)) / spread[0], (shrunk - shrunk.mean(0)) / spread[2], atol=1e-3
    )


def test_network_is_that_of_the_paper():
    net = homogeniser(50, 768, MLPOptions())
    x = torch.randn(3, 50, dtype=torch.float32)
    _, first, norm, _, last = net
    hidden = x @ first.weight.T + first.bias
    mean, var = hidden.mean(1, keepdim=True), hidden.var(1, unbiased=False, keepdim=True)
    hidden = torch.tanh((hidden - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias)
    assert torch.allclose(net(x), hidden @ last.weight.T + last.bias, atol=1e-5)
    assert first.out_features == 300
    assert net[0].p == 0.25


def test_hits_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(40, 5)) + 1
    mapped = targets + 0.8 * rng.normal(size=(40, 5))
    centre = targets.mean(0)
    hits = 0
    for row in range(10):
        own = mapped[row] - centre
        cosines = [
            own @ (t - centre) / np.linalg.norm(own) / np.linalg.norm(t - centre) for t in targets
        ]
        hits += sum(c > cosines[row] + 1e-9 for c in cosines) < 3
    assert hit_at_k(mapped, targets, range(10), k=3) == hits / 10
    assert 0 < hits < 10


@pytest.mark.parametrize("kind", KINDS)
def test_saved_maps_come_back_bit_for_bit(kind, lm, tmp_path):
    names = [*LETTERS, *words(10, 4)]
    x = graph_of(lm, names, noise=0.1)
    aligner = EmbeddingAligner(kind, options=QUICK).fit(x, lm=lm, names=names)
    aligner.save(tmp_path / "map")
    again = EmbeddingAligner.load(tmp_path / "map")
    assert np.array_equal(again.transform(x), aligner.transform(x))
    assert (again.kind, again.pairs, again.pairs_) == (kind, aligner.pairs, aligner.pairs_)
    # one row alone is mapped as among others
    assert np.allclose(again.transform(x[:1]), aligner.transform(x)[:1], atol=1e-5)
    repeat = EmbeddingAligner(kind, options=QUICK).fit(x, lm=lm, names=names)
    assert np.array_equal(repeat.transform(x), aligner.transform(x))
    (tmp_path / "map" / "arrays.safetensors").write_bytes(b"")
    with pytest.raises(StoreError):
        EmbeddingAligner.load(tmp_path / "map")


def test_bad_input_is_refused(lm):
    x = np.ones((3, 2), np.float32)
    with pytest.raises(ConfigError, match="procrustes"):
        EmbeddingAligner("procrustus")
    with pytest.raises(ConfigError, match="pairs"):
        EmbeddingAligner(pairs="some")
    with pytest.raises(ConfigError, match="dropout"):
        MLPOptions(dropout=1.0)
    with pytest.raises(ConfigError, match="fit first"):
        EmbeddingAligner().transform(x)
    with pytest.raises(DataError, match="each of the 3 rows"):
        EmbeddingAligner().fit(x, lm=lm, names=["a"])
    with pytest.raises(DataError, match="none empty"):
        EmbeddingAligner().fit(x, lm=lm, names=["a", "b", " "])
    with pytest.raises(DataError, match="at least 2"):
        EmbeddingAligner("linear").fit(x, lm=lm, names=["ab", "cd", "e"])
    with pytest.raises(DataError, match="finite"):
        EmbeddingAligner().fit(np.full((3, 2), np.nan), lm=lm, names=["a", "b", "c"])
    with pytest.raises(DataError, match="cannot lead"):
        EmbeddingAligner("procrustes").fit(np.eye(3, 20), lm=lm, names=["a", "b", "c"])
    fitted = EmbeddingAligner("linear").fit(np.eye(3), lm=lm, names=["a", "b", "c"])
    with pytest.raises(DataError, match="3 dimensions"):
        fitted.transform(x)
    with pytest.raises(DataError, match="one shape"):
        hit_at_k(x, x[:2], [0])
