"""An incremental classifier as a folder: prototypes, labels, and what adaptation changed.

Of the adapted encoder only the tensors are kept that are not the frozen encoder's.
"""

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from vecsmith.core import ConfigError, DataError, StoreError, fresh_dir, read_json, write_json

from ..merge._set import model_name, state_hash
from ._adapt import ADAPTERS, AdaptOptions
from ._classifier import IncrementalClassifier
from ._prototypes import Prototypes

FORMAT = 1
# these leave other modules than the encoder has
_REBUILT = ("adapter", "vpt-deep", "vpt-shallow")


def save_classifier(classifier: IncrementalClassifier, folder: str | Path) -> None:
    """Write a classifier, whole or not at all.

    Args:
        classifier: What learned something.
        folder: Where to; an older one is replaced.

    Raises:
        DataError: Nothing was learned yet.
        ConfigError: Labels are neither texts nor whole numbers.
    """
    prototypes = classifier._prototypes
    if prototypes is None:
        raise DataError("the classifier knows no class yet; teach it some before saving")
    labels = prototypes.labels
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, str | int):
            raise ConfigError(
                f"only labels that are texts or whole numbers are saved; got {label!r}"
            )
    encoder, options = classifier.encoder, classifier.options
    plain = isinstance(encoder, nn.Module)
    with fresh_dir(folder) as fresh:
        tensors = {
            "sums": torch.from_numpy(prototypes.sums),
            "counts": torch.from_numpy(prototypes.counts),
        }
        save_file(tensors, fresh / "prototypes.safetensors")
        if classifier.adapted is not None:
            save_file(_changed(encoder, classifier.adapted), fresh / "adapted.safetensors")
        write_json(
            fresh / "classifier.json",
            {
                "format": FORMAT,
                "labels": labels,
                "adapt": classifier.adapt,
                "halves": classifier.halves,
                "normalised": classifier.normalised,
                "options": None if options is None else asdict(options),
                "encoder": {"name": model_name(encoder), "weights": state_hash(encoder)}
                if plain
                else None,
                "adapted": classifier.adapted is not None,
            },
        )


def load_classifier(
    folder: str | Path, encoder: Any = None, *, tokenizer: Any = None
) -> IncrementalClassifier:
    """Read what `save_classifier` wrote.

    Args:
        folder: Where it lies.
        encoder: The frozen encoder; None loads the one on record by its name.
        tokenizer: Of a transformers model.

    Returns:
        The classifier.

    Raises:
        StoreError: Missing or damaged, or the encoder has other weights than it had.
    """
    place = Path(folder)
    values = read_json(place / "classifier.json")
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise StoreError(f"{str(place)!r} holds no classifier of format {FORMAT}; save it again")
    try:
        known = values["encoder"]
        given = encoder if encoder is not None or known is None else known["name"]
        options = values["options"]
        made = IncrementalClassifier(
            given,
            adapt=values["adapt"],
            halves=values["halves"],
            normalised=values["normalised"],
            options=None if options is None else AdaptOptions(**options),
            tokenizer=tokenizer,
        )
        if known is not None and state_hash(made.encoder) != known["weights"]:
            raise StoreError(
                f"the encoder has other weights than the one that {str(place)!r} was made with; "
                "give that one"
            )
        held = load_file(place / "prototypes.safetensors")
        prototypes = Prototypes(held["sums"].shape[1])
        prototypes.labels = list(values["labels"])
        prototypes.sums, prototypes.counts = held["sums"].numpy(), held["counts"].numpy()
        if len(prototypes.labels) != len(prototypes.sums):
            raise StoreError(f"{str(place)!r} is damaged: labels and prototypes differ in number")
        made._prototypes = prototypes
        if values["adapted"]:
            made.adapted = _rebuilt(made, load_file(place / "adapted.safetensors"))
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise StoreError(
            f"the classifier {str(place)!r} is missing a part or damaged ({error}); save it again"
        ) from error
    return made


def _changed(encoder: nn.Module, adapted: nn.Module) -> dict[str, torch.Tensor]:
    start = encoder.state_dict()
    return {
        name: value.contiguous().clone()
        for name, value in adapted.state_dict().items()
        if name not in start or not torch.equal(start[name], value)
    }


def _rebuilt(classifier: IncrementalClassifier, changed: dict[str, torch.Tensor]) -> nn.Module:
    method, options = classifier.adapt, classifier.options or AdaptOptions()
    assert method is not None
    model = copy.deepcopy(classifier.encoder)
    if method in _REBUILT:
        ADAPTERS[method][0](model, torch.Generator(), **(options.settings or {}))
    elif method == "ssf":
        # folding gives a bias to layers that had none
        for name in changed:
            path, _, kind = name.rpartition(".")
            layer = model.get_submodule(path)
            if kind == "bias" and getattr(layer, "bias", None) is None:
                layer.bias = nn.Parameter(torch.zeros_like(changed[name]))
    _, extra = model.load_state_dict(changed, strict=False)
    if extra:
        raise KeyError(extra[0])
    model.requires_grad_(False)
    return model.eval()
