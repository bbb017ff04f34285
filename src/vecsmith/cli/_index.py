"""Commands of an index: build, search, update, eval."""

import argparse
import datetime
import json
import sys
from typing import Any

# The ways of searching that `vecsmith.store.MODES` names, without loading that room.
MODES = ("lexical", "vector", "hybrid")


def _typed(kind: Any, check: Any, wanted: str) -> Any:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not check(value):
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value

    return parse


positive = _typed(int, lambda value: value >= 1, "a whole number of at least 1")
not_negative = _typed(int, lambda value: value >= 0, "a whole number of at least 0")
_day = _typed(datetime.date.fromisoformat, lambda value: True, "a day such as 2026-01-31")
positive_number = _typed(float, lambda value: 0 <= value < 1e9, "a number of at least 0")
_share = _typed(float, lambda value: 0 < value < 1, "a number between 0 and 1")


def add_commands(verbs: Any, shared: argparse.ArgumentParser) -> None:
    """Add the commands of this file.

    Args:
        verbs: Sub-parsers.
        shared: Flags of every command.
    """
    form = argparse.ArgumentDefaultsHelpFormatter
    _add_build(verbs, shared, form)
    search = verbs.add_parser(
        "search", parents=[shared], help="find passages", formatter_class=form
    )
    search.add_argument("dir", metavar="DIR", help="the index")
    search.add_argument("query", help="what to look for")
    search.add_argument("-k", "--top-k", type=positive, default=10, help="passages at most")
    search.add_argument("--all", action="store_true", help="also show what fails the cut-off")
    search.add_argument("--ranking", default=None, help="another ranking than the shipped one")
    search.add_argument("--mode", choices=MODES, default=None, help="another way of searching")
    search.add_argument(
        "--path", action="append", default=[], help="folder, file or pattern; may be repeated"
    )
    search.add_argument("--kind", action="append", default=[], help="kind of file; as --path")
    search.add_argument("--after", type=_day, default=None, help="first day of last change")
    search.add_argument("--before", type=_day, default=None, help="last day of last change")
    search.set_defaults(run=_search)
    update = verbs.add_parser(
        "update", parents=[shared], help="read what changed in the source", formatter_class=form
    )
    update.add_argument("dir", metavar="DIR", help="the index")
    update.add_argument("--source", default=None, help="the source, if it has moved")
    update.set_defaults(run=_update)
    migrate = verbs.add_parser(
        "migrate",
        parents=[shared],
        help="move an index to another model while it goes on answering",
        formatter_class=form,
    )
    migrate.add_argument("dir", metavar="DIR", help="the index")
    migrate.add_argument("--model", default=None, help="the new model; default: the one begun")
    migrate.add_argument("--sample", type=positive, default=4000, help="passages to fit the map on")
    migrate.add_argument(
        "--map-only", action="store_true", help="stop when mapped vectors serve; encode later"
    )
    migrate.set_defaults(run=_migrate)
    advise = verbs.add_parser(
        "advise",
        parents=[shared],
        help="measure kinds of vector index on an index's own vectors, and choose",
        formatter_class=form,
    )
    advise.add_argument("dir", metavar="DIR", help="the index")
    advise.add_argument("--recall", type=_share, default=0.95, help="wanted part of the first ten")
    advise.add_argument("--bytes", type=positive, default=None, help="bytes a passage at most")
    advise.add_argument("--ms", type=positive_number, default=None, help="milliseconds at most")
    advise.add_argument("--sample", type=positive, default=50_000, help="passages to measure on")
    advise.add_argument("--plot", default=None, help="picture of the curve to write (.png, .svg)")
    advise.set_defaults(run=_advise)
    evaluate = verbs.add_parser(
        "eval", parents=[shared], help="score an index on labelled queries", formatter_class=form
    )
    evaluate.add_argument("dir", metavar="DIR", help="the index")
    evaluate.add_argument(
        "--queries", required=True, help='JSONL: {"query": …, "documents": [path, …]}'
    )
    evaluate.set_defaults(run=_evaluate)


