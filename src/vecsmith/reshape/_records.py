"""What was done to a model, written beside it whenever it is saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from vecsmith.core import write_json


class _SaveWithRecords:
    """`save` of one model, which also writes its records."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, path: str, *args: Any, **kwargs: Any) -> None:
        save: Callable[..., None] = type(self.model).save  # type: ignore[attr-defined]
        save(self.model, path, *args, **kwargs)
        for name, value in self.model.records.items():  # type: ignore[operator, union-attr]
            write_json(Path(path) / name, value)


def attach_record(model: nn.Module, name: str, value: Any) -> None:
    """Let a model carry a record, and write it whenever it is saved.

    Args:
        model: A SentenceTransformer; other modules carry the record and do not write it.
        name: Of the file.
        value: JSON-ready values.
    """
    records = {**getattr(model, "records", {}), name: value}
    model.records = records  # type: ignore[assignment]
    if hasattr(type(model), "save"):
        model.save = _SaveWithRecords(model)  # type: ignore[assignment]
