"""The table of techniques: how a row looks, and how to get from a name to a running part.

The order and the scope are those of the survey From Word Vectors to Multimodal Embeddings
(C. Zhang and others, 2024), whose list of techniques is the contract; the rows are in `_rows`.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vecsmith.core import ConfigError, did_you_mean

STATUSES = ("own", "wraps", "planned")


@dataclass(frozen=True)
class Technique:
    """One technique.

    Attributes:
        key: Short name, as `make` takes it.
        topic: Part of the field.
        title: What it is called.
        name: "module:object" that serves it; "" where it is planned.
        cite: Authors and year.
        status: "own", "wraps" (a well-kept library does the work), or "planned".
        wraps: The library.
        settings: Arguments of `make` that make this technique of the object.
        test: File below tests/ that runs it.
    """

    key: str
    topic: str
    title: str
    name: str = ""
    cite: str = ""
    wraps: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    test: str = ""

    @property
    def status(self) -> str:
        """One of `STATUSES`."""
        if not self.name:
            return "planned"
        return "wraps" if self.wraps else "own"

    @property
    def import_line(self) -> str:
        """The line that imports it; "" where it is planned."""
        module, _, attribute = self.name.partition(":")
        return f"from {module} import {attribute}" if self.name else ""

    def load(self) -> Any:
        """Import what serves it.

        Returns:
            A class or function.

        Raises:
            ConfigError: It is planned.
        """
        if not self.name:
            raise ConfigError(f"{self.title} is planned and not there yet")
        module, _, attribute = self.name.partition(":")
        return getattr(importlib.import_module(module), attribute)


def get(key: str) -> Technique:
    """Look a technique up.

    Args:
        key: Its short name.

    Returns:
        The row.

    Raises:
        ConfigError: No such technique.
    """
    from ._rows import TECHNIQUES

    if key not in TECHNIQUES:
        raise ConfigError(f"no technique is called {key!r}; {did_you_mean(key, TECHNIQUES)}")
    return TECHNIQUES[key]


def make(key: str, *arguments: Any, **settings: Any) -> Any:
    """Make the part that serves a technique.

    Args:
        key: Its short name.
        *arguments: Of the class or function.
        **settings: Further ones; they win over those of the table.

    Returns:
        What the class or function gives.

    Raises:
        ConfigError: No such technique, or it is planned.
    """
    found = get(key)
    return found.load()(*arguments, **{**found.settings, **settings})


def table() -> str:
    """Write the table.

    Returns:
        Markdown, one row a technique, topic by topic.
    """
    from ._rows import TECHNIQUES

    rows = [
        "| topic | technique | key | import | served by | source |",
        "|---|---|---|---|---|---|",
    ]
    last = ""
    for row in TECHNIQUES.values():
        by = f"{row.wraps}" if row.wraps else "vecsmith" if row.name else "planned"
        line = f"`{row.import_line}`" if row.name else ""
        topic = row.topic if row.topic != last else ""
        rows.append(f"| {topic} | {row.title} | `{row.key}` | {line} | {by} | {row.cite} |")
        last = row.topic
    return "\n".join(rows)


def rows_of(topic: str, *rows: tuple[Any, ...]) -> list[Technique]:
    """Make rows of tuples.

    Args:
        topic: Of all.
        *rows: Key, title, name, test and cite, and then wraps and settings, if any.

    Returns:
        The rows.
    """
    made = []
    for key, title, name, test, cite, *more in rows:
        wraps = next((part for part in more if isinstance(part, str)), "")
        settings = next((part for part in more if isinstance(part, dict)), {})
        made.append(Technique(key, topic, title, name, cite, wraps, settings, test))
    return made
