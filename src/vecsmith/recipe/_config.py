"""The settings of a training run: two dataclasses; YAML is those dataclasses written down."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from vecsmith.core import ConfigError, atomic_path, did_you_mean, require

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class DataSource:
    """One data set.

    Attributes:
        path: File (JSONL, JSON, Parquet, CSV, TSV) or hub id.
        columns: Columns in the order of the objective (anchor, positive, negatives); all of the
            file's by default, in its order.
        split: Split of a hub data set.
        weight: How often its batches come, against those of the others, by their size.
        objective: An objective of its own, in place of the run's.
    """

    path: str
    columns: tuple[str, ...] = ()
    split: str = "train"
    weight: float = 1.0
    objective: str | None = None


@dataclass(frozen=True)
class TrainingConfig:
    """A training run.

    Attributes:
        data: What to train on.
        out: Folder for checkpoints, log and, at the end, ``model/``.
        model: Hub id or folder of the model to start from.
        objective: Names joined by "+": see `objectives`.
        guide: Hub id or folder of a stronger model, for gist.
        temperature: What cosines are divided by.
        margin: Margin of gist: how much nearer than the positive a negative must stay away.
        dims: Sizes of matryoshka and its kin; from the model's by default.
        menu: Sizes of starbucks as LAYERSxDIMS, such as 2x64; from the model's by default.
        batch_size: Rows of a step on each device.
        mini_batch: Rows embedded at a time (gradient caching), for batches larger than memory.
        learning_rate: Peak of the learning rate.
        warmup: Share of the steps in which the rate rises; then it falls linearly to 0.
        weight_decay: Decay of AdamW.
        epochs: Passes over the data.
        steps: Steps, in place of epochs.
        max_tokens: Length at which texts are cut; the model's by default.
        lora: Rank of low-rank adapters; 0 trains all weights.
        bf16: Whether to compute in bf16; by default where the device is faster so.
        validation: File of held-out rows; by default rows are taken from the data.
        validation_rows: How many rows are taken at most, never more than a tenth.
        checks: How often to validate and to write a checkpoint.
        keep: "best" ships the weights that did best on the validation rows, "last" the last ones.
        evaluate: Evaluations before and after: see `evaluations`.
        workers: Processes that fetch data.
        seed: Seed of everything random.
    """

    data: tuple[DataSource, ...] = ()
    out: str = "trained"
    model: str = MINILM
    objective: str = "contrastive+matryoshka"
    guide: str | None = None
    temperature: float = 0.05
    margin: float = 0.05
    dims: tuple[int, ...] = ()
    menu: tuple[str, ...] = ()
    batch_size: int = 64
    mini_batch: int | None = None
    learning_rate: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.0
    epochs: float = 1.0
    steps: int | None = None
    max_tokens: int | None = None
    lora: int = 0
    bf16: bool | None = None
    validation: str | None = None
    validation_rows: int = 500
    checks: int = 10
    keep: str = "best"
    evaluate: tuple[str, ...] = field(default=())
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError(
                "a training run needs data: give --data FILE, or data: in the config file"
            )
        _check_numbers(self)
        if self.keep not in ("best", "last"):
            raise ConfigError(f"keep must be 'best' or 'last'; got {self.keep!r}")
        for source in self.data:
            if not source.weight > 0.0:
                raise ConfigError(f"weight of {source.path} must be above 0; got {source.weight}")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain lists and dictionaries."""
        plain = asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in plain.items()
        } | {
            "data": [
                {k: list(v) if isinstance(v, tuple) else v for k, v in row.items()}
                for row in plain["data"]
            ]
        }


_LEAST: dict[str, float] = {
    "batch_size": 2,
    "mini_batch": 1,
    "steps": 1,
    "max_tokens": 4,
    "lora": 0,
    "validation_rows": 0,
    "checks": 1,
    "workers": 0,
    "seed": 0,
    "weight_decay": 0.0,
    "margin": 0.0,
}


