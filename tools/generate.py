"""Write the parts of README and docs that come from code and stored results, or check them.

Usage: generate.py [--check]
"""

import argparse
import sys
from pathlib import Path

from vecsmith.claims import claims_table
from vecsmith.core import read_json
from vecsmith.systems import SYSTEMS

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
            measured = (
                f"{verdict}: {result['effect']:+.3f} {result['metric']} ({low:+.3f} to {high:+.3f})"
            )
        rows.append(f"| [{slug}]({prefix}{slug}.md) | `{system.import_line}` | {measured} |")
    return "\n".join(rows)


def filled(text: str, name: str, content: str) -> str:
    """Replace what stands between the marks of a generated part."""
    begin, end = BEGIN.format(name), END.format(name)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def wanted() -> dict[Path, str]:
    """Content that each file should have."""
    readme = ROOT / "README.md"
    claims = (
        "# Claims\n\nWhat each system's paper found, measured here against the paper's own "
        "baseline by `vecsmith claims run SLUG`.\n\n" + claims_table(ROOT / "docs" / "claims")
    )
    index = "# Systems\n\n" + systems_table("systems/") + "\n"
    readme_text = filled(readme.read_text("utf-8"), "systems", systems_table("docs/systems/"))
    return {
        readme: readme_text,
        ROOT / "docs" / "claims.md": claims,
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
