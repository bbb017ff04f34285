"""Merge models of any size as they lie on disk, one tensor at a time.

The base's folder is taken over file by file; only its safetensors are written anew, each tensor
merged from those of the experts, which are read when their turn comes. Memory: one file of weights
and one stack of a tensor over all experts, however large the model is.

Use for models that do not fit into memory several times over. Rules that need gradients or
activations ("fisher", "regmean") need `MergeSet`.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vecsmith.core import (
    ConfigError,
    ModelError,
    StoreError,
    fresh_dir,
    progress,
    read_json,
    shown,
    write_json,
)
from vecsmith.encode import resolve_model

from ._rules import RULES, plain_settings, rule_of
from ._set import RECIPE

# rules that only look at tensors
STREAMED = ("average", "dare", "mergekit", "slerp", "task_arithmetic", "ties")
# settings that do not change what weights mean
_FREE = (
    "_name_or_path",
    "torch_dtype",
    "dtype",
    "use_cache",
    "architectures",
    "similarity_fn_name",
)
_UNREAD = {"tokenizer_config.json", "generation_config.json", "sentence_bert_config.json"}


class FolderSet:
    """A base and experts as folders of safetensors; what `MergeSet` is for modules.

    Args:
        base: Hub id or folder of the common start.
        experts: Name -> hub id or folder of a model fine-tuned from it.
        include: Regular expression; only tensors whose name it finds are merged.
        exclude: Regular expression; tensors whose name it finds stay the base's.

    Raises:
        ModelError: A folder has no safetensors, or an expert has another architecture, vocabulary,
            pooling, or other tensors or shapes than the base; the text names what differs.
        ConfigError: There is no expert, or nothing is left to merge.
    """

    def __init__(
        self,
        base: str | Path,
        experts: Mapping[str, str | Path],
        *,
        include: str = "",
        exclude: str | None = None,
    ) -> None:
        if not experts:
            raise ConfigError("experts must name at least one model; got none")
        self.folder = resolve_model(base).path
        self.folders = {name: resolve_model(model).path for name, model in experts.items()}
        self._base = _Tensors(self.folder)
        self._experts = {name: _Tensors(path) for name, path in self.folders.items()}
        for name, path in self.folders.items():
            _check_files(self.folder, path, name)
            _check_tensors(self._base, self._experts[name], name)
        self.names = tuple(
            name
            for name in self._base.names()
            if self._base.is_float(name)
            and re.search(include, name)
            and not (exclude and re.search(exclude, name))
        )
        if not self.names:
            raise ConfigError(
                f"include {include!r} and exclude {exclude!r} leave no tensor to merge; the names "
                f"look like {next(iter(self._base.names()), '(none)')!r}"
            )

    def __len__(self) -> int:
        """Number of experts."""
        return len(self.folders)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the experts, in their order."""
        return tuple(self.folders)

    def start(self, name: str) -> Tensor:
        """Read a tensor of the base, in float32 or the wider type it has.

        Args:
            name: One of `names`.
        """
        value = self._base.read(name)
        return value.to(torch.promote_types(value.dtype, torch.float32))

    def delta(self, task: str, name: str) -> Tensor:
        """Read a tensor of an expert minus the base's.

        Args:
            task: Name of the expert.
            name: One of `names`.
        """
        start = self.start(name)
        return self._experts[task].read(name).to(start) - start

    def tensors(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Go through the merged tensors, file by file.

        Yields:
            Name; base tensor, shape (…); deltas, shape (experts, …).
        """
        for name in self.names:
            start = self.start(name)
            rows = [self._experts[task].read(name).to(start) - start for task in self.tasks]
            yield name, start, torch.stack(rows)

    def write(self, merged: Iterator[tuple[str, Tensor]], folder: Path) -> None:
        """Write the base's weight files with merged tensors in place of its own.

        Args:
            merged: Name and tensor, in the order of `names`.
            folder: Where to.

        Raises:
            StoreError: The place cannot be written.
        """
        wanted = set(self.names)
        for path, names in self._base.files.items():
            held: dict[str, Tensor] = {}
            for name in names:
                value = self._base.read(name)
                if name in wanted:
                    found, tensor = next(merged)
                    assert found == name
                    value = tensor.to(value.dtype)
                held[self._base.key(name)] = value.contiguous()
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                save_file(held, target, metadata={"format": "pt"})
            except (OSError, SafetensorError) as error:
                raise StoreError(
                    f"cannot write {str(target)!r} ({error}); free space, or choose another folder"
                ) from error


def merge_folders(
    base: str | Path,
    experts: Mapping[str, str | Path],
    out: str | Path,
    method: str = "task_arithmetic",
    *,
    include: str = "",
    exclude: str | None = None,
    **settings: Any,
) -> Path:
    """Merge models on disk without ever loading one whole.

    Args:
        base: Hub id or folder of the common start.
        experts: Name -> hub id or folder of a model fine-tuned from it.
        out: Folder of the merged model; an older one is replaced when the new one is whole.
        method: One of `STREAMED`.
        include: Regular expression; only tensors whose name it finds are merged.
        exclude: Regular expression; tensors whose name it finds stay the base's.
        **settings: The rule's settings.

    Returns:
        The folder: an ordinary model of the base's kind, with ``merge.json``.

    Raises:
        ConfigError: The rule needs more than tensors, is unknown, or does not take a setting.
        ModelError: The models do not fit together.
        StoreError: `out` cannot be written.
    """
    if method not in STREAMED:
        if method not in RULES:
            rule_of(method, {})
        raise ConfigError(
            f"the rule {method!r} needs the models in memory: use MergeSet(…).merge({method!r}); "
            f"from folders these are merged: {', '.join(STREAMED)}"
        )
    rule = rule_of(method, settings)
    ms = FolderSet(base, experts, include=include, exclude=exclude)
    target = Path(out)
    inside = [p for p in (ms.folder, *ms.folders.values()) if p.resolve() == target.resolve()]
    if inside:
        raise ConfigError(f"out {str(out)!r} is one of the models; choose another folder")
    with fresh_dir(target) as fresh:
        _copy_rest(ms.folder, fresh)
        steps = progress(rule(ms, **settings), f"merge {method}", unit="tensor")
        ms.write(iter(steps), fresh)
        write_json(
            fresh / RECIPE,
            {
                "method": method,
                "settings": plain_settings(settings),
                "base": {"model": str(base), "weights": ms._base.digest()},
                "experts": {
                    name: {"model": str(experts[name]), "weights": ms._experts[name].digest()}
                    for name in ms.tasks
                },
            },
        )
    return target


class _Tensors:
    """The tensors of a folder's safetensors, read when asked for.

    A name is that of the file's folder and the tensor's: a folder of sentence-transformers holds
    several models.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[Path, list[str]] = {}
        self._place: dict[str, tuple[Path, str]] = {}
        self._shapes: dict[str, tuple[tuple[int, ...], str]] = {}
        for path in sorted(folder.rglob("*.safetensors")):
            inner = path.relative_to(folder)
            prefix = "" if inner.parent == Path() else f"{inner.parent.as_posix()}/"
            try:
                with safe_open(path, "pt") as held:
                    keys = list(held.keys())
                    for key in keys:
                        piece = held.get_slice(key)
                        shape = tuple(piece.get_shape()), piece.get_dtype()
                        self._place[prefix + key] = (path, key)
                        self._shapes[prefix + key] = shape
            except (OSError, SafetensorError) as error:
                raise ModelError(
                    f"{str(path)!r} is damaged ({error}); get the model again"
                ) from error
            self.files[inner] = [prefix + key for key in keys]
        if not self._place:
            raise ModelError(
                f"{str(folder)!r} holds no safetensors; save the model with save_pretrained"
            )

    def names(self) -> list[str]:
        return [name for names in self.files.values() for name in names]

    def key(self, name: str) -> str:
        return self._place[name][1]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name][0]

    def is_float(self, name: str) -> bool:
        return self._shapes[name][1].startswith(("F", "BF"))

    def read(self, name: str) -> Tensor:
        path, key = self._place[name]
        with safe_open(path, "pt") as held:
            tensor: Tensor = held.get_tensor(key)
        return tensor

    def digest(self) -> str:
        """SHA-256 of the weight files."""
        state = hashlib.sha256()
        for inner in self.files:
            with (self.folder / inner).open("rb") as handle:
                while block := handle.read(1 << 20):
                    state.update(block)
        return state.hexdigest()


