import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORDS = (
    "valve pump filter sensor cable panel socket bracket spring gear belt motor relay switch "
    "fuse boiler turbine piston gasket nozzle flange rotor stator coil magnet battery charger "
    "inverter antenna receiver amplifier speaker display keyboard printer scanner router "
    "modem server "
).split()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Sixty small Markdown documents that link to one another."""
    root = tmp_path_factory.mktemp("corpus")
    for number in range(60):
        thing, other = WORDS[number % len(WORDS)], WORDS[(number * 7 + 3) % len(WORDS)]
        name = f"{thing} model {number}"
        target = (number * 11 + 5) % 60
        link = f"[{WORDS[target % len(WORDS)]} model {target}](part{target}.md)"
        text = (
            f"# {name.title()}\n\nThe {name} joins a {other} to the main frame. It is of steel "
            f"number {number} and weighs {number * 3} grams. See also the {link}.\n\n"
            f"## Mounting the {thing} {number}\n\nTurn the {other} by {number} degrees until the "
            f"{thing} clicks. Use {number + 2} bolts, and tighten them crosswise with a wrench.\n\n"
            f"## Care of the {thing} {number}\n\nClean the {thing} every {number + 1} weeks with a "
            f"soft cloth; never use solvent near the {other}. Replace it when it is worn out.\n"
        )
        (root / f"part{number}.md").write_text(text, "utf-8")
    return root


@pytest.fixture(scope="session")
def tiny(tiny_model) -> str:
    """Folder of a random two-layer encoder of 32 dimensions."""
    return str(tiny_model)


@pytest.fixture(scope="session")
def command():
    """Run the command line in a process of its own."""

    def run(*words: object, wait: bool = True):
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "false"}
        process = subprocess.Popen(
            [sys.executable, "-m", "vecsmith.cli", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        if not wait:
            return process
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def built(corpus, tiny, command, tmp_path_factory) -> Path:
    """An index with an adapted model, built once for all tests of this folder."""
    out = tmp_path_factory.mktemp("built") / "index"
    run = command(
        "build",
        corpus,
        "--out",
        out,
        "--model",
        tiny,
        "--steps",
        4,
        "--batch-size",
        16,
        "--backend",
        "f32",
        "--debug",
    )
    assert run.returncode == 0, run.stderr
    return out


@pytest.fixture(scope="session")
def index_content():
    """Function of an index folder: what two equal indexes have in common."""
    return _content


def _content(folder: Path) -> dict:
    import numpy as np

    from vecsmith.store import PassageTable, load_vectors, reconstruct

    manifest = json.loads((folder / "manifest.json").read_text())
    with PassageTable(folder / "passages.sqlite") as table:
        passages = list(table.passages())
    vectors = {}
    for name in manifest["stamps"]:
        index = load_vectors(folder / name / "vectors.faiss")
        vectors[name] = reconstruct(index, np.arange(index.ntotal))
    stamps = {name: stamp["weights"] for name, stamp in manifest["stamps"].items()}
    return {
        "passages": passages,
        "vectors": vectors,
        "weights": stamps,
        "shipped": manifest["shipped"],
        "fusions": manifest["fusions"],
        "listing": manifest["listing"],
    }