def _add_build(verbs: Any, shared: argparse.ArgumentParser, form: Any) -> None:
    build = verbs.add_parser(
        "build",
        parents=[shared],
        help="make a search engine from a folder of documents",
        formatter_class=form,
    )
    build.add_argument("source", metavar="SOURCE", help="folder or file to read")
    build.add_argument("--out", required=True, help="folder of the index")
    build.add_argument(
        "--model",
        default="sentence-transformers/all-MiniLM-L6-v2",
        help="hub id or folder of the model to start from",
    )
    build.add_argument("--pairs", default=None, help="JSONL with your own queries and documents")
    build.add_argument("--guide", default=None, help="stronger model that filters negatives")
    build.add_argument("--budget", default="5m", help="training time, such as 90s or 5m")
    build.add_argument("--steps", type=not_negative, default=None, help="training steps, not time")
    build.add_argument("--dims", type=positive, default=None, help="leading dimensions to keep")
    build.add_argument("--precision", type=_share, default=None, help="wanted share of right hits")
    build.add_argument("--int8", action="store_true", help="keep vectors in 8 bits")
    build.add_argument(
        "--quantise",
        choices=("auto", "learned", "none"),
        default="auto",
        help="codes that learn to find candidates; auto: above 50,000 passages",
    )
    build.add_argument("--lora", action="store_true", help="train low-rank adapters only")
    build.add_argument(
        "--backend",
        choices=("auto", "f32", "bf16", "int8"),
        default="auto",
        help="encoding precision; auto measures",
    )
    build.add_argument("--max-tokens", type=positive, default=200, help="tokens of a passage")
    build.add_argument("--batch-size", type=positive, default=32, help="pairs of a training step")
    build.add_argument("--seed", type=not_negative, default=0, help="seed of everything random")
    build.set_defaults(run=_build)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _build(options: argparse.Namespace) -> None:
    from vecsmith.build import BuildSettings, build, parse_duration

    settings = BuildSettings(
        source=options.source,
        out=options.out,
        model=options.model,
        pairs=options.pairs,
        guide=options.guide,
        budget_s=parse_duration(options.budget),
        steps=options.steps,
        dims=options.dims,
        precision=options.precision,
        int8=options.int8,
        quantise=options.quantise,
        lora=options.lora,
        backend=options.backend,
        max_tokens=options.max_tokens,
        batch_size=options.batch_size,
        seed=options.seed,
    )
    result = build(settings)
    if options.json:
        _print_json({"out": str(result.out), **result.report})
        return
    read, judged = result.report["read"], result.report["judge"]
    print(
        f"read {read['documents']} documents, {read['passages']} passages; "
        f"skipped {read['skipped']} (listed in the report)"
    )
    test = judged["test"]
    if test["queries"]:
        print(f"\nheld-out queries: {test['queries']}")
        _print_rankings(test["rankings"], test["shipped"])
        gain = test["against_best_untouched"].get(test["shipped"])
        if gain:
            _print_comparison(test["shipped"], test["best_untouched"], gain["ndcg@10"])
    print(f"\nships {result.report['shipped']}: {judged['chosen']['reason']}")
    seconds = result.report["seconds"]["total"]
    print(f"took {seconds:.0f} s, {result.report['peak_memory_mb']:.0f} MB at most")
    print(f"report: {result.out / 'report.html'}")
    print(f'search: vecsmith search {options.out} "your words"')


def _print_rankings(rankings: dict[str, Any], shipped: str) -> None:
    metrics = list(next(iter(rankings.values())))
    print(f"{'ranking':<16}" + "".join(f"{metric:>26}" for metric in metrics))
    for name, scores in rankings.items():
        cells = [
            f"{s['mean']:.3f} ({s['ci95'][0]:.3f} to {s['ci95'][1]:.3f})"
            for s in (scores[metric] for metric in metrics)
        ]
        mark = " *" if name == shipped else ""
        print(f"{name + mark:<16}" + "".join(f"{cell:>26}" for cell in cells))
    print("* ships; 95% intervals over queries")


def _print_comparison(system: str, baseline: str, gain: dict[str, Any]) -> None:
    low, high = gain["ci95"]
    print(
        f"{system} against {baseline}, nDCG@10: {gain['difference']:+.3f} "
        f"({low:+.3f} to {high:+.3f}), p = {gain['p']:.4f}: {gain['verdict']}"
    )


