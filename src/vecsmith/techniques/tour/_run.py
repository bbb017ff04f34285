"""Goes through the steps, times them, writes a page with pictures, and judges the floors."""

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path

from vecsmith.core import atomic_path, require

from . import _beyond, _texts, _words
from ._step import StepResult, chosen

logger = logging.getLogger(__name__)

Step = Callable[[bool, int], StepResult]

STEPS: dict[str, Step] = {
    "texts": _texts.similarity_of_texts,
    "words": _words.learned_words,
    "subwords": _words.subwords,
    "senses": _texts.senses,
    "spaces": _words.two_spaces,
    "topics": _texts.topics,
    "users": _beyond.users,
    "pictures": _beyond.pictures,
    "scenes": _beyond.scenes,
    "people": _texts.people,
    "bytes": _words.fewer_bytes,
    "probe": _words.reading_vectors,
    "numbers": _beyond.numbers,
    "bias": _words.bias,
}
QUICK = ("texts", "people", "bytes", "numbers")


def run(
    steps: str | tuple[str, ...] = "all",
    *,
    quick: bool = False,
    out: str | Path | None = None,
    seed: int = 0,
    told: Callable[[str, StepResult], None] | None = None,
) -> dict[str, StepResult]:
    """Walk.

    Args:
        steps: "all", or names of `STEPS`; all of a quick walk are four.
        quick: Small data; floors of what then is not learned are left out.
        out: Folder for `tour.md` and its pictures; None writes nothing.
        seed: Seed of everything.
        told: Called with each step's name and result.

    Returns:
        Result of each step; see `StepResult.missed`.

    Raises:
        ConfigError: An unknown step.
        DataError: Data cannot be fetched.
    """
    names = QUICK if quick and steps == "all" else chosen(steps, tuple(STEPS))
    results: dict[str, StepResult] = {}
    for name in names:
        started = time.perf_counter()
        found = STEPS[name](quick, seed)
        results[name] = dataclasses.replace(found, seconds=time.perf_counter() - started)
        logger.info("%s: %.1f s", name, results[name].seconds)
        if told:
            told(name, results[name])
    if out is not None:
        write(results, Path(out))
    return results


def write(results: dict[str, StepResult], folder: Path) -> None:
    """Write a page with a picture for each step.

    Args:
        results: From `run`.
        folder: Where.
    """
    mpl = require("matplotlib", "plots")
    mpl.use("agg")
    plt = require("matplotlib.pyplot", "plots")
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["# From words to pictures: a tour\n"]
    for name, result in results.items():
        figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
        result.draw(axes)
        with atomic_path(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=110, format="png")
        plt.close(figure)
        parts.append(page(name, result))
    with atomic_path(folder / "tour.md") as temporary:
        Path(temporary).write_text("\n".join(parts), encoding="utf-8")


def page(name: str, result: StepResult) -> str:
    """Write one step as Markdown.

    Args:
        name: Of the step.
        result: Its result.

    Returns:
        A section.
    """
    rows = [f"## {result.title}\n", result.did + "\n", f"![{result.title}]({name}.png)\n"]
    rows += ["| measured | value |", "|---|---|"]
    rows += [f"| {figure} | {value:.4g} |" for figure, value in result.figures.items()]
    rows += [f"\nMust be: {f.figure} above {f.least:.3f} ({f.because})." for f in result.floors]
    rows += [f"\n**Missed: {text}.**" for text in result.missed]
    techniques = ", ".join(f"`{key}`" for key in result.techniques)
    rows.append(f"\nTechniques: {techniques}. {result.seconds:.1f} s.\n")
    return "\n".join(rows)
