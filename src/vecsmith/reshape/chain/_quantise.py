"""Round vectors to a grid of integers, at encode time.

Each dimension gets a grid between a low and a high quantile of real vectors::

    q = clip(round((x - low) / step), 0, 2^bits - 1),   y = low + step q,
    step = (high - low) / (2^bits - 1)

What is returned are the points of the grid as floats, so that vectors compare as those that a store
keeps in integers. Use to see at encode time what a quantised store will see. Cost: nothing.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules import Module
from torch import Tensor

from vecsmith.core import ModelError

WEIGHTS = "model.safetensors"


def to_grid(vectors: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """Round vectors to the grid.

    Args:
        vectors: Shape (…, dims).
        low: Lowest point of each dimension, shape (dims,).
        high: Highest point, shape (dims,).
        bits: Of an integer.

    Returns:
        The nearest points, shape (…, dims).
    """
    levels = 2**bits - 1
    step = ((high - low) / levels).clamp_min(torch.finfo(vectors.dtype).tiny)
    return low + step * ((vectors - low) / step).round().clamp(0, levels)


class Quantise(Module):
    """A module of sentence-transformers that rounds sentence embeddings.

    Args:
        dims: Of the vectors.
        bits: Of an integer.
    """

    config_keys = ["dims", "bits"]  # noqa: RUF012 (the host's convention)

    def __init__(self, dims: int, bits: int = 8) -> None:
        super().__init__()
        self.dims, self.bits = dims, bits
        self.register_buffer("low", torch.zeros(dims))
        self.register_buffer("high", torch.ones(dims))

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Round the sentence embeddings.

        Args:
            features: With "sentence_embedding", shape (rows, dims).
            **kwargs: Not used.

        Returns:
            The features.
        """
        vectors = features["sentence_embedding"]
        low, high = self.low.to(vectors), self.high.to(vectors)
        features["sentence_embedding"] = to_grid(vectors, low, high, self.bits)
        return features

    def get_embedding_dimension(self) -> int:
        """Return the number of dimensions."""
        return self.dims

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save settings and grid, as sentence-transformers asks modules to.

        Args:
            output_path: Folder of the module.
            *args: Not used.
            **kwargs: Not used.
        """
        self.save_config(output_path)
        save_file(dict(self.state_dict()), str(Path(output_path) / WEIGHTS))

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> "Quantise":
        """Load from a saved model; called by sentence-transformers.

        Args:
            model_name_or_path: Folder or hub id of the model.
            subfolder: Folder of the module in it.
            **kwargs: Where to look; handed on.

        Returns:
            The module.

        Raises:
            ModelError: The grid is missing or damaged.
        """
        names = ("token", "cache_folder", "revision", "local_files_only")
        where = {name: kwargs[name] for name in names if name in kwargs}
        config = cls.load_config(model_name_or_path, subfolder=subfolder, **where)
        module = cls(**{name: config[name] for name in cls.config_keys})
        path = cls.load_file_path(
            model_name_or_path, filename=WEIGHTS, subfolder=subfolder, **where
        )
        try:
            module.load_state_dict(load_file(str(path)))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"the grid of {model_name_or_path!r} is missing or damaged ({error}); "
                "save the model again"
            ) from error
        return module
