"""Progress bars on a terminal, silence elsewhere."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(
    items: Iterable[Any] | None = None,
    description: str = "",
    *,
    total: float | None = None,
    unit: str = "it",
) -> Any:
    """Wrap an iterable in a progress bar on stderr that shows only on a terminal.

    Args:
        items: What to iterate; without it the bar is moved by its `update`.
        description: Words before the bar.
        total: Length, where the iterable has none.
        unit: Name of one item.

    Returns:
        A tqdm bar.
    """
    return tqdm(
        items,
        desc=description,
        total=total,
        unit=unit,
        disable=not sys.stderr.isatty(),
        file=sys.stderr,
        dynamic_ncols=True,
    )
