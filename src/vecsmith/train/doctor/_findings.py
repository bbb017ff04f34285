"""A finding: what was measured, how bad it is, what to do next."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

LEVELS = ("fine", "notice", "warning", "error")
_MARKS = {"fine": "ok", "notice": "note", "warning": "WARN", "error": "FAIL"}


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor looked at.

    Attributes:
        name: What was looked at, such as "truncation".
        level: One of `LEVELS`.
        value: The figure.
        text: The figure in words.
        advice: The next step to take; "" where all is well.
    """

    name: str
    level: str
    value: float
    text: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def graded(
    name: str,
    value: float,
    limits: Sequence[float],
    text: str,
    advice: str,
) -> Finding:
    """Grade a figure that is the worse the higher it is.

    Args:
        name: What was looked at.
        value: The figure.
        limits: From where on it is a notice, a warning and an error; fewer for milder grades.
        text: The figure in words.
        advice: The next step where it is not fine.

    Returns:
        The finding.
    """
    level = LEVELS[sum(value >= limit for limit in limits)]
    return Finding(name, level, float(value), text, "" if level == "fine" else advice)


def worst(findings: Iterable[Finding]) -> str:
    """Return the worst level of some findings, "fine" without any."""
    return max((f.level for f in findings), key=LEVELS.index, default="fine")


def report_text(findings: Sequence[Finding]) -> str:
    """Write findings as lines, the worst first.

    Args:
        findings: What was found.

    Returns:
        Lines of text.
    """
    lines = []
    for found in sorted(findings, key=lambda f: -LEVELS.index(f.level)):
        lines.append(f"[{_MARKS[found.level]:>4}] {found.name}: {found.text}")
        if found.advice:
            lines.append(f"       next: {found.advice}")
    return "\n".join(lines)
