"""Commands on words and on the field: bias, tour."""

import argparse
import json
import sys
from typing import Any

from ._index import not_negative, positive, positive_number

# as `vecsmith.evaluate.bias` names them, without loading that room
METHODS = ("none", "hard", "soft")


def add_commands(verbs: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command of this file.

    Args:
        verbs: Sub-parsers.
        shared: Flags of every command.
    """
    bias = verbs.add_parser(
        "bias",
        parents=[shared],
        help="measure the bias of word vectors or of an encoder, and take it out",
        description="Shows quality and bias in one table. Gender is meant unless --sets and "
        "--neutral say otherwise.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    bias.add_argument(
        "vectors", metavar="SOURCE", help="word vectors (.bin, .txt, .vec, a folder), or a model"
    )
    bias.add_argument("--sets", default=None, help="file: one set a line, such as: she he")
    bias.add_argument("--neutral", default=None, help="file: words that should lean to no side")
    bias.add_argument("--directions", type=positive, default=1, help="of the bias of --sets")
    bias.add_argument("--method", choices=METHODS, default="none", help="how to take it out")
    bias.add_argument(
        "--strength", type=positive_number, default=1.0, help="of soft: bias against similarity"
    )
    bias.add_argument("--limit", type=positive, default=None, help="read so many words of a file")
    bias.add_argument("--out", default=None, help="where to write what came out of --method")
    bias.set_defaults(run=_bias)
    tour = verbs.add_parser(
        "tour",
        parents=[shared],
        help="walk from one-hot words to pictures, on real data, with a picture a step",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    tour.add_argument("step", nargs="*", metavar="STEP", help="some steps; default: all")
    tour.add_argument("--quick", action="store_true", help="four steps, small data")
    tour.add_argument("--out", default=None, help="folder for tour.md and its pictures")
    tour.add_argument("--seed", type=not_negative, default=0, help="seed of everything random")
    tour.add_argument("--list", action="store_true", help="tell the steps, and stop")
    tour.set_defaults(run=_tour)


def _bias(options: argparse.Namespace) -> None:
    from vecsmith.core import ConfigError
    from vecsmith.encode.words import WordVectors
    from vecsmith.evaluate.bias import BiasConcept, examine_bias

    if (options.sets is None) != (options.neutral is None):
        raise ConfigError("--sets and --neutral go together; give both, or none for gender")
    if (options.out is None) != (options.method == "none"):
        raise ConfigError("--out and --method hard or soft go together; give both or none")
    concept = None
    if options.sets is not None:
        concept = BiasConcept.read(options.sets, options.neutral, directions=options.directions)
    found = examine_bias(
        options.vectors,
        concept,
        method=options.method,
        strength=options.strength,
        limit=options.limit,
    )
    if options.out:
        result = found.result
        save = result.save if isinstance(result, WordVectors) else result.save_pretrained
        save(options.out)
    if options.json:
        print(json.dumps(found.report.to_dict(), indent=2, ensure_ascii=False))
        return
    shares = ", ".join(f"{share:.2f}" for share in found.subspace.explained[:4])
    print(found.report.markdown())
    print(f"variance of the defining sets along their first directions: {shares}")
    if found.subspace.missing:
        lost = ", ".join(" ".join(words) for words in found.subspace.missing)
        print(f"sets without vectors: {lost}", file=sys.stderr)
    if options.out:
        print(f"written: {options.out}")


def _tour(options: argparse.Namespace) -> None:
    from vecsmith.core import VecsmithError
    from vecsmith.techniques.tour import STEPS, StepResult, run

    if options.list:
        print("\n".join(STEPS))
        return

    def told(name: str, result: StepResult) -> None:
        if options.json:
            return
        print(f"{name}: {result.title} ({result.seconds:.1f} s)")
        print(f"    {result.did}")
        for figure, value in result.figures.items():
            print(f"    {value:>10.4f}  {figure}")

    steps = tuple(options.step) or "all"
    results = run(steps, quick=options.quick, out=options.out, seed=options.seed, told=told)
    if options.json:
        rows = {
            name: {"figures": r.figures, "missed": r.missed, "seconds": r.seconds}
            for name, r in results.items()
        }
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif options.out:
        print(f"page: {options.out}/tour.md")
    missed = [f"{name}: {text}" for name, r in results.items() for text in r.missed]
    if missed:
        raise VecsmithError("floors were missed: " + "; ".join(missed))
