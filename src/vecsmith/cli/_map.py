"""The command that maps a column of phrases to the concepts of a taxonomy."""

import argparse
import csv
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._index import positive

if TYPE_CHECKING:
    from vecsmith.train.taxonomy import Mapped, Text2Node

# rows that are mapped together
BLOCK = 1024


def add_commands(verbs: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command of this file.

    Args:
        verbs: Sub-parsers.
        shared: Flags of every command.
    """
    parser = verbs.add_parser(
        "map",
        parents=[shared],
        help="map a CSV column of phrases to the concepts of a taxonomy",
        description="Writes the table again with columns added: concept_1, name_1, score_1, … and "
        "confidence. A phrase without a known word, or below --min-confidence, gets empty cells.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("table", metavar="TABLE", help="CSV file in UTF-8 with a header")
    parser.add_argument("--column", required=True, help="column that holds the phrases")
    parser.add_argument("--model", required=True, help="folder of a fitted Text2Node")
    parser.add_argument("--out", required=True, help="CSV file to write")
    parser.add_argument("-k", type=positive, default=1, help="concepts a phrase")
    parser.add_argument(
        "--min-confidence", type=part, default=0.0, help="below it: no such concept"
    )
    parser.set_defaults(run=_map)


def part(text: str) -> float:
    """Read a number from 0 to 1.

    Args:
        text: What was typed.

    Returns:
        The number.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def _map(options: argparse.Namespace) -> None:
    from vecsmith.core import ConfigError, DataError, StoreError, atomic_path
    from vecsmith.train.taxonomy import Text2Node

    source, out = Path(options.table), Path(options.out)
    if source.resolve() == out.resolve():
        raise ConfigError(f"--out must be another file than the table; got {str(out)!r}")
    if not source.is_file():
        raise DataError(f"no file {str(source)!r} is there; check the path")
    counts = {"rows": 0, "mapped": 0}
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            added = _added(options.k)
            _check_header(header, options.column, added)
            model = Text2Node.from_pretrained(options.model)
            with atomic_path(out) as fresh, fresh.open("w", encoding="utf-8", newline="") as made:
                writer = csv.writer(made, lineterminator="\n")
                writer.writerow([*header, *added])
                for line in _mapped(rows, header, model, options, counts):
                    writer.writerow(line)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{str(source)!r} should be CSV in UTF-8 ({error}); save it so, nothing was written"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot write {str(out)!r} ({error}); choose another place") from error
    if options.json:
        print(json.dumps({**counts, "out": str(out)}))
    else:
        print(f"{counts['mapped']} of {counts['rows']} rows mapped; written: {out}")


def _added(k: int) -> list[str]:
    names = [[f"concept_{i}", f"name_{i}", f"score_{i}"] for i in range(1, k + 1)]
    return [*itertools.chain.from_iterable(names), "confidence"]


def _check_header(header: list[str], column: str, added: list[str]) -> None:
    from vecsmith.core import DataError, did_you_mean

    if header.count(column) != 1:
        raise DataError(
            f"the table should have one column {column!r} but has {header.count(column)}; "
            f"{did_you_mean(column, header)}"
        )
    taken = [name for name in added if name in header]
    if taken:
        raise DataError(f"the table has the column {taken[0]!r} already; rename it first")


def _mapped(
    rows: Iterator[list[str]],
    header: list[str],
    model: "Text2Node",
    options: argparse.Namespace,
    counts: dict[str, int],
) -> Iterator[list[str]]:
    from vecsmith.core import DataError

    place = header.index(options.column)
    while block := list(itertools.islice(rows, BLOCK)):
        for number, row in enumerate(block, counts["rows"] + 1):
            if row and len(row) != len(header):
                raise DataError(
                    f"row {number} should have {len(header)} cells but has {len(row)}; quote cells "
                    "that hold commas, nothing was written"
                )
        # an empty line is a row too, so that none is lost
        full = [row or [""] * len(header) for row in block]
        found = model.predict([row[place] for row in full], options.k)
        counts["rows"] += len(block)
        for row, mapped in zip(full, found, strict=True):
            cells = _cells(mapped, options)
            counts["mapped"] += bool(cells[0])
            yield [*row, *cells]


def _cells(mapped: "Mapped", options: argparse.Namespace) -> list[str]:
    # a map without confidences has NaN, which is below nothing
    kept = mapped.ids and not mapped.confidence < options.min_confidence
    cells: list[str] = []
    if kept:
        for node, name, score in zip(mapped.ids, mapped.names, mapped.scores, strict=True):
            cells += [str(node), name, f"{score:.4f}"]
    cells += [""] * (3 * options.k - len(cells))
    return [*cells, "" if math.isnan(mapped.confidence) else f"{mapped.confidence:.4f}"]