def _check_numbers(config: TrainingConfig) -> None:
    for name, least in _LEAST.items():
        value = getattr(config, name)
        if value is not None and value < least:
            raise ConfigError(f"{name} must be at least {least:g}; got {value}")
    for name in ("learning_rate", "temperature", "epochs"):
        if not getattr(config, name) > 0.0:
            raise ConfigError(f"{name} must be above 0; got {getattr(config, name)}")
    if not 0.0 <= config.warmup < 1.0:
        raise ConfigError(f"warmup must be a share in [0, 1); got {config.warmup}")


def parse_source(value: Any) -> DataSource:
    """Read a data source from a config file or the command line.

    Args:
        value: "FILE", "FILE@WEIGHT", or a mapping with the fields of `DataSource`.

    Returns:
        The source.

    Raises:
        ConfigError: It says something else.
    """
    if isinstance(value, DataSource):
        return value
    if isinstance(value, str):
        path, at, weight = value.rpartition("@")
        if at and path:
            try:
                return DataSource(path, weight=float(weight))
            except ValueError:
                pass
        return DataSource(value)
    if not isinstance(value, Mapping) or "path" not in value:
        raise ConfigError(f"data must be a file name or a mapping with 'path'; got {value!r}")
    row = _known(value, DataSource, "data")
    if "columns" in row:
        row["columns"] = _texts(row["columns"])
    return DataSource(**row)


def config_from(values: Mapping[str, Any]) -> TrainingConfig:
    """Make the settings from plain values, as a config file or the command line gives them.

    Args:
        values: Field -> value.

    Returns:
        The settings.

    Raises:
        ConfigError: An unknown field, or a value of another kind.
    """
    row = _known(values, TrainingConfig, "the config")
    data = row.pop("data", ())
    if isinstance(data, (str, Mapping, DataSource)):
        data = [data]
    for name in ("menu", "evaluate"):
        if name in row:
            row[name] = _texts(row[name])
    for known in fields(TrainingConfig):
        if known.name in row:
            row[known.name] = _typed(known.name, row[known.name], kind_of(known))
    return TrainingConfig(data=tuple(parse_source(one) for one in data), **row)


def kind_of(field: Any) -> str:
    """Write a field's type, such as "int", "float | None" or "tuple[int, ...]".

    Args:
        field: A field of a dataclass.

    Returns:
        The type as it stands in the code.
    """
    plain = isinstance(field.type, type) and not hasattr(field.type, "__args__")
    return str(field.type.__name__ if plain else field.type)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(str(part) for part in value)


def _typed(name: str, value: Any, kind: str) -> Any:
    """Turn a value into the field's type; 2e-5 is a text in YAML."""
    if value is None and "None" in kind:
        return None
    try:
        if kind.startswith("tuple[int"):
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(int(part) for part in parts)
        if kind.startswith("tuple"):
            return tuple(value)
        if kind.startswith("bool"):
            if not isinstance(value, bool):
                raise ValueError("not true or false")
            return value
        if kind.startswith("int"):
            if isinstance(value, bool) or float(value) != int(float(value)):
                raise ValueError("not a whole number")
            return int(float(value))
        return float(value) if kind.startswith("float") else str(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} must be {kind}; got {value!r} ({error})") from error


def _known(values: Mapping[str, Any], kind: Any, where: str) -> dict[str, Any]:
    names = [known.name for known in fields(kind)]
    for name in values:
        if name not in names:
            raise ConfigError(f"{where} has no field {name!r}; {did_you_mean(str(name), names)}")
    return dict(values)


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a config file.

    Args:
        path: YAML (or JSON) with the fields of `TrainingConfig`.

    Returns:
        Field -> value, for `config_from`.

    Raises:
        ConfigError: It cannot be read, or is no mapping.
    """
    yaml = require("yaml", "train")
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"config file {str(path)!r} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(
            f"config file {str(path)!r} must hold fields such as 'data:' and 'objective:'; "
            f"it holds {type(found).__name__}"
        )
    return found


def write_config(config: TrainingConfig, path: str | Path) -> None:
    """Write the settings down, whole or not at all.

    Args:
        config: The settings.
        path: File to write.
    """
    yaml = require("yaml", "train")
    text = yaml.safe_dump(config.as_dict(), sort_keys=False, allow_unicode=True)
    with atomic_path(Path(path)) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
