"""The command that trains an encoder on pairs; its flags are the fields of `TrainingConfig`."""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from vecsmith.recipe import TrainingConfig, kind_of


def _field_help(kind: type) -> dict[str, str]:
    """Read what the fields of a dataclass mean from its docstring."""
    found: dict[str, str] = {}
    name = ""
    for line in (kind.__doc__ or "").partition("Attributes:")[2].splitlines():
        start = re.match(r" {8}(\w+): (.*)", line)
        if start:
            name = start.group(1)
            found[name] = start.group(2)
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found


def _default(field: Any) -> str:
    if field.default is None:
        return "none"
    if isinstance(field.default, tuple):
        return ",".join(field.default) or "none"
    return str(field.default)


_METAVARS = {
    "bool": "true|false",
    "float": "NUMBER",
    "int": "N",
    "str": "TEXT",
    "tuple[int, ...]": "N,N,...",
    "tuple[str, ...]": "NAME,NAME,...",
}


def add_commands(verbs: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command of this file.

    Args:
        verbs: Sub-parsers.
        shared: Flags of every command.
    """
    train = verbs.add_parser(
        "train",
        parents=[shared],
        help="train an encoder on pairs of your own",
        description="Train an encoder on pairs. Settings come from CONFIG, a YAML file with the "
        "names below (with _ for -), and from flags, which win. A run that was stopped goes on "
        "when it is started again.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="--objective joins names by '+'; see --list-objectives. Several data sets: repeat "
        "--data, FILE@WEIGHT weighs one; each batch comes from one set.",
    )
    train.add_argument("config", metavar="CONFIG", nargs="?", default=None, help="YAML file")
    train.add_argument(
        "--list-objectives", action="store_true", help="tell what --objective takes, and stop"
    )
    words = _field_help(TrainingConfig)
    for field in dataclasses.fields(TrainingConfig):
        flag = "--" + field.name.replace("_", "-")
        text = words[field.name].rstrip(".").replace("%", "%%")
        if field.name == "data":
            more = "FILE, FILE@WEIGHT or hub id; may be repeated"
            train.add_argument(flag, action="append", default=[], metavar="FILE", help=more)
            continue
        text += f" (default: {_default(field)})"
        kind = _METAVARS[kind_of(field).removesuffix(" | None")]
        train.add_argument(flag, default=None, metavar=kind, help=text)
    train.set_defaults(run=_train)


_YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _values(options: argparse.Namespace) -> dict[str, Any]:
    """Put file and flags together; flags win."""
    from vecsmith.recipe import read_config

    values = {} if options.config is None else read_config(options.config)
    for field in dataclasses.fields(TrainingConfig):
        given = getattr(options, field.name)
        if given is None or given == []:
            continue
        if kind_of(field).startswith("bool"):
            given = _YES_NO.get(str(given).lower(), given)
        values[field.name] = given
    return values


def _train(options: argparse.Namespace) -> None:
    from vecsmith.recipe import config_from, is_main_process, objective_help, train

    if options.list_objectives:
        print(objective_help())
        return
    config = config_from(_values(options))

    def examined(findings: Sequence[Any]) -> None:
        from vecsmith.train.doctor import report_text

        print("the doctor on the data:", file=sys.stderr)
        print(report_text(findings), file=sys.stderr)

    report = train(config, examined=examined)
    if not is_main_process():
        return
    if options.json:
        print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
        return
    _print_report(report)


def _print_report(report: Any) -> None:
    from vecsmith.train.doctor import report_text

    curve = report.log["curve"]
    speed = report.log["pairs_per_second"]
    print(f"{report.steps} steps at {speed:.0f} rows a second")
    if curve and report.log["best"] > 0:
        print(
            f"validation MRR: {curve[0]['mrr']:.4f} before, {report.log['best']:.4f} at step "
            f"{report.log['best_step']}"
        )
    for overlap in report.overlaps:
        if overlap.share > 0:
            print(
                f"contamination: {overlap.exact + overlap.near} of {overlap.texts} texts of "
                f"{overlap.evaluation} are trained on"
            )
    for score in report.scores:
        row = score.as_dict()
        low, high = row["difference_ci95"]
        print(
            f"{score.name}: {row['score']:.4f} {score.metric}, base {row['base']:.4f}, "
            f"{row['difference']:+.4f} ({low:+.4f} to {high:+.4f}), p = {row['p']:.3g}: "
            f"{row['verdict']}"
        )
    print("the doctor on the run:")
    print(report_text(report.findings))
    print(f"model: {report.model}")