def _search(options: argparse.Namespace) -> None:
    from vecsmith.core import shown
    from vecsmith.store import Filter, Searcher

    searcher = Searcher(options.dir, ranking=options.ranking, mode=options.mode)
    wanted = Filter(tuple(options.path), tuple(options.kind), options.after, options.before)
    answer = searcher.search(options.query, k=options.top_k, keep_all=options.all, filter=wanted)
    if options.json:
        _print_json(answer.to_dict())
        return
    if answer.nothing_relevant:
        print("nothing relevant found" + ("" if options.all else "; --all shows the nearest"))
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("**", "**")
    for hit in answer.hits:
        # Names and texts may hold commands to the terminal.
        path = shown(hit.path)
        anchor = f"#{shown(hit.anchor)}" if hit.anchor else ""
        sure = "" if hit.probability is None else f"  p={hit.probability:.2f}"
        weak = "" if hit.relevant else "  (below the cut-off)"
        print(f"{hit.rank:>2}. {path}{anchor}  {hit.score:.3f}{sure}{weak}")
        print(f"    {shown(' > '.join(hit.headings))}")
        text, end = "", 0
        for start, stop in hit.highlights:
            text += shown(hit.snippet[end:start]) + bold + shown(hit.snippet[start:stop]) + plain
            end = stop
        print(f"    {text}{shown(hit.snippet[end:])}")


def _update(options: argparse.Namespace) -> None:
    from vecsmith.build import update

    result = update(options.dir, source=options.source)
    if options.json:
        _print_json(result)
    elif result["up_to_date"]:
        print(f"nothing changed: {result['documents']} documents, {result['passages']} passages")
    else:
        print(
            f"now {result['documents']} documents ({result['new']} new, "
            f"{result['changed']} changed, {result['deleted']} deleted), "
            f"{result['passages']} passages; "
            f"skipped {result['skipped']} (listed in the report)"
        )
        for name, counts in result["models"].items():
            print(f"{name}: {counts['encoded']} passages encoded, {counts['reused']} taken over")


def _migrate(options: argparse.Namespace) -> None:
    from vecsmith.build import migrate

    result = migrate(options.dir, options.model, sample=options.sample, map_only=options.map_only)
    if options.json:
        _print_json(result)
        return
    for step in result["history"]:
        held = f"{step['encoded']} of {result['passages']} passages encoded"
        if "overlap_at_10" in step:
            print(f"{held}: {100 * step['overlap_at_10']:.1f}% of the new model's first ten found")
        else:
            lost = 100 * step["mapped_overlap_at_10"]
            print(f"{held}; before, mapped vectors found {lost:.1f}% of its first ten")
    if not result["finished"]:
        print(f"mapped vectors serve; to encode: vecsmith migrate {options.dir}")


def _advise(options: argparse.Namespace) -> None:
    from vecsmith.store import Need, Store, advise_store

    need = Need(options.recall, options.bytes, options.ms)
    advice = advise_store(Store(options.dir), need, sample=options.sample)
    if options.plot:
        advice.plot(options.plot)
    if options.json:
        _print_json(advice.to_dict())
        return
    print(f"{'index':<28}{'settings':<28}{'recall':>8}{'bytes':>8}{'ms':>8}")
    for point in advice.points:
        dials = " ".join(f"{name}={value}" for name, value in point.settings.items())
        mark = " *" if point == advice.choice else ""
        print(
            f"{point.kind + mark:<28}{dials:<28}{point.recall:>8.3f}"
            f"{point.bytes_per_document:>8.0f}{point.ms_per_query:>8.3f}"
        )
    print(
        f"* to take (measured on {advice.documents} passages)"
        if advice.met
        else "* the nearest: none keeps every limit; lower --recall, or allow more bytes or time"
    )


def _evaluate(options: argparse.Namespace) -> None:
    from vecsmith.core import shown
    from vecsmith.evaluate import evaluate_index, read_queries
    from vecsmith.store import Store

    store = Store(options.dir)
    notes: list[str] = []
    queries = read_queries(
        options.queries,
        store.passages.document_ids(),
        skipped=notes.append,
        source=store.settings["source"],
        duplicates=store.passages.duplicates(),
    )
    for note in notes[:20]:
        print(f"queries: {shown(note)}", file=sys.stderr)
    if len(notes) > 20:
        print(f"queries: {len(notes) - 20} more such lines", file=sys.stderr)
    result = evaluate_index(store, queries)
    incomplete = sum(query.missing > 0 for query in queries)
    result["left_out"] = len(notes) - incomplete
    result["incomplete"] = incomplete
    if options.json:
        _print_json(result)
        return
    print(f"queries: {result['queries']}, left out: {result['left_out']}")
    _print_rankings(result["rankings"], result["shipped"])
    compared = result["comparison"]
    _print_comparison(compared["system"], compared["baseline"], compared)
