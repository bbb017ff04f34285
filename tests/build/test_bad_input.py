"""What goes wrong with sources, disks and targets: a sentence, the right exit status, no loss."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest

from vecsmith.build import BuildSettings, build, update
from vecsmith.build import _build as steps

VECSMITH = [sys.executable, "-m", "vecsmith.cli"]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def hostile(tmp_path):
    """Good files with odd names among everything that cannot be read."""
    root = tmp_path / "source"
    write(root / "ümlaut 😀 name.md", b"# Emoji\n\nThe zyxwv valve is here.\n")
    write(root / "a b" / "new\nline.md", b"# Newline\n\nThe qwert pump is here.\n")
    write(root / "latin.txt", "Der Käse läuft über den Zaun.\n".encode("latin-1"))
    write(root / "lines.jsonl", b'{"text": "good rotor"}\n{broken\n{"text": "second stator"}\n')
    write(root / "broken.html", b"<html><body><p>unclosed <b>bold <i>gaskets")
    write(root / "broken.pdf", b"%PDF-1.4 broken")
    write(root / "binary.txt", b"\x00\x01\x02\xff\xfe\x00bin")
    write(root / "empty.md", b"")
    (root / "a b" / "loop").symlink_to("..")
    (root / "dangling.md").symlink_to("/nonexistent")
    return root


def test_a_hostile_folder_is_read_as_far_as_it_goes(hostile, tiny, command, tmp_path):
    out = tmp_path / "index"
    run = command("build", hostile, "--out", out, "--model", tiny, "--steps", 0, "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["read"]["documents"] == 5
    reasons = dict(report["skipped"])
    assert set(reasons) == {
        "a b/loop",
        "binary.txt",
        "broken.pdf",
        "dangling.md",
        "empty.md",
        "lines.jsonl",
    }
    assert "line 2" in reasons["lines.jsonl"] and "binary" in reasons["binary.txt"]
    for word, path in (("qwert", "a b/new\nline.md"), ("zyxwv", "ümlaut 😀 name.md")):
        found = command("search", out, word, "--ranking", "bm25", "--all", "--json")
        assert json.loads(found.stdout)["hits"][0]["path"] == path


@pytest.mark.parametrize("kilobytes", [100, 180])
def test_a_full_disk_is_told_and_the_old_index_stays(kilobytes, tiny, tmp_path):
    # A limit on the size of a file stands for a full disk: the same write fails in the same way.
    source, out = tmp_path / "source", tmp_path / "index"
    for number in range(200):
        words = f"valve{number} pump{number} " * 60
        write(source / f"f{number}.md", f"# T{number}\n\n{words}.\n".encode())
    out.mkdir()
    write(out / "manifest.json", b'{"format": 1, "vecsmith": "0.1.0"}')
    words = [*VECSMITH, "build", source, "--out", out, "--model", tiny, "--steps", 0]
    limited = f"ulimit -f {kilobytes}; exec {shlex.join(map(str, words))}"
    run = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=120)
    assert run.returncode == 2, run.stderr
    assert "free space and run again" in run.stderr and "Traceback" not in run.stderr
    assert [path.name for path in out.iterdir()] == ["manifest.json"]


def test_a_target_that_cannot_be_written_is_told(corpus, tiny, command, tmp_path):
    write(tmp_path / "file", b"no folder")
    run = command("build", corpus, "--out", tmp_path / "file" / "index", "--model", tiny)
    assert run.returncode == 2
    assert "choose an --out in a folder that can be written" in run.stderr


@pytest.mark.parametrize("kilobytes", [450_000, 700_000])
def test_running_out_of_memory_is_told(kilobytes, corpus, tiny, tmp_path):
    words = [*VECSMITH, "build", corpus, "--out", tmp_path / "index", "--model", tiny]
    limited = f"ulimit -v {kilobytes}; exec {shlex.join(map(str, words))}"
    run = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=120)
    assert run.returncode == 2, run.stderr
    assert "memory ran out" in run.stderr
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("cut_off_in", ["read_source", "make_split"])
def test_a_source_that_changes_during_a_build_is_told(
    cut_off_in, corpus, tiny, tmp_path, monkeypatch, caplog
):
    source = tmp_path / "source"
    shutil.copytree(corpus, source)
    settings = BuildSettings(str(source), str(tmp_path / "index"), tiny, steps=0)
    whole = getattr(steps, cut_off_in)

    def cut_off(*given, **named):
        whole(*given, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, cut_off_in, cut_off)
    with pytest.raises(KeyboardInterrupt):
        build(settings)
    monkeypatch.setattr(steps, cut_off_in, whole)
    (source / "part3.md").unlink()
    report = build(settings).report
    assert "the source changed since" in caplog.text
    # Reading that was cut off begins anew; what had been read is kept, and update sees the rest.
    assert report["read"]["documents"] == (59 if cut_off_in == "read_source" else 60)
    assert update(tmp_path / "index")["documents"] == 59
