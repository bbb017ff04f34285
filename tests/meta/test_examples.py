"""Examples of the pages run as they stand."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDES = (
    ROOT / "docs" / f"{name}.md"
    for name in (
        "bias",
        "formulas",
        "graphs",
        "indexes",
        "knowledge",
        "merging",
        "tables",
        "taxonomies",
        "techniques",
        "train",
        "words",
    )
)
PAGES = sorted([*(ROOT / "docs" / "systems").glob("*.md"), *GUIDES])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


@pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")  # of hosts without accelerator
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_examples_of_a_page_run(page, tmp_path, monkeypatch):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks, f"{page.name} has no example"
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
