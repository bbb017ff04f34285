import errno
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vecsmith.cli import _from_environment, _parser, _told, main
from vecsmith.core import StoreError, write_checksums, write_json
from vecsmith.data import Passage, Skipped, SourceFile
from vecsmith.data.samples import PACKAGES
from vecsmith.store import PassageTable
from vecsmith.systems import SYSTEMS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An index of words alone, with a name and a heading of undecodable bytes."""
    folder = tmp_path_factory.mktemp("cli") / "index"
    folder.mkdir()
    with PassageTable(folder / "passages.sqlite", write=True) as table:
        for number in range(15):
            name = f"part{number}\udcff.md"
            text = f"The valve number {number} opens."
            passage = Passage(name, 0, (name, "Valves"), text, "prose", "", "v")
            table.add_document(SourceFile(name, Path(), "markdown", 9, 9, "ab" * 32), [passage])
        table.finish()
    manifest = {"format": 1, "settings": {"source": "/data"}, "shipped": "bm25"}
    write_json(folder / "manifest.json", {**manifest, "fusions": {}, "stamps": {}})
    write_checksums(folder, ["manifest.json", "passages.sqlite"])
    return folder


def run(*words, **options):
    command = [sys.executable, "-m", "vecsmith.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def test_help_is_quick_and_needs_no_torch():
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        shown = run("--help")
        seconds.append(time.perf_counter() - started)
    assert shown.returncode == 0 and "build" in shown.stdout
    assert min(seconds) < 0.5, seconds
    code = (
        "import sys\nfrom vecsmith.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'transformers', 'faiss', 'openvino', 'numpy'} & set(sys.modules)\n"
    )
    checked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_an_unknown_index_is_one_sentence(tmp_path):
    shown = run("search", tmp_path / "none", "valve")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("vecsmith search: ") and shown.stderr.count("\n") == 1
    assert "none" in shown.stderr and "Traceback" not in shown.stderr
    assert "Traceback" in run("search", tmp_path / "none", "valve", "--debug").stderr


def test_a_fault_of_ours_exits_with_1(made, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("vecsmith.store.Searcher.search", broken)
    assert main(["search", str(made), "valve"]) == 1
    assert "unexpected ZeroDivisionError: oh" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        main(["search", str(made), "valve", "--debug"])


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory", "weights"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        SystemError("error return without exception set"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried 8 bytes"),
        caused(StoreError("could not read"), OSError(errno.ENOMEM, "Cannot allocate memory")),
    ],
)
def test_each_way_of_running_out_of_memory_is_told(error):
    status, text = _told(error)
    assert status == 2 and "memory ran out" in text


def test_a_search_prints_hits(made, capsys):
    assert main(["search", str(made), "valves", "-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(" 1. part") and lines[0].split()[1].endswith("\\udcff.md#v")
    assert "The **valve** number" in lines[2] and len(lines) == 6
    assert main(["search", str(made), "nowhere"]) == 0
    assert "nothing relevant found; --all shows the nearest" in capsys.readouterr().out


def test_undecodable_bytes_do_not_stop_the_printing(made):
    for flags in ([], ["--json"]):
        shown = run("search", made, b"valve \xff".decode("utf-8", "surrogateescape"), *flags)
        assert shown.returncode == 0, shown.stderr
        assert "Valves" in shown.stdout
    assert len(json.loads(shown.stdout)["hits"]) == 10
    shown = run("search", made, "valve", env={"PYTHONIOENCODING": "ascii"})
    assert shown.returncode == 0, shown.stderr


def test_flags_come_from_the_environment(made, monkeypatch, capsys):
    monkeypatch.setenv("VECSMITH_TOP_K", "3")
    monkeypatch.setenv("VECSMITH_JSON", "1")
    assert main(["search", str(made), "valve"]) == 0
    assert len(json.loads(capsys.readouterr().out)["hits"]) == 3
    assert main(["search", str(made), "valve", "-k", "4"]) == 0
    assert len(json.loads(capsys.readouterr().out)["hits"]) == 4
    monkeypatch.setenv("VECSMITH_JSON", "false")
    assert main(["search", str(made), "valve"]) == 0
    assert capsys.readouterr().out.startswith(" 1. ")


@pytest.mark.parametrize(
    ("name", "value", "command", "told"),
    [
        ("TOP_K", "many", ["search", "index", "q"], "--top-k: expected a whole number"),
        ("TOP_K", "0", ["search", "index", "q"], "--top-k: expected a whole number"),
        ("BACKEND", "f8", ["build", "docs", "--out", "x"], "--backend: expected one of auto"),
        ("PRECISION", "2", ["build", "docs", "--out", "x"], "expected a number between 0 and 1"),
    ],
)
def test_a_bad_value_in_the_environment_is_told(name, value, command, told, monkeypatch, capsys):
    monkeypatch.setenv(f"VECSMITH_{name}", value)
    with pytest.raises(SystemExit) as stopped:
        main(command)
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and told in error and repr(value) in error
    # Other commands do not mind it.
    assert main(["data", "list"]) == 0


def test_systems_are_listed(capsys):
    assert main(["systems"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(SYSTEMS)
    assert main(["systems", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["slug"] for row in rows] == list(SYSTEMS)
    assert rows[0]["import"] == next(iter(SYSTEMS.values())).import_line


def test_a_system_is_shown(capsys):
    slug = next(iter(SYSTEMS))
    assert main(["systems", "show", slug]) == 0
    text = capsys.readouterr().out
    assert SYSTEMS[slug].title in text and f"vecsmith claims run {slug}" in text
    for words in (["systems", "show", slug, "--json"], ["systems", "--json", "show", slug]):
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out)["year"] == SYSTEMS[slug].year


@pytest.mark.parametrize("words", [["systems", "show"], ["claims", "run"]])
def test_an_unknown_system_suggests_the_nearest(words, capsys):
    assert main([*words, "relevance-filtring"]) == 2
    error = capsys.readouterr().err
    assert "did you mean 'relevance-filtering'?" in error and error.count("\n") == 1


def test_the_table_of_claims(tmp_path, capsys):
    result = {
        "metric": "ndcg@10",
        "effect": 0.1,
        "effect_kind": "difference",
        "ci95": [0.05, 0.15],
        "holds": True,
        "baseline": {"name": "old", "values": [0.5, 0.7]},
        "system": {"name": "new", "values": [0.6, 0.8]},
    }
    write_json(tmp_path / "made-up.json", result)
    assert main(["claims", "table", "--folder", str(tmp_path)]) == 0
    *_, row = capsys.readouterr().out.splitlines()
    assert "old: 0.6" in row and "new: 0.7" in row and "+0.1000 (+0.0500 to +0.1500) | yes" in row
    assert main(["claims", "table", "--folder", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"made-up": result}


def test_packages_of_data_are_listed(capsys):
    assert main(["data", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(PACKAGES)
    assert main(["data", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(rows) == list(PACKAGES) and rows["hpo"]["registry"] == "pypi"
    assert main(["data", "fetch", "hpoo"]) == 2
    assert "did you mean 'hpo'?" in capsys.readouterr().err


def test_an_index_is_scored(made, tmp_path, capsys):
    folder = shutil.copytree(made, tmp_path / "index")
    lines = ['{"query": "number 3", "documents": ["part3\\udcff.md"]}', "{broken"]
    (tmp_path / "queries.jsonl").write_text("\n".join(lines))
    words = ["eval", str(folder), "--queries", str(tmp_path / "queries.jsonl")]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "queries: 1, left out: 1" in shown.out and "queries: line 2" in shown.err
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rankings"]["bm25"]["mrr@10"]["mean"] == 1.0


@pytest.mark.parametrize("words", [[], ["serch"], ["search"], ["claims"], ["data"]])
def test_wrong_words_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2 and "usage: vecsmith" in capsys.readouterr().err


def test_names_and_texts_cannot_command_the_terminal(tmp_path, capsys):
    folder = tmp_path / "index"
    folder.mkdir()
    evil = "\x1b[2J\x1b]0;title\x07"
    with PassageTable(folder / "passages.sqlite", write=True) as table:
        name = f"part{evil}.md"
        passage = Passage(name, 0, (evil, "Valves"), f"A valve {evil} opens.", "prose", "", evil)
        table.add_document(SourceFile(name, Path(), "markdown", 9, 9, "ab" * 32), [passage])
        table.finish()
    manifest = {"format": 1, "settings": {"source": "/data"}, "shipped": "bm25"}
    write_json(folder / "manifest.json", {**manifest, "fusions": {}, "stamps": {}})
    write_checksums(folder, ["manifest.json", "passages.sqlite"])
    assert main(["search", str(folder), "valve"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\x07" not in shown
    assert shown.count("\\u001b[2J") == 4 and "**valve**" in shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_an_output_that_is_full_is_told(made, flags):
    for words in (["search", made, "valve"], ["systems"]):
        command = [sys.executable, "-m", "vecsmith.cli", *map(str, words), *flags]
        with Path("/dev/full").open("w") as full:
            shown = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert shown.returncode == 2, shown.stderr
        assert "No space left on device" in shown.stderr and shown.stderr.count("\n") == 1


def test_the_switch_for_json_names_no_file(monkeypatch):
    monkeypatch.setenv("VECSMITH_JSON", "1")
    parser = _parser()
    _from_environment(parser)
    assert parser.parse_args(["claims", "run", "gistembed"]).file is None
    assert parser.parse_args(["claims", "table"]).json


def test_an_empty_variable_counts_as_unset(monkeypatch):
    for name in ("STEPS", "TOP_K", "JSON", "OUT"):
        monkeypatch.setenv(f"VECSMITH_{name}", "")
    parser = _parser()
    _from_environment(parser)
    options = parser.parse_args(["build", "docs", "--out", "index"])
    assert options.steps is None and options.json is False
    assert parser.parse_args(["search", "index", "words"]).top_k == 10


def test_doubles_and_lost_documents_are_told(made, tmp_path, capsys):
    folder = shutil.copytree(made, tmp_path / "index")
    with PassageTable(folder / "passages.sqlite", write=True) as table:
        names = list(table.document_ids())
        table.add_document(
            SourceFile("a.md", Path(), "markdown", 9, 9, "cd" * 32),
            [Passage("a.md", 0, ("A",), "A zyxwv rotor.", "prose", "", "")],
        )
        table.begin("x", [Skipped("double.md", "same content as a.md")])
        table.finish()
    write_checksums(folder, ["manifest.json", "passages.sqlite"])
    lines = [
        '{"query": "zyxwv", "documents": ["double.md"]}',
        '{"query": "rotor", "documents": ["a.md", "double.md", "lost.md"]}',
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    assert len(names) == 15
    assert main(["eval", str(folder), "--queries", str(tmp_path / "q.jsonl"), "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert (result["queries"], result["left_out"], result["incomplete"]) == (2, 0, 1)
    assert result["rankings"]["bm25"]["recall@10"]["mean"] == 0.75
    assert "line 2" in shown.err and "'lost.md'" in shown.err and "line 1" not in shown.err


def test_advice_for_an_index(built, command, tmp_path):
    run = command("advise", built, "--recall", 0.9, "--plot", tmp_path / "curve.svg")
    assert run.returncode == 0, run.stderr
    assert "flat" in run.stdout
    assert "* to take" in run.stdout
    assert "<svg" in (tmp_path / "curve.svg").read_text("utf-8")
    run = command("advise", built, "--bytes", 1, "--json")
    assert json.loads(run.stdout)["met"] is False
