"""The OpenAPI document against the server: every answer is documented, none is above 499."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ("--phases", "coverage"),
        # What no schema can say, such as two dates in the wrong order, may be refused.
        ("--phases", "fuzzing,stateful", "--exclude-checks", "positive_data_acceptance"),
    ],
    ids=["coverage", "fuzzing"],
)
def test_schemathesis_finds_nothing(server, tmp_path, flags):
    """A part of the cases; `make bench` runs more of them (VECSMITH_CASES)."""
    cases = os.environ.get("VECSMITH_CASES", "12")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
            *("--max-examples", cases, "--seed", "1", "--no-color", *flags),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout[-6000:]


def test_the_document_needs_nothing_from_outside(client):
    found = client.get("/openapi.json").json()
    statuses = {
        status
        for path in found["paths"].values()
        for m in path.values()
        for status in m["responses"]
    }
    assert "422" not in statuses and {"400", "429", "503", "504"} <= statuses
    page = client.get("/docs")
    assert "https://" not in page.text and "http://" not in page.text
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
        assert client.get(f"/docs/{name}").status_code == 200
