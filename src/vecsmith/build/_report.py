"""``report.html``: the evidence of a build on one page that needs nothing from outside.

The page's own security policy forbids every address, and allows only the one style sheet and the
one script that were written into it. All text of the collection is escaped.
"""

import base64
import datetime
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vecsmith.core import atomic_path, require, shown
from vecsmith.store import PassageTable

from ._charts import Axes, Bar, Line, bars, lines
from ._map import passage_map

METRICS = {"ndcg@10": "nDCG@10", "mrr@10": "MRR@10", "recall@10": "recall@10"}
RANKING_NAMES = {
    "bm25": "words (BM25)",
    "base": "base model",
    "base_hybrid": "base model + words",
    "adapted": "adapted model",
    "adapted_hybrid": "adapted model + words",
}
ORIGINS = {
    "heading": "headings",
    "link": "words of links",
    "pairs": "given",
    "summary": "docstrings and summaries",
}
_UNTOUCHED = ("bm25", "base", "base_hybrid")
CITATIONS = (
    "A. V. Solatorio: GISTEmbed: Guided In-sample Selection of Training Negatives for Text "
    "Embedding Fine-tuning, 2024 (guided negatives)",
    "Improving General Text Embedding Model: Tackling Task Conflict and Data Imbalance through "
    "Model Merging, 2024 (Self Positioning: place of the merged model between base and tuned)",
    "N. Rossi, J. Lin, F. Liu, Z. Yang, T. Lee, A. Magnani, C. Liao: Relevance Filtering for "
    "Embedding-based Retrieval, 2024 (cut-off)",
    "A. Kusupati et al.: Matryoshka Representation Learning, 2022 (vectors that can be cut short)",
)
_LISTED = 2_000


