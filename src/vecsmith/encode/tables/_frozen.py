"""Tables as they are served: only what a lookup needs, saved as safetensors and JSON."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vecsmith.core import StoreError, did_you_mean, read_json, replace_dir, write_json

from ._base import TableBase
from ._shape import TableShape

CONFIG = "config.json"
WEIGHTS = "table.safetensors"
FORMAT = 1


class FrozenEmbedding(TableBase):
    """A compressed table without anything that only training needs.

    Args:
        method: Key of `METHODS`, whose `read` puts vectors together.
        shape: The fields.
        config: Numbers that `read` needs, as JSON takes them.
        tensors: Arrays that `read` needs.
        padding_idx: Id whose vector is zero; None for none.
    """

    def __init__(
        self,
        method: str,
        shape: TableShape,
        *,
        config: dict[str, Any],
        tensors: dict[str, Tensor],
        padding_idx: int | None = None,
    ) -> None:
        super().__init__(shape, padding_idx)
        self.method, self.config = method, config
        self._names = tuple(sorted(tensors))
        for name, tensor in tensors.items():
            self.register_buffer(f"kept_{name}", tensor.detach().clone().contiguous())

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The arrays by name."""
        return {name: getattr(self, f"kept_{name}") for name in self._names}

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up.

        Args:
            ids: int64, shape (rows, fields).

        Returns:
            float32, shape (rows, fields, dim).
        """
        from ._methods import METHODS

        return METHODS[self.method].read(self.config, self.tensors, ids, self.shape)

    def nbytes(self) -> int:
        """Bytes of everything that a lookup needs; the file has these and a heading."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())

    @property
    def rate(self) -> float:
        """Bytes as part of the whole table in float32."""
        return self.nbytes() / self.shape.full_bytes

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the table.

        Args:
            folder: Where to; replaced as a whole.

        Raises:
            StoreError: The folder cannot be written.
        """
        from safetensors.torch import save_file

        target = Path(folder)
        kept = {
            "format": FORMAT,
            "method": self.method,
            "field_sizes": list(self.shape.sizes),
            "dim": self.shape.dim,
            "padding_idx": self.padding_idx,
            "config": self.config,
        }
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        except OSError as error:
            raise StoreError(
                f"cannot write {str(target)!r}: {error.strerror or error}; "
                "choose a folder that can be written"
            ) from error
        try:
            cpu = {name: tensor.cpu() for name, tensor in self.tensors.items()}
            save_file(cpu, fresh / WEIGHTS)
            write_json(fresh / CONFIG, kept)
            fresh.chmod(0o755)
            replace_dir(fresh, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "FrozenEmbedding":
        """Read a table.

        Args:
            folder: From `save_pretrained`.

        Returns:
            The table; its lookups are those of the one that was saved, bit for bit.

        Raises:
            StoreError: Files are missing, damaged, or of a method that is not known.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from ._methods import METHODS

        path = Path(folder)
        kept = read_json(path / CONFIG)
        try:
            method = kept["method"]
            if method not in METHODS:
                raise StoreError(
                    f"{str(path)!r} holds a table of the method {method!r}, which is not known; "
                    f"{did_you_mean(method, METHODS)}"
                )
            shape = TableShape(tuple(kept["field_sizes"]), kept["dim"])
            tensors = load_file(path / WEIGHTS)
            return cls(
                method,
                shape,
                config=kept["config"],
                tensors=tensors,
                padding_idx=kept["padding_idx"],
            )
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise StoreError(
                f"{str(path)!r} should hold a table ({CONFIG}, {WEIGHTS}) but cannot be read "
                f"({error}); save it again"
            ) from error


def as_buffer(values: Any, dtype: torch.dtype) -> Tensor:
    """Make a tensor for `FrozenEmbedding` from numbers.

    Args:
        values: Numbers.
        dtype: Kind.
    """
    return torch.as_tensor(values).to(dtype)
