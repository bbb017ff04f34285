"""Parquet, a batch of rows at a time, memory-mapped; columns of bytes are left out."""

from collections.abc import Callable, Iterator

from vecsmith.core import require

from .._documents import Section, Skipped, SourceFile
from ._rows import row_section, title_column

ROWS = 256  # rows turned into Python objects at a time


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read a Parquet file.

    Args:
        file: The file.
        skipped: Called where the file is broken.

    Yields:
        One section a row.
    """
    arrow = require("pyarrow", "documents")
    parquet = require("pyarrow.parquet", "documents")
    name = file.absolute.name
    try:
        with parquet.ParquetFile(file.absolute, memory_map=True) as source:
            schema = source.schema_arrow
            columns = [field.name for field in schema if not _bytes(arrow, field.type)]
            title = title_column(columns)
            for batch in source.iter_batches(batch_size=ROWS, columns=columns):
                for row in batch.to_pylist():
                    section = row_section(name, row, title)
                    if section is not None:
                        yield section
    except (arrow.ArrowException, OSError) as error:
        skipped(Skipped(file.path, f"broken Parquet: {' '.join(str(error).split())[:200]}"))


def _bytes(arrow: object, kind: object) -> bool:
    types = arrow.types  # type: ignore[attr-defined]
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )
