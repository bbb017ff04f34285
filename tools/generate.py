"""Write the parts of README and docs that come from code and stored results, or check them.

Usage: generate.py [--check]
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from vecsmith.claims import claims_table
from vecsmith.core import read_json
from vecsmith.systems import SYSTEMS
from vecsmith.techniques import table as techniques_table

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- generated: {} -->", "<!-- end of generated: {} -->"


def systems_table(prefix: str) -> str:
    """Table of systems with their last measured result."""
    rows = ["| system | import | measured effect (95% interval) |", "|---|---|---|"]
    for slug, system in SYSTEMS.items():
        path = ROOT / "docs" / "claims" / f"{slug}.json"
        result = read_json(path) if path.exists() else None
        measured = "not measured yet"
        if result:
            low, high = result["ci95"]
            verdict = "holds" if result["holds"] else "does not hold"
            # a bar would end the cell
            metric = result["metric"].replace("|", "&#124;")
            measured = f"{verdict}: {result['effect']:+.3f} {metric} ({low:+.3f} to {high:+.3f})"
        rows.append(f"| [{slug}]({prefix}{slug}.md) | `{system.import_line}` | {measured} |")
    return "\n".join(rows)


def headline(result: dict[str, Any]) -> str:
    """What a claim's stored result says: verdict, both sides, effect and interval."""
    if not result:
        return "Not measured yet."
    low, high = result["ci95"]
    sides = [
        f"{sum(side['values']) / len(side['values']):.4f} with {side['name']}"
        for side in (result["baseline"], result["system"])
    ]
    kind, sign = ("Ratio", "") if result["effect_kind"] == "ratio" else ("Difference", "+")
    effect, low_text, high_text = (f"{value:{sign}.4f}" for value in (result["effect"], low, high))
    notes = "".join(f"\nNote: {note}." for note in result.get("notes", []))
    return (
        f"**The claim {'holds' if result['holds'] else 'does not hold'}.** "
        f"Metric: {result['metric']}. {sides[0]}; {sides[1]}.\n"
        f"**{kind} {effect}, 95% interval {low_text} to {high_text}**, "
        f"{len(result['system']['values'])} seeds.\n"
        f"Measured on {result['date']} in {result['seconds']:.0f} s ({result['hardware']}).{notes}"
    )


def measured() -> str:
    """Tables of what the benchmarks measured, with targets."""
    rows = [
        "| corpus, real queries | ships | best untouched, nDCG@10 | shipped, nDCG@10 | difference "
        "(95% interval) | build |",
        "|---|---|---|---|---|---|",
    ]
    jobs = _result("main_job")
    for name, job in jobs.items():
        scores = {n: r["ndcg@10"]["mean"] for n, r in job["real_queries"]["rankings"].items()}
        best = max(("bm25", "base", "base_hybrid"), key=lambda n: scores[n])
        compared, shipped = job["real_queries"]["comparison"], job["real_queries"]["shipped"]
        low, high = compared["ci95"]
        rows.append(
            f"| {name}: {job['passages']:,} passages, {job['real_queries']['queries']} queries "
            f"| {shipped} | {best} {scores[best]:.3f} | {scores[shipped]:.3f} "
            f"| {compared['difference']:+.3f} ({low:+.3f} to {high:+.3f}) "
            f"| {job['build_s'] / 60:.1f} min, {job['peak_memory_mb'] / 1000:.1f} GB |"
        )
    rows += ["", "| what | measured | target |", "|---|---|---|"]
    start, coding, serving = _result("startup"), _result("encoding"), _result("serving")
    if start:
        rows.append(f"| `vecsmith --help` | {start['help_s']:.2f} s | 0.5 s |")
    if coding:
        fast, scores = coding["speed_up"], coding["ndcg@10"]
        best = max(fast, key=lambda n: fast[n])
        loss = 1 - scores[best] / scores["sentence-transformers"]
        rows.append(
            f"| encoding in fp32, `SentenceTransformer.encode` = 1 | {fast['f32']:.2f} | 1.2 |"
        )
        rows.append(
            f"| encoding in {best}, nDCG@10 changed by {-loss:+.1%} | {fast[best]:.2f} | 3 |"
        )
    if serving:
        search, update = serving["search"], serving["update"]
        rows += [
            f"| hybrid search, warm, {search['passages']:,} passages, median "
            f"| {search['warm_ms']['median']:.0f} ms | 40 ms |",
            f"| `vecsmith search`, cold | {search['cold_s']['median']:.1f} s | 4 s |",
            f"| `vecsmith update`, one changed file of {update['documents']} "
            f"| {update['seconds']:.1f} s | 5 s + encoding |",
        ]
    return "\n".join([*rows, *_served()])


def _served() -> list[str]:
    """Rows of the server: against its peer, and under too much load."""
    rows = []
    against, soak = _result("serve").get("against", {}), _result("serve_soak")
    for name, found in against.items():
        cells = [
            v for cell, v in found["infinity onnx"].items() if cell.endswith(("client", "clients"))
        ]
        ratios, waits = ([c[key] for c in cells] for key in ("texts_per_second", "p95_ms"))
        shown = " / ".join(f"{ratio:.2f}" for ratio in ratios)
        rows.append(
            f"| embeddings served in {name.split()[-1]} to 1 / 8 / 32 clients, infinity-emb (ONNX, "
            f"fp32) = 1; p95 at most {max(waits):.2f} of its | {shown} | 1.3 |"
        )
    if soak:
        statuses = soak["overload"]["statuses"]
        count = {
            n: sum(v for s, v in statuses.items() if s.split()[1] == n) for n in ("200", "429")
        }
        kept = soak["memory"]
        growth = kept["second_half_max_mib"] / kept["first_half_max_mib"] - 1
        other = sum(statuses.values()) - sum(count.values()) + soak["overload"]["unanswered"]
        rows.append(
            f"| {soak['seconds'] / 60:.0f} minutes at twice the load: answered {count['200']:,}, "
            f"told to wait {count['429']:,}; anything else | {other} | 0 |"
        )
        rows.append(f"| memory in its second half against the first | {growth:+.1%} | 2% |")
    return rows


def _result(name: str, folder: str = "benchmarks") -> dict[str, Any]:
    path = ROOT / "docs" / folder / f"{name}.json"
    return read_json(path) if path.exists() else {}


def filled(text: str, name: str, content: str) -> str:
    """Replace what stands between the marks of a generated part."""
    begin, end = BEGIN.format(name), END.format(name)
    if not 0 <= text.find(begin) < text.find(end):
        raise ValueError(f"the text should hold the marks {begin!r} and {end!r}; put them in")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def wanted() -> dict[Path, str]:
    """Content that each file should have."""
    readme = ROOT / "README.md"
    techniques = ROOT / "docs" / "techniques.md"
    claims = (
        "# Claims\n\nWhat each system's paper found, measured here against the paper's own "
        "baseline by `vecsmith claims run SLUG`.\n\n" + claims_table(ROOT / "docs" / "claims")
    )
    index = "# Systems\n\n" + systems_table("systems/") + "\n"
    readme_text = filled(readme.read_text("utf-8"), "systems", systems_table("docs/systems/"))
    readme_text = filled(readme_text, "measured", measured())
    pages = {slug: ROOT / "docs" / "systems" / f"{slug}.md" for slug in SYSTEMS}
    return {
        **{
            page: filled(page.read_text("utf-8"), "headline", headline(_result(slug, "claims")))
            for slug, page in pages.items()
        },
        readme: readme_text,
        ROOT / "docs" / "claims.md": claims,
        techniques: filled(techniques.read_text("utf-8"), "techniques", techniques_table()),
        ROOT / "docs" / "systems.md": index,
    }


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for path, text in wanted().items():
        if path.exists() and path.read_text("utf-8") == text:
            continue
        if check:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale; run tools/generate.py\n")
            stale = 1
        else:
            path.write_text(text, "utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
