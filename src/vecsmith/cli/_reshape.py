"""The command that changes finished models without training them again."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vecsmith.core import ConfigError

from ._index import not_negative, positive

# as `vecsmith.recipe.METHODS` names them, without loading that room
METHODS = (
    "average",
    "dare",
    "fisher",
    "mergekit",
    "regmean",
    "slerp",
    "task_arithmetic",
    "ties",
    "self_positioning",
    "twin",
)


def add_commands(verbs: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command of this file.

    Args:
        verbs: Sub-parsers.
        shared: Flags of every command.
    """
    reshape = verbs.add_parser("reshape", help="change finished models: merge")
    inner = reshape.add_subparsers(dest="action", metavar="ACTION", required=True)
    merge = inner.add_parser(
        "merge",
        parents=[shared],
        help="make one encoder of several that were fine-tuned from one",
        description="Merges sentence encoders and, with a probe, prints the score of each task "
        "before and after with its interval. A setting given several times is chosen on one half "
        "of the probe and judged on the other.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    merge.add_argument(
        "models", metavar="MODEL", nargs="+", help="id or folder of an expert, or NAME=MODEL"
    )
    merge.add_argument("--base", default=None, help="what they were fine-tuned from")
    merge.add_argument("--method", choices=METHODS, default="task_arithmetic", help="how")
    merge.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE[/VALUE…]",
        help="a setting of the method; may be given again for another one",
    )
    merge.add_argument("--probe", default=None, help="JSON Lines with examples of each task")
    merge.add_argument("--out", required=True, help="folder of the merged model")
    merge.add_argument("--include", default="", help="merge tensors whose name matches")
    merge.add_argument("--exclude", default=None, help="leave tensors whose name matches")
    merge.add_argument("--steps", type=positive, default=100, help="of self_positioning")
    merge.add_argument("--seed", type=not_negative, default=0, help="seed of what is drawn")
    merge.set_defaults(run=_merge)


def _merge(options: argparse.Namespace) -> None:
    from vecsmith.recipe import MergeSettings, merge_models

    settings = MergeSettings(
        experts=_experts(options.models),
        out=options.out,
        base=options.base,
        method=options.method,
        settings=dict(map(_setting, options.set)),
        probe=options.probe,
        include=options.include,
        exclude=options.exclude,
        steps=options.steps,
        seed=options.seed,
    )
    table = merge_models(settings)
    if options.json:
        print(json.dumps(table.as_dict(), indent=2, ensure_ascii=False))
        return
    if table.scores:
        print(table.to_markdown(), end="")
    chosen = ", ".join(f"{name} {value}" for name, value in table.chosen.items())
    print(f"{table.method}{': ' if chosen else ''}{chosen}", file=sys.stderr)
    print(f"written: {table.out}")


def _experts(models: list[str]) -> dict[str, str]:
    """Name -> model; a folder may have = in its name."""
    found: dict[str, str] = {}
    for text in models:
        name, split, model = text.partition("=")
        if not split or Path(text).exists():
            name, model = Path(text).name, text
        if not name or not model:
            raise ConfigError(f"a model should be MODEL or NAME=MODEL; got {text!r}")
        if name in found:
            raise ConfigError(f"two models are called {name!r}; name them with NAME=MODEL")
        found[name] = model
    return found


def _setting(text: str) -> tuple[str, list[Any]]:
    name, split, values = text.partition("=")
    if not split or not name or not values:
        raise ConfigError(
            f"--set should be NAME=VALUE, or NAME=VALUE/VALUE to choose from; got {text!r}"
        )
    return name.replace("-", "_"), [_value(piece) for piece in values.split("/")]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
