"""Vectors of a frozen guide, computed once: text key -> fp16 row, memory-mapped.

A guide never changes during training, so its vectors need not be computed again each batch. The
trainer hands tokens to a loss, not texts; `GuideCache.attach` therefore writes 64-bit keys of each
row's texts into the label column, which survives shuffling, any batch sampler, checkpoints and
several processes. A key is a hash of prompt and text, so it means the same in every process and
after every restart (two of ten million texts share one with probability 3e-6).

A folder holds immutable segments (safetensors: sorted keys, fp16 unit vectors). Each is written
whole or not at all, so that any number of processes may read while one or more add.
"""

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, atomic_path, cache_dir

from ._guide_files import (
    Keys,
    TruncationReport,
    characters_read,
    find_keys,
    fingerprint,
    map_safetensors,
    model_name,
    text_keys,
)

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

LABEL = "label"
SEGMENT = 50_000
_LABELS = {"label", "labels", "score", "scores", "dataset_name"}


class GuideCache:
    """A frozen guide with its vectors on disk.

    Args:
        guide: A `SentenceTransformer`; None where all vectors come through `add_vectors`.
        folder: Where segments lie; by default in the user's cache, by the guide's content.
        prompt: Text that the guide reads before each text; or column -> text.
        batch_size: Texts a step of encoding.
        name: Name for model cards.
    """

    def __init__(
        self,
        guide: Any,
        folder: str | Path | None = None,
        *,
        prompt: str | Mapping[str, str] | None = None,
        batch_size: int = 64,
        name: str | None = None,
    ) -> None:
        self.guide = guide
        self.prompt: str | Mapping[str, str] = prompt or ""
        self.batch_size = batch_size
        if guide is not None:
            guide.eval()
        self.name = name or model_name(guide)
        if folder is None:
            if guide is None:
                raise ConfigError("a GuideCache without guide needs a folder; give folder=...")
            folder = cache_dir("guides", fingerprint(guide))
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._segments: dict[str, tuple[Keys, NDArray[np.float16]]] = {}
        self._refresh()

    @classmethod
    def from_vectors(
        cls,
        texts: Sequence[str],
        vectors: ArrayLike,
        folder: str | Path,
        *,
        prompt: str = "",
        name: str = "precomputed",
    ) -> "GuideCache":
        """Make a cache of vectors that were computed elsewhere.

        Args:
            texts: The texts.
            vectors: Their vectors, shape (texts, dims); scaled to length 1 here.
            folder: Where to keep them.
            prompt: What was read before each text.
            name: Name for model cards.

        Returns:
            A cache without guide: texts it does not hold are refused.
        """
        cache = cls(None, folder, prompt=prompt, name=name)
        cache.add_vectors(texts, vectors, prompt=prompt)
        return cache

    def __len__(self) -> int:
        return len(np.unique(np.concatenate([np.zeros(0, np.int64), *self._all_keys()])))

    def _all_keys(self) -> list[Keys]:
        return [keys for keys, _ in self._segments.values()]

    def prompt_of(self, column: str) -> str:
        """Return what the guide reads before the texts of a column.

        Args:
            column: Name of the column.

        Returns:
            The prompt, "" for none.
        """
        return self.prompt if isinstance(self.prompt, str) else self.prompt.get(column, "")

    def add(self, texts: Iterable[str], *, prompt: str = "") -> int:
        """Encode the texts that are not there yet.

        Args:
            texts: Any texts, repeated ones too.
            prompt: What the guide reads before each of them.

        Returns:
            How many were encoded.

        Raises:
            DataError: Some are missing and there is no guide to encode them.
        """
        distinct = list(dict.fromkeys(texts))
        missing = self._missing(text_keys(distinct, prompt))
        if missing.any():
            self._refresh()
            missing = self._missing(text_keys(distinct, prompt))
        # long texts together, so that little is padded
        todo = sorted((distinct[i] for i in np.flatnonzero(missing)), key=len, reverse=True)
        if todo and self.guide is None:
            raise DataError(
                f"{len(todo)} texts have no guide vector, for example {todo[0][:80]!r}; add them "
                "with add_vectors, with the same prompt, or give the cache a guide"
            )
        for start in range(0, len(todo), SEGMENT):
            part = todo[start : start + SEGMENT]
            vectors = self.guide.encode(
                part,
                prompt=prompt or None,
                batch_size=self.batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            self.add_vectors(part, vectors, prompt=prompt)
        return len(todo)

    def add_vectors(self, texts: Sequence[str], vectors: ArrayLike, *, prompt: str = "") -> None:
        """Keep vectors as one more segment.

        Args:
            texts: The texts.
            vectors: Shape (texts, dims).
            prompt: What was read before each text.

        Raises:
            DataError: Shapes do not fit, a vector is zero or not finite, or has other dimensions
                than the ones that are there.
        """
        from safetensors.numpy import save_file

        rows = np.asarray(vectors, np.float32)
        lengths = np.linalg.norm(rows, axis=-1, keepdims=True) if rows.ndim == 2 else np.zeros(1)
        if (
            rows.ndim != 2
            or len(rows) != len(texts)
            or not (np.isfinite(lengths).all() and lengths.all())
        ):
            raise DataError(
                f"vectors must be finite, not zero, of shape ({len(texts)}, dims); got {rows.shape}"
            )
        for _, known in self._segments.values():
            if known.shape[1] != rows.shape[1]:
                raise DataError(
                    f"this cache has vectors of {known.shape[1]} dimensions, not {rows.shape[1]}: "
                    "give another guide a folder of its own"
                )
        keys, first = np.unique(text_keys(texts, prompt), return_index=True)
        if not keys.size:
            return
        unit = np.ascontiguousarray((rows / lengths)[first], np.float16)
        label = hashlib.blake2b(keys.tobytes(), digest_size=12).hexdigest()
        with atomic_path(self.folder / f"rows-{label}.safetensors") as temporary:
            save_file({"keys": keys, "vectors": unit}, temporary)
        self._refresh()

    def _refresh(self) -> None:
        for path in sorted(self.folder.glob("rows-*.safetensors")):
            if path.name not in self._segments:
                parts = map_safetensors(path)
                self._segments[path.name] = (parts["keys"], parts["vectors"])

    def _missing(self, keys: Keys) -> NDArray[np.bool_]:
        missing = np.ones(len(keys), bool)
        for known, _ in self._segments.values():
            missing &= ~find_keys(known, keys)[1]
        return missing

    def rows(self, keys: ArrayLike) -> NDArray[np.float16]:
        """Look vectors up by key.

        Args:
            keys: Shape (n,).

        Returns:
            Unit vectors, shape (n, dims).

        Raises:
            DataError: A key is not there.
        """
        wanted = np.asarray(keys, np.int64)
        if self._missing(wanted).any():
            self._refresh()
        if not self._segments or (missing := self._missing(wanted)).any():
            count = int(missing.sum()) if self._segments else len(wanted)
            raise DataError(
                f"{count} of {len(wanted)} text keys have no guide vector in {str(self.folder)!r}; "
                "call attach on the data set that is trained on, with this cache"
            )
        dims = next(iter(self._segments.values()))[1].shape[1]
        out = np.empty((len(wanted), dims), np.float16)
        for known, vectors in self._segments.values():
            place, there = find_keys(known, wanted)
            out[there] = vectors[place[there]]
        return out

    def vectors(self, texts: Sequence[str], *, prompt: str = "") -> NDArray[np.float16]:
        """Return the vectors of texts, encoding those that are missing.

        Args:
            texts: Any texts.
            prompt: What the guide reads before each of them.

        Returns:
            Unit vectors, shape (texts, dims).
        """
        self.add(texts, prompt=prompt)
        return self.rows(text_keys(texts, prompt))

    def lookup(self, keys: "torch.Tensor") -> "list[torch.Tensor]":
        """Look up what a loss needs.

        Args:
            keys: The label column of a batch, shape (B, columns).

        Returns:
            Column -> unit vectors, shape (B, dims), float32, on the CPU.
        """
        import torch

        table = keys.detach().cpu().numpy()
        found = torch.from_numpy(self.rows(table.T.reshape(-1))).float()
        return list(found.split(table.shape[0]))

    def labels(self, columns: Mapping[str, Sequence[str]]) -> Keys:
        """Return the keys of rows of texts, encoding what is missing.

        Args:
            columns: Column -> texts, all of one length, in the order the loss takes them.

        Returns:
            Keys, shape (rows, columns).
        """
        keys = []
        for column, texts in columns.items():
            self.add(texts, prompt=self.prompt_of(column))
            keys.append(text_keys(texts, self.prompt_of(column)))
        return np.stack(keys, axis=1)

    def attach(
        self, dataset: "Dataset", columns: Sequence[str] | None = None, *, student: Any = None
    ) -> "Dataset":
        """Encode a data set's texts and add their keys as the label column.

        Args:
            dataset: Columns of texts, in the order the loss takes them.
            columns: Which columns, by default all.
            student: The model that will be trained; given, a warning tells when the guide cuts
                texts that the student reads on.

        Returns:
            Those columns and "label".

        Raises:
            DataError: There is a label column already, or a column holds something else than text.
        """
        names = list(columns or dataset.column_names)
        if taken := _LABELS & {*names, *(set(dataset.column_names) if columns is None else ())}:
            raise DataError(
                f"attach puts keys into column {LABEL!r}, but the data set has {sorted(taken)}: "
                "a guided contrastive loss reads no labels: remove that column"
            )
        kept = dataset.select_columns(names)
        texts = {name: list(kept[name]) for name in names}
        for name, column in texts.items():
            if not all(isinstance(text, str) for text in column):
                raise DataError(f"column {name!r} must hold texts; leave it out with columns=[...]")
        if student is not None:
            self._warn_of_truncation([t for column in texts.values() for t in column], student)
        return kept.add_column(LABEL, self.labels(texts).tolist())

    def _warn_of_truncation(self, texts: Sequence[str], student: Any) -> None:
        report = self.truncation(texts[:: max(1, len(texts) // 2000)], student)
        if report.guide_sees_less > 0.01:
            warnings.warn(
                f"the guide reads less than the student of {report.guide_sees_less:.1%} of the "
                "texts: it judges texts that it does not see whole; raise its max_seq_length",
                stacklevel=3,
            )

    def truncation(self, texts: Sequence[str], student: Any) -> TruncationReport:
        """Tell how much of each text guide and student read.

        Args:
            texts: Texts to look at.
            student: The model that will be trained.

        Returns:
            Shares of texts that are cut.

        Raises:
            ConfigError: There is no guide.
        """
        if self.guide is None:
            raise ConfigError("truncation needs the guide itself; this cache has vectors only")
        whole = np.array([len(text.rstrip()) for text in texts])
        seen = [characters_read(model, texts) for model in (self.guide, student)]
        return TruncationReport(
            len(texts),
            float(np.mean(seen[0] < whole)),
            float(np.mean(seen[1] < whole)),
            float(np.mean(seen[0] < seen[1])),
        )
