"""A finished table in fewer bytes: encode it, read any rows back, measure what was lost.

    codec = compress_table(vectors, "pq_by_norm", rate=0.1)
    codec.decode(ids); codec.nbytes(); codec.report(vectors, queries)

Use for corpora that are searched by scanning or that only have to be kept, and for token tables
(`compress_token_embeddings`). An index that searches in codes is `vecsmith.store`'s.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vecsmith.core import (
    ConfigError,
    DataError,
    StoreError,
    did_you_mean,
    read_json,
    replace_dir,
    write_json,
)
from vecsmith.encode.tables import TableBase, TableShape

from ._codec import refuse
from ._codecs import CODECS

CONFIG = "config.json"
WEIGHTS = "table.safetensors"


class CompressedTable(TableBase):
    """A compressed table; as a module it is a frozen `nn.Embedding`.

    Args:
        codec: Key of `CODECS`.
        shape: Rows and width.
        config: Numbers of the codec.
        tensors: Arrays of the codec.
    """

    def __init__(
        self,
        codec: str,
        shape: tuple[int, int],
        *,
        config: dict[str, Any],
        tensors: dict[str, Tensor],
    ) -> None:
        super().__init__(TableShape((shape[0],), shape[1]))
        self.codec, self.config = codec, config
        self._names = tuple(sorted(tensors))
        for name, tensor in tensors.items():
            self.register_buffer(f"kept_{name}", tensor.contiguous())

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The arrays by name."""
        return {name: getattr(self, f"kept_{name}") for name in self._names}

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up, shape (rows, 1)."""
        found = CODECS[self.codec].decode(self.config, self.tensors, ids.flatten())
        return found.reshape(*ids.shape, -1)

    def decode(self, rows: ArrayLike | None = None, *, piece: int = 65536) -> NDArray[np.float32]:
        """Put rows together.

        Args:
            rows: Which; None: all.
            piece: Rows decoded at a time.

        Returns:
            float32, shape (rows, dim).

        Raises:
            DataError: A row is out of range.
        """
        total = self.shape.total
        wanted = torch.arange(total) if rows is None else torch.from_numpy(np.asarray(rows))
        out = np.empty((len(wanted), self.shape.dim), np.float32)
        with torch.no_grad():
            for start in range(0, len(wanted), piece):
                part = self(wanted[start : start + piece].to(self._limits.device))
                out[start : start + piece] = part.cpu().numpy()
        return out

    def nbytes(self) -> int:
        """Bytes of everything that decoding needs; the file has these and a heading."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())

    @property
    def rate(self) -> float:
        """Bytes as part of the whole table in float32."""
        return self.nbytes() / self.shape.full_bytes

    def report(
        self, vectors: NDArray[np.float32], queries: NDArray[np.float32], *, top_k: int = 10
    ) -> dict[str, float]:
        """Compare searches in the compressed table with those in the whole one.

        Args:
            vectors: The whole table, shape (rows, dim).
            queries: Shape (queries, dim).
            top_k: Neighbours that are compared.

        Returns:
            "recall" (part of the exact cosine neighbours that are found), "error" (squared, as
            part of the vectors' squared length), "rate" and "bytes".

        Raises:
            DataError: The vectors are not those of the table.
        """
        if vectors.shape != (self.shape.total, self.shape.dim):
            raise DataError(
                f"vectors must have the table's shape {(self.shape.total, self.shape.dim)}; "
                f"got {vectors.shape}"
            )
        found = self.decode()
        exact, near = (_neighbours(table, queries, top_k) for table in (vectors, found))
        hits = [len(set(a) & set(b)) for a, b in zip(exact.tolist(), near.tolist(), strict=True)]
        lost = np.square(found.astype(np.float64) - vectors).sum()
        return {
            "recall": float(np.mean(hits)) / exact.shape[1],
            "error": float(lost / np.square(vectors.astype(np.float64)).sum()),
            "rate": self.rate,
            "bytes": float(self.nbytes()),
        }

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
            "format": 1,
            "codec": self.codec,
            "rows": self.shape.total,
            "dim": self.shape.dim,
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
            save_file({name: t.cpu() for name, t in self.tensors.items()}, fresh / WEIGHTS)
            write_json(fresh / CONFIG, kept)
            fresh.chmod(0o755)
            replace_dir(fresh, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "CompressedTable":
        """Read a table.

        Args:
            folder: From `save_pretrained`.

        Returns:
            The table; what it decodes is equal bit for bit.

        Raises:
            StoreError: Files are missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = Path(folder)
        kept = read_json(path / CONFIG)
        try:
            if kept["codec"] not in CODECS:
                raise KeyError(f"codec {kept['codec']}")
            tensors = load_file(path / WEIGHTS)
            shape = (kept["rows"], kept["dim"])
            return cls(kept["codec"], shape, config=kept["config"], tensors=tensors)
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise StoreError(
                f"{str(path)!r} should hold a compressed table ({CONFIG}, {WEIGHTS}) but cannot "
                f"be read ({error}); save it again"
            ) from error


def compress_table(
    vectors: ArrayLike, codec: str, *, rate: float, seed: int = 0
) -> CompressedTable:
    """Compress a finished table.

    Args:
        vectors: Shape (rows, dim), finite.
        codec: Key of `CODECS`.
        rate: Bytes it may have, as part of the float32 table's.
        seed: Seed of whatever the codec draws.

    Returns:
        The compressed table.

    Raises:
        ConfigError: Unknown codec, or the rate is out of its reach.
        DataError: The vectors are empty or not finite.
    """
    if codec not in CODECS:
        raise ConfigError(f"no codec is called {codec!r}; {did_you_mean(codec, CODECS)}")
    array = np.ascontiguousarray(np.asarray(vectors), np.float32)
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"vectors must have shape (rows, dim), none of them 0; got {array.shape}")
    if not np.isfinite(array).all():
        wrong = int((~np.isfinite(array)).any(1).sum())
        raise DataError(f"vectors must be finite; {wrong} rows hold NaN or infinity: drop them")
    if not 0.0 < rate <= 1.0:
        raise ConfigError(f"rate must be above 0 and at most 1; got {rate!r}")
    least = CODECS[codec].least_rate(*array.shape)
    if rate < least - 1e-12:
        raise refuse(codec, rate, least, array.shape)
    given = torch.from_numpy(array)
    config, tensors = CODECS[codec].encode(given, rate * 4 * array.size, seed=seed)
    return CompressedTable(codec, array.shape, config=config, tensors=tensors)


def _neighbours(
    table: NDArray[np.float32], queries: NDArray[np.float32], top_k: int
) -> NDArray[np.int64]:
    import faiss

    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    index = faiss.IndexFlatIP(table.shape[1])
    index.add(np.ascontiguousarray(unit, np.float32))
    found = index.search(np.ascontiguousarray(queries, np.float32), min(top_k, len(table)))[1]
    return np.asarray(found)
