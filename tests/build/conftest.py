"""What equal indexes have in common."""

import json
from pathlib import Path

import pytest


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
