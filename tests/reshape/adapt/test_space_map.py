import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.reshape import SpaceMap


def unit(rows, dims, seed):
    vectors = np.random.default_rng(seed).normal(size=(rows, dims))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


OLD = unit(300, 8, 0)
TURN = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]


def test_a_rotation_is_found_again():
    for kind in ("procrustes", "ridge"):
        found = SpaceMap.fit(OLD, OLD @ TURN, kind=kind, penalty=1e-9)
        np.testing.assert_allclose(found.matrix, TURN, atol=1e-4)
        np.testing.assert_allclose(found.apply(OLD[:5]), OLD[:5] @ TURN, atol=1e-4)


def test_ridge_equals_the_normal_equations():
    rng = np.random.default_rng(2)
    new = OLD @ rng.normal(size=(8, 5)) + 0.3 + 0.1 * rng.normal(size=(300, 5))
    found = SpaceMap.fit(OLD, new.astype(np.float32), penalty=0.2)
    x = OLD.astype(np.float64)
    scale = 0.2 * ((x - x.mean(0)) ** 2).sum() / 8
    # ridge as least squares on rows that ask for 0
    rows = np.concatenate([x - x.mean(0), np.sqrt(scale) * np.eye(8)])
    wanted = np.concatenate([new - new.mean(0), np.zeros((8, 5))])
    matrix = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-4)
    np.testing.assert_allclose(found.offset, new.mean(0) - x.mean(0) @ matrix, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found.apply(OLD), axis=1), 1, atol=1e-6)


def test_the_penalty_rises_with_noise():
    rng = np.random.default_rng(3)
    old = unit(60, 40, 4)
    clean = old @ rng.normal(size=(40, 40)).astype(np.float32)
    noisy = clean + 3 * rng.normal(size=clean.shape).astype(np.float32)
    held_out = unit(200, 40, 5)
    wanted = held_out @ np.linalg.lstsq(old, clean, rcond=None)[0]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)

    def cosine(penalty):
        found = SpaceMap.fit(old, noisy, penalty=penalty).apply(held_out)
        return (found * wanted).sum(1).mean()

    assert cosine(None) > cosine(1e-4)


def test_saved_and_loaded_alike(tmp_path):
    found = SpaceMap.fit(OLD, OLD @ TURN)
    found.save(tmp_path / "map.safetensors")
    again = SpaceMap.load(tmp_path / "map.safetensors")
    np.testing.assert_array_equal(again.apply(OLD), found.apply(OLD))
    (tmp_path / "map.safetensors").write_bytes(b"cut")
    with pytest.raises(StoreError, match="holds no map"):
        SpaceMap.load(tmp_path / "map.safetensors")


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match="kind"):
        SpaceMap.fit(OLD, OLD, kind="bent")
    with pytest.raises(ConfigError, match="equal dimensions"):
        SpaceMap.fit(OLD, OLD[:, :5], kind="procrustes")
    with pytest.raises(DataError, match="same ten or more texts"):
        SpaceMap.fit(OLD, OLD[:50])
    with pytest.raises(DataError, match="8 dimensions"):
        SpaceMap.fit(OLD, OLD).apply(OLD[:, :3])