def write_report(report: dict[str, Any], table: PassageTable, folder: Path) -> None:
    """Write the report page of an index.

    Args:
        report: Content of ``report.json``.
        table: Passages of the index.
        folder: The index, with ``base/vectors.faiss`` in place.

    Raises:
        MissingExtra: jinja2 is not installed.
        StoreError: The vectors cannot be read.
    """
    page = render(report, passage_map(table, folder, report["shipped"]))
    with atomic_path(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render(report: Mapping[str, Any], points: Mapping[str, Any]) -> str:
    """Make the page.

    Args:
        report: Content of ``report.json``.
        points: Data of `passage_map`.

    Returns:
        HTML that can be encoded as UTF-8.
    """
    jinja2 = require("jinja2", "report")
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    environment.filters.update(
        num=number,
        size=size,
        duration=duration,
        percent=percent,
        ranking=ranking_name,
        chance=chance,
    )
    markup = require("markupsafe", "report").Markup
    style, script = ((here / f"report.{end}").read_text(encoding="utf-8") for end in ("css", "js"))
    charts = {name: _marked(value, markup) for name, value in _charts(report).items()}
    page = environment.get_template("report.html.j2").render(
        r=report,
        points=points,
        charts=charts,
        metrics=METRICS,
        verdict=verdict(report),
        table=ranking_table(report),
        breakdown=breakdown(report),
        skipped=group_skipped(report.get("skipped", [])),
        boilerplate=boilerplate(report),
        resumed=_steps_took(report["seconds"]) > 1.01 * report["seconds"]["total"],
        citations=CITATIONS,
        date=date(str(report.get("date", ""))),
        updated=date(str(report.get("updated", {}).get("date", ""))),
        style=markup(style),
        style_hash=_source_hash(style),
        script=markup(script),
        script_hash=_source_hash(script),
        data=markup(inline_json(points)),
    )
    return str(page)


def _marked(value: Any, markup: Any) -> Any:
    if isinstance(value, list):
        return [{**item, "svg": markup(item["svg"])} for item in value]
    return markup(value)


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def inline_json(value: Any) -> str:
    """Write JSON that can stand inside a script element.

    Args:
        value: Anything JSON holds.

    Returns:
        ASCII text without "<", ">" and "&".
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# Numbers -----------------------------------------------------------------------------------------


def number(value: float, digits: int = 0) -> str:
    """Format a number with commas between thousands."""
    return f"{value:,.{digits}f}".replace("-", "−")


def percent(value: float) -> str:
    """Format a share."""
    return f"{100 * value:.1f}%"


def size(value: float) -> str:
    """Format bytes."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} GiB"


def duration(seconds: float) -> str:
    """Format seconds."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def chance(p: float) -> str:
    """Format a p-value."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def date(text: str) -> str:
    """Format an ISO time; what is not one is shown as it is."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.strftime("%d %B %Y, %H:%M %Z").strip(" ,").lstrip("0")


def ranking_name(name: str) -> str:
    """Return the reader's words for a ranking."""
    return RANKING_NAMES.get(name, name)


# Content -----------------------------------------------------------------------------------------


def verdict(report: Mapping[str, Any]) -> dict[str, str]:
    """Say in a sentence what the held-out test queries show of what ships.

    Args:
        report: Content of ``report.json``.

    Returns:
        "kind" ("none", "gain", "loss" or "even") and "text".
    """
    test = report["judge"]["test"]
    if not test["queries"] or not test["rankings"]:
        return {
            "kind": "none",
            "text": "There were no held-out test queries, so nothing is known about how well this "
            "index finds things.",
        }
    shipped, best = test["shipped"], test["best_untouched"]
    named = f"the best ranking without training ({ranking_name(best)})"
    compared = test["against_best_untouched"]
    if shipped in _UNTOUCHED:
        tried = [name for name in test["rankings"] if name not in _UNTOUCHED]
        text = "Training gained nothing that counts" if tried else "No adapted model was made"
        if shipped == best:
            return {
                "kind": "even",
                "text": f"{text}: what ships is {named}, on validation and on the test queries.",
            }
        result = compared[shipped]["ndcg@10"]
        return {
            "kind": "loss" if result["verdict"] == "worse" else "even",
            "text": f"{text}: what ships is {ranking_name(shipped)}. On the test queries it "
            f"differs from {named} by {_signed(result)}: {result['verdict']}.",
        }
    result = compared[shipped]["ndcg@10"]
    if result["verdict"] == "better":
        return {"kind": "gain", "text": f"A gain: {_signed(result)} over {named}."}
    if result["verdict"] == "worse":
        return {"kind": "loss", "text": f"A loss: {_signed(result)} against {named}."}
    return {
        "kind": "even",
        "text": "Nothing was gained that the test queries can show: "
        f"{_signed(result)} against {named}.",
    }


def _signed(result: Mapping[str, Any]) -> str:
    low, high = result["ci95"]
    return (
        f"{_plus(result['difference'])} nDCG@10 (95% interval {_plus(low)} to {_plus(high)}, "
        f"{chance(result['p'])})"
    )


def _plus(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def ranking_table(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List every ranking with its means, intervals and comparison.

    Args:
        report: Content of ``report.json``.

    Returns:
        "name", "shipped", "best" and "cells" (mean, interval, comparison) a ranking.
    """
    test = report["judge"]["test"]
    rows = []
    for name, scores in test["rankings"].items():
        compared = test["against_best_untouched"].get(name, {})
        cells = []
        for metric in METRICS:
            low, high = scores[metric]["ci95"]
            cell = {"mean": f"{scores[metric]['mean']:.3f}", "interval": f"{low:.3f} to {high:.3f}"}
            if metric in compared:
                result = compared[metric]
                cell["difference"] = _plus(result["difference"])
                cell["verdict"] = result["verdict"]
            cells.append(cell)
        rows.append(
            {
                "name": name,
                "shipped": name == test["shipped"],
                "best": name == test["best_untouched"],
                "cells": cells,
            }
        )
    return rows


def breakdown(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List nDCG@10 by copy of the index and by origin of the queries.

    Args:
        report: Content of ``report.json``.

    Returns:
        "name", "queries" and "means" (one a ranking) of each part.
    """
    test = report["judge"]["test"]
    rankings = list(test["rankings"])
    rows = [
        {"name": f"all, {name}", "queries": test["queries"], "means": [means[n] for n in rankings]}
        for name, means in test.get("by_view", {}).items()
    ]
    for origin, part in test.get("by_origin", {}).items():
        means = [part[name] for name in rankings]
        rows.append({"name": ORIGINS[origin], "queries": part["queries"], "means": means})
    return rows


def group_skipped(skipped: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Group what was left out by reason.

    Args:
        skipped: Path and reason of each.

    Returns:
        "reason", "count", "paths" (at most 2,000) and "more"; most frequent first.
    """
    grouped: dict[str, list[str]] = defaultdict(list)
    for path, reason in skipped:
        grouped[reason].append(path)
    return [
        {
            "reason": reason,
            "count": len(paths),
            "paths": sorted(paths)[:_LISTED],
            "more": max(0, len(paths) - _LISTED),
        }
        for reason, paths in sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def boilerplate(report: Mapping[str, Any]) -> dict[str, Any]:
    """Sum up the repeated blocks that were dropped.

    Args:
        report: Content of ``report.json``.

    Returns:
        "blocks", "documents" and "top" (path and blocks of the twenty with most).
    """
    dropped = {path: n for path, n in report["read"].get("boilerplate", {}).items() if n}
    top = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))[:20]
    return {"blocks": sum(dropped.values()), "documents": len(dropped), "top": top}


# Charts ------------------------------------------------------------------------------------------


def _charts(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rankings": _ranking_charts(report["judge"]["test"]),
        "training": _training_charts(report["train"]),
        "cutoff": _cutoff_charts(report["judge"]["cutoff"]),
        "fusion": _fusion_charts(report["judge"]),
        "pairs": _counts(report["pairs"]["pairs"], "Training pairs by kind"),
        "seconds": _seconds(report["seconds"]),
    }


def _ranking_charts(test: Mapping[str, Any]) -> list[dict[str, str]]:
    charts = []
    for metric, title in METRICS.items() if test["rankings"] else ():
        rows = []
        for name, scores in test["rankings"].items():
            mean, (low, high) = scores[metric]["mean"], scores[metric]["ci95"]
            label = ranking_name(name) + (" · ships" if name == test["shipped"] else "")
            rows.append(Bar(label, mean, f"{mean:.3f}", low, high, name == test["shipped"]))
        told = "; ".join(
            f"{r.label} {r.text}, interval {r.low:.3f} to {r.high:.3f}" for r in rows
        )  # fmt: skip
        svg = bars(rows, title=f"{title} on the test queries", description=told, top=1.0)
        charts.append({"title": title, "svg": svg})
    return charts


def _training_charts(train: Mapping[str, Any]) -> list[dict[str, str]]:
    if not train.get("trained"):
        return []
    losses = [(row["step"], row["loss"]) for row in train["loss"]]
    scores = [(row["step"], row["mrr@10"]) for row in train["curve"]]
    best = next((p for p in scores if p[0] == train["best_step"]), None)
    charts = []
    for title, line, axes in (
        ("Loss by step", Line("loss", losses), Axes("step", "loss")),
        ("Validation MRR@10 by step", Line("MRR@10", scores, best), Axes("step", "MRR@10")),
    ):
        if line.points:
            told = f"From {line.points[0][1]:.3f} to {line.points[-1][1]:.3f}"
            svg = lines([line], axes, title=title, description=told)
            charts.append({"title": title, "svg": svg})
    return charts


def _cutoff_charts(cutoff: Mapping[str, Any]) -> list[dict[str, str]]:
    curve = cutoff.get("test", {}).get("curve")
    if not curve:
        return []
    tau = cutoff["tau"]
    found = {key: [(p["tau"], p[key]) for p in curve] for key in curve[0] if key != "tau"}
    told = f"Chosen threshold {tau:.3f} for {cutoff['target']}"
    rule = {"rule": tau, "rule_name": f"threshold {tau:.3f}"}
    shares = lines(
        [Line("precision", found["precision"]), Line("recall", found["recall"])],
        Axes("threshold", "share", **rule, y_from=0.0, y_to=1.0),
        title="Precision and recall",
        description=told,
    )
    counts = lines(
        [Line("passages", found["per_query"])],
        Axes("threshold", "passages a query", **rule, y_from=0.0),
        title="Passages a query",
        description=told,
    )
    return [
        {"title": "Precision and recall", "svg": shares},
        {"title": "Passages kept a query", "svg": counts},
    ]


def _fusion_charts(judged: Mapping[str, Any]) -> list[dict[str, str]]:
    charts = []
    for name, grid in judged.get("grids", {}).items():
        if not grid:
            continue
        chosen = judged["fusions"][name]
        series = []
        for method in dict.fromkeys(row["method"] for row in grid):
            points = [(row["weight"], row["ndcg@10"]) for row in grid if row["method"] == method]
            at = next((p for p in points if p[0] == chosen["weight"]), None)
            series.append(Line(method, points, at if method == chosen["method"] else None))
        told = f"Chosen: {chosen['method']}, weight {chosen['weight']:g}"
        title = ranking_name(name)
        axes = Axes("weight of the vectors", "nDCG@10")
        svg = lines(series, axes, title=f"Fusion of {title}", description=told)
        charts.append({"title": title, "note": told, "svg": svg})
    return charts


def _counts(counts: Mapping[str, int], title: str) -> str:
    rows = [Bar(name, n, number(n)) for name, n in sorted(counts.items(), key=lambda i: -i[1])]
    # A tenth less than the full width leaves room for the number.
    top = 1.1 * max((row.value for row in rows), default=0)
    told = "; ".join(f"{row.label} {row.text}" for row in rows)
    return bars(rows, title=title, description=told, top=top) if rows else ""


def _steps_took(seconds: Mapping[str, float]) -> float:
    return sum(spent for name, spent in seconds.items() if name != "total")


def _seconds(seconds: Mapping[str, float]) -> str:
    rows = [
        Bar(name.replace("_", " "), spent, duration(spent))
        for name, spent in seconds.items()
        if name != "total"
    ]
    top = 1.1 * max((row.value for row in rows), default=0)
    told = "; ".join(f"{row.label} {row.text}" for row in rows)
    return bars(rows, title="Time by step", description=told, top=top) if rows else ""
