"""The command that changes finished models without training them again."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from vecsmith.core import ConfigError, DataError

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
STEPS = ("truncate", "whiten", "quantise", "context")


def add_commands(verbs: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command of this file.

    Args:
        verbs: Sub-parsers.
        shared: Flags of every command.
    """
    reshape = verbs.add_parser("reshape", help="change finished models: merge, chain")
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
    chain = inner.add_parser(
        "chain",
        parents=[shared],
        help="truncate, whiten, quantise or lengthen an encoder, or take such steps back",
        description="Changes a finished encoder step by step. The steps are on record in its "
        "folder, are replayed whenever it encodes, and are part of the stamp of every index. "
        "Without a step it lists those on record.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    chain.add_argument("model", metavar="MODEL", help="id or folder of an encoder")
    chain.add_argument("--undo", type=not_negative, default=0, help="take so many steps back first")
    chain.add_argument(
        "--step",
        action="append",
        default=[],
        metavar="NAME:NUMBER",
        help="truncate:DIMS, whiten:DIMS, quantise:BITS or context:TOKENS; may be given again",
    )
    chain.add_argument("--texts", default=None, help="a text a line: what whiten and quantise fit")
    chain.add_argument("--out", default=None, help="folder of the changed encoder")
    chain.set_defaults(run=_chain)


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


def _chain(options: argparse.Namespace) -> None:
    from vecsmith.reshape import ReshapeChain

    changes = bool(options.step or options.undo)
    if changes != (options.out is not None):
        raise ConfigError("--out goes together with --step or --undo; give both or none")
    steps = [_step(text) for text in options.step]
    texts = _texts(options.texts)
    chain = ReshapeChain(options.model)
    for _ in range(options.undo):
        chain.undo()
    for name, number in steps:
        if name == "whiten":
            chain.whiten(texts, dims=number)
        elif name == "quantise":
            chain.quantise(texts, bits=number)
        else:
            getattr(chain, name)(number)
    if changes:
        chain.save_pretrained(options.out)
    if options.json:
        rows = [dataclasses.asdict(step) for step in chain.steps]
        print(json.dumps({"steps": rows, "out": options.out}, indent=2, ensure_ascii=False))
        return
    print("\n".join(chain.labels) or "no steps")
    if changes:
        print(f"written: {options.out}", file=sys.stderr)


def _step(text: str) -> tuple[str, int]:
    name, _, number = text.partition(":")
    if name not in STEPS or not number.isdecimal():
        wanted = ", ".join(f"{step}:NUMBER" for step in STEPS)
        raise ConfigError(f"--step should be one of {wanted}; got {text!r}")
    return name, int(number)


def _texts(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--texts {path!r} cannot be read ({error})") from error
    return [line for line in lines if line.strip()]


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
