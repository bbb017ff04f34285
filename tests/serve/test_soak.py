"""Overload in short: what `benchmarks/serve_soak.py` checks for ten minutes, for seconds."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_twice_the_load_is_answered_or_refused_and_nothing_else(index, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from serve_soak import soak

    tokenizer = index / "base" / "encoder" / "tokenizer.json"
    small = ("--queue-tokens", "4096", "--queue-searches", "16")
    found = soak(index, tokenizer, seconds=6, measured=2, most_texts=300, options=small)
    held = {name: ok for name, ok in found["checks"].items() if name != "flat"}
    # The memory is that of a cache which is filling still; ten minutes tell more.
    assert all(held.values()), held
    assert any("429" in status for status in found["overload"]["statuses"])
