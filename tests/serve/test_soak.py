"""Overload in short: what `benchmarks/serve_soak.py` checks for ten minutes, for seconds."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def real_index(command, tmp_path_factory):
    """A small index with a model of real size: with a tiny one, HTTP alone would be the limit."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "source").mkdir()
    for name in ("valve", "pump", "motor"):
        text = f"# {name.title()}\n\nThe {name} is cleaned with a soft cloth every week.\n"
        (folder / "source" / f"{name}.md").write_text(text, "utf-8")
    flags = ("--out", folder / "index", "--budget", "0s", "--backend", "f32")
    run = command("build", folder / "source", *flags)
    assert run.returncode == 0, run.stderr
    return folder / "index"


@pytest.mark.slow
def test_twice_the_load_is_answered_or_refused_and_nothing_else(real_index, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from serve_soak import soak

    tokenizer = real_index / "base" / "encoder" / "tokenizer.json"
    small = ("--queue-tokens", "4096", "--queue-searches", "16")
    found = soak(real_index, tokenizer, seconds=5, measured=2, most_texts=300, options=small)
    # Memory and the share of what is accepted are for the ten minutes to tell: the cache is
    # filling still, and a busy machine carries less in one second than in the next.
    checks = {name: found["checks"][name] for name in ("statuses", "answered", "retry_after")}
    assert all(checks.values()), checks
    assert {status.split()[1] for status in found["overload"]["statuses"]} == {"200", "429"}
