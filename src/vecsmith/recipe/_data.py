"""Training data by column position: anchor, positive, negatives, whatever the columns are called.

JSONL, JSON, Parquet, CSV, TSV or a hub id go in; columns of texts come out. A row with an empty
text, or with an anchor that is its own positive, would teach nothing or harm: it is left out and
counted. Nothing is left out silently: the counts stand in the run's report.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import DataError, hash_text, numpy_generator, require, sha256_file

from ._config import DataSource

if TYPE_CHECKING:
    from datasets import Dataset

FORMATS = {
    ".jsonl": "json",
    ".json": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
}


@dataclass(frozen=True)
class Loaded:
    """A data set that was read.

    Attributes:
        source: Where it came from.
        rows: Columns of texts, in the order of the objective.
        hash: Hash of the file, or of all texts.
        empty: Rows left out for an empty text.
        equal: Rows left out because anchor and positive are the same text.
    """

    source: DataSource
    rows: "Dataset"
    hash: str
    empty: int
    equal: int

    @property
    def name(self) -> str:
        """Short name."""
        return Path(self.source.path).stem

    def summary(self) -> dict[str, Any]:
        """Return what the report and the model card say about it."""
        return {
            "path": self.source.path,
            "hash": self.hash,
            "rows": len(self.rows),
            "columns": self.rows.column_names,
            "weight": self.source.weight,
            "left_out_empty": self.empty,
            "left_out_equal": self.equal,
        }


def load_source(source: DataSource, *, columns_needed: int = 2) -> Loaded:
    """Read a data set.

    Args:
        source: File or hub id.
        columns_needed: Text columns that the objective needs at least.

    Returns:
        The data.

    Raises:
        DataError: It cannot be read, columns are missing or hold no texts, or fewer than two rows
            are left.
    """
    rows = _read(source)
    names = list(source.columns) or list(rows.column_names)
    if missing := [name for name in names if name not in rows.column_names]:
        raise DataError(
            f"{source.path} has no column {missing[0]!r}; it has {', '.join(rows.column_names)}: "
            "name the columns in the order anchor, positive, negatives"
        )
    if len(names) < columns_needed:
        raise DataError(
            f"{source.path} needs {columns_needed} columns of texts or more (anchor, positive, "
            f"then negatives); it has {len(names)}: {', '.join(names)}"
        )
    rows = rows.select_columns(names)
    for name in names:
        _check_texts(rows, name, source.path)
    rows = rows.cast(_texts(names))
    whole = len(rows)
    rows = rows.filter(lambda row: all(row[n] and row[n].strip() for n in names))
    empty = whole - len(rows)
    if len(names) > 1:
        rows = rows.filter(lambda row: row[names[0]].strip() != row[names[1]].strip())
    equal = whole - empty - len(rows)
    if len(rows) < 2:
        raise DataError(
            f"{source.path} needs 2 usable rows or more to train on; {len(rows)} of {whole} are "
            f"left ({empty} have an empty text, in {equal} anchor and positive are the same)"
        )
    path = Path(source.path)
    content = sha256_file(path) if path.is_file() else hash_text(*map(str, rows.to_dict().values()))
    return Loaded(source, rows, content, empty, equal)


def _texts(names: Sequence[str]) -> Any:
    # Parquet says large_string where JSONL says string, and sets of both cannot be put together
    datasets = require("datasets", "train")
    return datasets.Features({name: datasets.Value("string") for name in names})


def _read(source: DataSource) -> "Dataset":
    datasets = require("datasets", "train")
    path = Path(source.path).expanduser()
    refused = (StopIteration, OSError, ValueError, KeyError, RuntimeError, NotImplementedError)
    if path.is_file():
        kind = FORMATS.get(path.suffix.lower())
        if kind is None:
            raise DataError(
                f"{source.path} must be one of {', '.join(FORMATS)} by its name's end; convert it, "
                "or rename it"
            )
        if path.stat().st_size == 0:
            raise DataError(f"{source.path} is empty; give a file with rows")
        options = {"delimiter": "\t"} if path.suffix.lower() == ".tsv" else {}
        try:
            found = datasets.load_dataset(kind, data_files=str(path), split="train", **options)
        except (*refused, datasets.exceptions.DatasetGenerationError) as error:
            raise DataError(f"{source.path} cannot be read as {kind}: {_cause(error)}") from error
        return found
    if path.is_dir() or path.suffix.lower() in FORMATS:
        raise DataError(f"there is no file {source.path}; give a file or the id of a hub data set")
    try:
        return datasets.load_dataset(source.path, split=source.split)
    except (*refused, ConnectionError) as error:
        raise DataError(
            f"{source.path!r} is no file here and cannot be had from the hub ({_cause(error)}); "
            "check the name, or give a file"
        ) from error


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200] or type(error).__name__


def _check_texts(rows: "Dataset", name: str, path: str) -> None:
    kind = str(getattr(rows.features[name], "dtype", rows.features[name]))
    if kind not in ("string", "large_string", "null"):
        raise DataError(
            f"column {name!r} of {path} must hold texts; it holds {kind}: name the columns to use"
        )


def by_place(rows: "Dataset") -> "Dataset":
    """Call columns by their place: anchor, positive, negative_1 and so on.

    A trainer would take a column called "label" or "score" for labels.

    Args:
        rows: Columns of texts, whatever they are called.

    Returns:
        The same columns.
    """
    count = len(rows.column_names)
    names = ["anchor", "positive", *(f"negative_{place}" for place in range(1, count - 1))]
    return rows.rename_columns(dict(zip(rows.column_names, names, strict=False)))


def answers(rows: "Dataset") -> set[str]:
    """List the texts of validation rows that training must not see: anchors and positives.

    Args:
        rows: Columns of texts.

    Returns:
        Distinct texts, without space around them.
    """
    return {text.strip() for name in rows.column_names[:2] for text in rows[name]}


def without_shared(rows: "Dataset", texts: Collection[str]) -> "Dataset":
    """Leave out rows that have one of some texts in any column.

    Args:
        rows: Columns of texts.
        texts: From `answers`.

    Returns:
        The other rows, in their order.
    """
    columns = [rows[name] for name in rows.column_names]
    shared = [any(text.strip() in texts for text in row) for row in zip(*columns, strict=True)]
    return rows.select([place for place, found in enumerate(shared) if not found])


def hold_out(
    loaded: Sequence[Loaded], most: int, seed: int
) -> tuple[list["Dataset"], list["Dataset"]]:
    """Take validation rows from data sets; no row left for training shares a text with them.

    Rows are drawn from each set. A text of theirs would give the answer away in any set and in any
    column, so that training rows that have one are left out. Where that costs a set more than
    half of its rows (labels, of which there are few), nothing is held out of the set drawn from.

    Args:
        loaded: The data sets.
        most: How many rows at most, over all sets; never more than a tenth of a set.
        seed: Seed of the draw.

    Returns:
        Training rows and validation rows of each set.
    """
    train = [part.rows for part in loaded]
    held = [part.rows.select([]) for part in loaded]
    texts: set[str] = set()
    for place, part in enumerate(loaded):
        rows = part.rows
        count = min(most // len(loaded), len(rows) // 10)
        if count < 1 or len(rows.column_names) < 2:
            continue
        order = numpy_generator(seed, "hold out").permutation(len(rows))
        drawn = rows.select(sorted(int(row) for row in order[:count]))
        wanted = texts | answers(drawn)
        left = [without_shared(other.rows, wanted) for other in loaded]
        if all(
            len(kept) >= max(2, len(other.rows) // 2)
            for kept, other in zip(left, loaded, strict=True)
        ):
            train, texts, held[place] = left, wanted, drawn
    return train, held


def all_texts(rows: "Dataset") -> Sequence[str]:
    """List the distinct texts of all columns.

    Args:
        rows: Columns of texts.

    Returns:
        Texts.
    """
    return list(dict.fromkeys(text for name in rows.column_names for text in rows[name]))
