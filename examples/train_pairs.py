"""Train an encoder on pairs of your own: the doctor's report, the run, the scores.

Usage: python examples/train_pairs.py [PAIRS.jsonl]   (rows {"query": …, "answer": …})

Without a file it trains on two hundred synonyms of the Human Phenotype Ontology.
"""

import json
import sys
import tempfile
from pathlib import Path

from vecsmith.recipe import config_from, train
from vecsmith.train.doctor import report_text


def sample(path: Path) -> Path:
    """Write some real pairs."""
    from vecsmith.data.samples import load_hpo

    rows = [(s, row["name"]) for row in load_hpo().select(range(600)) for s in row["exact"][:1]]
    lines = [json.dumps({"query": synonym, "answer": name}) for synonym, name in rows[:200]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Train and tell."""
    folder = Path(tempfile.mkdtemp())
    pairs = Path(sys.argv[1]) if len(sys.argv) > 1 else sample(folder / "pairs.jsonl")
    config = config_from(
        {
            "data": str(pairs),
            "out": str(folder / "run"),
            "objective": "gte+duplicates+matryoshka",
            "batch_size": 32,
            "epochs": 3,
            "checks": 3,
            "evaluate": "simlex999",
        }
    )
    report = train(config, examined=lambda findings: print(report_text(findings)))
    for score in report.scores:
        print(
            f"{score.name}: {score.value.mean:.3f}, base {score.against.mean:.3f}: {score.verdict}"
        )
    print(f"saved: {report.model}; SentenceTransformer({str(report.model)!r}) loads it")


if __name__ == "__main__":
    main()
