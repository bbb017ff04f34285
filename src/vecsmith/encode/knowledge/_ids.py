"""Ids of entities as JSON: strings, numbers and tuples of them."""

from collections.abc import Hashable
from typing import Any

from vecsmith.core import ConfigError


def packed(item: Hashable) -> Any:
    """Turn an id into what JSON can hold.

    Args:
        item: The id.

    Returns:
        Itself, or a dictionary for a tuple.

    Raises:
        ConfigError: Another kind of id.
    """
    if isinstance(item, tuple):
        return {"tuple": [packed(part) for part in item]}
    if item is None or isinstance(item, str | int | float | bool):
        return item
    raise ConfigError(
        f"ids must be strings, numbers or tuples of them to be saved; got {type(item).__name__}: "
        "use such ids"
    )


def unpacked(item: Any) -> Hashable:
    """Turn back what `packed` made.

    Args:
        item: As JSON gave it.

    Returns:
        The id.
    """
    return tuple(map(unpacked, item["tuple"])) if isinstance(item, dict) else item
