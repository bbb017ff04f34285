"""Export a sentence-transformers model to a folder that encodes without torch.

The whole module chain (transformer, pooling, dense heads, normalisation) is traced by OpenVINO and
checked against the model itself on texts of several lengths; what cannot be traced, or differs, is
kept as a torch encoder, and the reason is logged.
"""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import ModelError, is_disk_error, read_json, require, write_json

from ._models import load_sentence_transformer, quiet_hosts, resolve_model
from ._openvino import SETTINGS, OpenVinoEncoder, load_encoder, openvino_core
from ._torch import stamp_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)
# Lengths from a word to beyond one batch row, so that masks and positions are all exercised.
_PROBES = ("a", "How do I open a file?", "The quick brown fox jumps. " * 12, "naïve café 数 " * 40)
_WORST_COSINE = 0.9995


def _traceable(model: "SentenceTransformer") -> Any:
    import torch

    class Chain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chain = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            vectors = self.chain(features)["sentence_embedding"]
            return torch.nn.functional.normalize(vectors.float(), dim=-1)

    return Chain().eval()


def _convert(model: "SentenceTransformer", folder: Path) -> None:
    import openvino
    import torch

    example = {
        "input_ids": torch.randint(5, 50, (2, 16)),
        "attention_mask": torch.ones(2, 16, dtype=torch.long),
    }
    with warnings.catch_warnings(), torch.no_grad(), quiet_hosts():
        warnings.simplefilter("ignore")
        network = openvino.convert_model(_traceable(model), example_input=example)
    openvino.save_model(network, str(folder / "model.xml"), compress_to_fp16=False)


def _check(model: "SentenceTransformer", folder: Path) -> float:
    expected = model.encode(
        list(_PROBES), normalize_embeddings=True, show_progress_bar=False, prompt=""
    )
    encoder = OpenVinoEncoder(folder, precision="f32")
    got = encoder.encode_tokens(
        [row.ids for row in encoder._tokenizer.encode_batch_fast(list(_PROBES))]
    )
    return float((expected * got).sum(axis=1).min())


def export_encoder(
    name: str | Path,
    folder: str | Path,
    *,
    label: str | None = None,
    precision: str = "f32",
) -> Any:
    """Write a folder that `load_encoder` reads, with what is needed to encode and nothing else.

    Args:
        name: Hub id or folder of a sentence-transformers model.
        folder: Where to write; existing files of an earlier export are replaced.
        label: Name of the model in the stamp; the id by default.
        precision: "f32", "bf16" or "int8" at encoding time.

    Returns:
        The encoder.

    Raises:
        ModelError: The model is not found or does not load.
    """
    require("torch", "train")
    found = resolve_model(name)
    model = load_sentence_transformer(name)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    settings = {
        "backend": "openvino",
        "precision": precision,
        "pad_id": int(getattr(model.tokenizer, "pad_token_id", 0) or 0),
        "stamp": stamp_of(model, label or found.id, found.path).to_dict(),
    }
    try:
        if any(getattr(module, "include_prompt", True) is False for module in model):
            raise ModelError("its pooling leaves the prompt out")
        model.tokenizer.backend_tokenizer.save(str(target / "tokenizer.json"))
        _convert(model, target)
        write_json(target / SETTINGS, settings)
        worst = _check(model, target)
        if worst < _WORST_COSINE:
            raise ModelError(f"the exported network differs (cosine {worst:.4f})")
    except Exception as error:  # tracing fails in as many ways as there are models
        if is_disk_error(error):
            raise
        logger.warning("%s stays in torch, which is slower: %s", found.id, error)
        for leftover in ("model.xml", "model.bin", "tokenizer.json"):
            (target / leftover).unlink(missing_ok=True)
        with quiet_hosts():
            model.save_pretrained(str(target / "torch"), create_model_card=False)
        write_json(target / SETTINGS, {**settings, "backend": "torch", "model": "torch"})
    return load_encoder(target)


def set_precision(folder: str | Path, precision: str) -> None:
    """Change the precision that an exported encoder is used with.

    Args:
        folder: The exported folder.
        precision: "f32", "bf16" or "int8".
    """
    path = Path(folder) / SETTINGS
    write_json(path, {**read_json(path), "precision": precision})


def fast_precisions() -> list[str]:
    """List the precisions that this processor computes in natively.

    Returns:
        "f32", then "bf16" and "int8" where OpenVINO names them among its capabilities.
    """
    able = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["f32", *(name for name in ("bf16", "int8") if name.upper() in able)]
