"""Trees in files: what goes in comes out, and a failed write leaves the old file."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from vecsmith.core import StoreError
from vecsmith.core._checkpoint import load_tree, save_tree


def test_checkpoint_write_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tree(tmp_path / "x.safetensors", {"a": 1})

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        save_tree(tmp_path / "x.safetensors", {"a": 2})
    monkeypatch.undo()
    assert load_tree(tmp_path / "x.safetensors") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_tree_round_trip(tmp_path: Path) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    tree = {
        "tied": [tied, tied, tied.T],
        1: (None, True, 2.5, "ä", float("nan")),
        "array": np.arange(3, dtype=np.uint32).astype(np.int64),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "empty": {},
        "random": random.getstate(),
        "bits": np.random.default_rng(1).bit_generator.state,
    }
    save_tree(tmp_path / "t.safetensors", tree)
    back = load_tree(tmp_path / "t.safetensors")
    assert list(back) == list(tree)
    assert all(torch.equal(a, b) for a, b in zip(back["tied"], tree["tied"], strict=True))
    assert back[1][:4] == tree[1][:4] and np.isnan(back[1][4])
    assert (back["array"] == tree["array"]).all() and back["half"].dtype == torch.bfloat16
    assert back["empty"] == {} and back["random"] == tree["random"]
    assert back["bits"] == tree["bits"] and back["bits"]["state"]["state"] > 2**64
    with pytest.raises(StoreError, match="got set"):
        save_tree(tmp_path / "t.safetensors", {"bad": {1}})