def _check_tensors(base: _Tensors, expert: _Tensors, name: str) -> None:
    # integer buffers (numbers of positions) are in some versions' files and not in others
    ours, theirs = ({key for key in side.names() if side.is_float(key)} for side in (base, expert))
    if ours != theirs:
        lacks, more = sorted(ours - theirs)[:3], sorted(theirs - ours)[:3]
        raise ModelError(
            f"expert {name!r} has other tensors than the base: it lacks {lacks} and has {more} "
            "besides; merge models of one architecture"
        )
    for key in sorted(ours):
        if base.shape(key) != expert.shape(key):
            raise ModelError(
                f"expert {name!r} has shape {expert.shape(key)} for {key!r} where the base has "
                f"{base.shape(key)}; merge models of one size and vocabulary"
            )


def _check_files(base: Path, expert: Path, name: str) -> None:
    """Refuse another architecture, pooling, prompt or vocabulary.

    Files that other versions of the host wrote may say less or more: only what both say counts.
    """
    for path in sorted(base.rglob("*.json")):
        inner = path.relative_to(base)
        if not (expert / inner).is_file() or not _counts(inner):
            continue
        ours, theirs = _facts(path), _facts(expert / inner)
        for key in sorted(ours.keys() & theirs.keys()):
            if ours[key] != theirs[key]:
                raise ModelError(
                    f"expert {name!r} has another {key!r} in {inner.as_posix()!r} than the base: "
                    f"{_brief(theirs[key])} for {_brief(ours[key])}; merge models of one "
                    "architecture, pooling, prompts and vocabulary"
                )


def _brief(value: Any) -> str:
    text = shown(repr(value))
    return text if len(text) < 60 else f"{text[:60]}…"


def _counts(inner: Path) -> bool:
    said = "config" in inner.name or inner.name in {"tokenizer.json", "modules.json"}
    return said and inner.name not in _UNREAD


def _facts(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if path.name == "tokenizer.json":
        return {"vocabulary": value.get("model", {}).get("vocab")}
    if path.name == "modules.json":
        # the package of a class has moved between versions, its name has not
        return {"modules": [str(row.get("type")).rpartition(".")[2] for row in value]}
    if not isinstance(value, dict):  # notes on the training data, in some folders
        return {}
    return {k: v for k, v in value.items() if k not in _FREE and "version" not in k}


def _copy_rest(source: Path, target: Path) -> None:
    """Take over all files that are no weights; weights of other formats would be the base's."""
    for path in sorted(source.rglob("*")):
        if not path.is_file() or path.name == RECIPE:
            continue
        if path.suffix in {".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".pt", ".gguf"}:
            continue
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
