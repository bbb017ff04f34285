"""Five real fields of MovieLens, and how each method is asked for on them."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vecsmith.data.samples import load_movielens
from vecsmith.data.tables import FieldTable
from vecsmith.encode.tables import CompressedEmbedding

DIM = 8


@dataclass(frozen=True)
class Case:
    """How a method is tested.

    Attributes:
        rate: Bytes of the table.
        settings: The method's own.
        smooth: A lookup is differentiable in all its parameters.
        huge: Rate at which fifty million values are built; 0 for methods that need all of them.
    """

    rate: float
    settings: dict[str, Any] = field(default_factory=dict)
    smooth: bool = True
    huge: float = 0.0


CASES = {
    "full": Case(1.0),
    "hash": Case(0.1, huge=0.001),
    "adapt_emb": Case(0.1),
    "alpt": Case(0.4, smooth=False),
    "auto_dim": Case(1.0, smooth=False),
    "auto_srh": Case(0.3),
    "compo_emb": Case(0.1, huge=0.001),
    "dedup": Case(0.2, {"block_rows": 8}),
    "dhe": Case(0.15, huge=0.0005),
    "dpq": Case(0.3, smooth=False),
    "deep_light": Case(0.3),
    "int": Case(0.25, smooth=False),
    "mde": Case(0.3),
    "mgqe": Case(0.3, smooth=False),
    "opt_embed": Case(
        1.0,
        {
            "evolution": {"generations": 2, "mutations": 3, "crossovers": 3},
            "alpha": 1e-3,
            "threshold_lr": 1.0,
        },
        smooth=False,
    ),
    "robe": Case(0.05, huge=0.001),
    "tt_rec": Case(0.2, huge=0.0005),
}


@pytest.fixture(scope="session")
def toy() -> FieldTable:
    """4,000 rows of user, item, gender, zip and year."""
    whole, _ = load_movielens()
    rows = np.random.default_rng(0).permutation(len(whole))[:4000]
    some, columns = whole.take(rows), [0, 1, 3, 5, 6]
    return FieldTable(
        some.ids[:, columns],
        some.labels,
        tuple(some.names[c] for c in columns),
        tuple(some.sizes[c] for c in columns),
    )


@pytest.fixture(scope="session")
def parts(toy):
    """3,200 rows to train on, 800 for validation."""
    return toy.split((0.8, 0.2))


@pytest.fixture(scope="session")
def make(parts):
    """Build a method on the toy."""
    counts = parts[0].counts()

    def build(method: str, **changes: Any) -> CompressedEmbedding:
        case = CASES[method]
        settings = {"dim": DIM, "rate": case.rate, "counts": counts, **case.settings, **changes}
        return CompressedEmbedding.build(method, parts[0].sizes, **settings)

    return build


@pytest.fixture(scope="session")
def ids(toy):
    """200 rows of ids."""
    return torch.from_numpy(toy.ids[:200].astype(np.int64))


@pytest.fixture(scope="session")
def fresh_process():
    """Run Python lines in a process of their own, with a random hash seed."""

    def run(code: str, *words: Path) -> None:
        environment = {**os.environ, "PYTHONHASHSEED": "random", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr

    return run
