"""What a run trains and validates on: data sets with their objectives, without shared texts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vecsmith.core import ConfigError, DataError, require

from ._config import DataSource, TrainingConfig
from ._data import Loaded, answers, by_place, hold_out, load_source, without_shared
from ._objectives import Expression, parse_objective

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass
class Parts:
    """What the steps of a run hand on.

    Attributes:
        loaded: The data sets as they were read.
        train: What is left of each for training; columns have the user's names.
        validation: Held-out rows of all of them.
        expressions: The objective of each.
    """

    loaded: list[Loaded]
    train: list["Dataset"]
    validation: "Dataset"
    expressions: list[Expression]

    @property
    def names(self) -> list[str]:
        """Short names of the data sets."""
        return [part.name for part in self.loaded]

    def summaries(self) -> list[dict[str, Any]]:
        """Return what the report and the model card say about the data sets."""
        return [
            {**part.summary(), "trained_on": len(rows)}
            for part, rows in zip(self.loaded, self.train, strict=True)
        ]


def read_parts(config: TrainingConfig) -> Parts:
    """Read the data of a run, and set validation rows apart.

    Args:
        config: Settings.

    Returns:
        The data. No row to train on shares a text with the anchors and positives to validate on.

    Raises:
        ConfigError: An objective that is not known, or two data sets of one name.
        DataError: Data that cannot be used.
    """
    expressions = [parse_objective(source.objective or config.objective) for source in config.data]
    loaded = [
        load_source(source, columns_needed=expression.columns)
        for source, expression in zip(config.data, expressions, strict=True)
    ]
    names = [part.name for part in loaded]
    if len(set(names)) < len(names):
        raise ConfigError(f"data sets need names of their own; got {', '.join(names)}")
    if config.validation is not None:
        held = by_place(load_source(DataSource(config.validation)).rows)
        texts = answers(held)
        return Parts(loaded, [without_shared(p.rows, texts) for p in loaded], held, expressions)
    train, drawn = hold_out(loaded, config.validation_rows, config.seed)
    return Parts(loaded, train, _together(drawn), expressions)


def _together(drawn: list["Dataset"]) -> "Dataset":
    datasets = require("datasets", "train")
    pairs = [by_place(rows.select_columns(rows.column_names[:2])) for rows in drawn if len(rows)]
    empty = datasets.Dataset.from_dict({"anchor": [], "positive": []})
    return datasets.concatenate_datasets(pairs) if pairs else empty


def check_sizes(config: TrainingConfig, parts: Parts, processes: int) -> None:
    """Refuse data sets of which no step can be made.

    Args:
        config: Settings.
        parts: The data.
        processes: How many processes train together.

    Raises:
        DataError: A data set has fewer rows than a step of all processes.
    """
    need = config.batch_size * processes
    for name, loaded, rows in zip(parts.names, parts.loaded, parts.train, strict=True):
        if len(rows) >= need:
            continue
        several = f" on each of {processes} processes" if processes > 1 else ""
        away = len(loaded.rows) - len(rows)
        apart = f" ({away} of {len(loaded.rows)} are set apart for validation)" if away else ""
        raise DataError(
            f"data set {name!r} has {len(rows)} rows to train on{apart}, fewer than one batch of "
            f"{config.batch_size}{several}, so that nothing would be trained; lower batch_size, "
            "or get more rows"
        )
