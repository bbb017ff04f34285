"""The table of stored results, as Markdown: the docs page and the README part are made from it."""

from pathlib import Path
from typing import Any

from vecsmith.core import read_json


def stored_results(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Read the stored results of a folder.

    Args:
        folder: Usually ``docs/claims``.

    Returns:
        Slug -> result, for the files ``SLUG.json`` that are there.
    """
    paths = sorted(Path(folder).glob("*.json"))
    return {path.stem: read_json(path) for path in paths if not path.stem.endswith(".gpu")}


def claims_table(folder: str | Path) -> str:
    """Write the table of stored results.

    Args:
        folder: Usually ``docs/claims``.

    Returns:
        Markdown, one row a system.
    """
    rows = [
        "| system | metric | baseline | with the system | effect (95% interval) | holds |",
        "|---|---|---|---|---|---|",
    ]
    for slug, result in stored_results(folder).items():
        means = [
            sum(result[side]["values"]) / len(result[side]["values"])
            for side in ("baseline", "system")
        ]
        low, high = result["ci95"]
        sign = "×" if result["effect_kind"] == "ratio" else ""
        rows.append(
            # a bar would end the cell
            f"| [{slug}](systems/{slug}.md) | {result['metric'].replace('|', '&#124;')} "
            f"| {result['baseline']['name']}: {means[0]:.4g} "
            f"| {result['system']['name']}: {means[1]:.4g} "
            f"| {sign}{result['effect']:+.4f} ({low:+.4f} to {high:+.4f}) "
            f"| {'yes' if result['holds'] else 'no'} |"
        )
    return "\n".join(rows) + "\n"
