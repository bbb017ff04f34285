"""An updated index is like a new one: notes, report, boilerplate."""

import json
import shutil

import pytest

from vecsmith.build import BuildSettings, _read, build, update
from vecsmith.build._read import read_source
from vecsmith.core import DataError, StoreError, read_json, write_json
from vecsmith.store import PassageTable, Store


def count_tokens(texts):
    return [len(text.split()) for text in texts]


def page(folder, number):
    folder.mkdir(exist_ok=True)
    text = (
        f"# Topic {number}\n\nMENU home about contact imprint.\n\n"
        f"The valve {chr(97 + number % 26)} opens the pump {number * 37 % 101}.\n"
    )
    (folder / f"d{number:02}.md").write_text(text)


def passages(table):
    return [stored.passage for stored in table.passages()]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "docs"
    for number in range(8):
        page(folder, number)
    (folder / "r.jsonl").write_text('{"text": "good rotor"}\n{broken\n')
    return folder


@pytest.fixture
def index(source, tmp_path, tiny):
    out = tmp_path / "index"
    build(BuildSettings(str(source), str(out), tiny, steps=0, backend="f32"))
    return out


def test_notes_and_report_are_those_of_what_is_there_now(index, source):
    (source / "new.md").write_text("# New\n\nA new rotor.\n")
    (source / "new.pdf").write_bytes(b"%PDF-1.4 broken")
    page(source, 3)
    (source / "d03.md").write_text("# Other\n\nQuite another text about a coil.\n")
    (source / "d04.md").unlink()
    before = read_json(index / "report.json")
    result = update(index)
    told = {name: result[name] for name in ("new", "changed", "deleted", "documents", "skipped")}
    assert told == {"new": 1, "changed": 1, "deleted": 1, "documents": 9, "skipped": 2}
    with PassageTable(index / "passages.sqlite") as table:
        skipped = dict(table.skipped())
        assert result["passages"] == len(table)
    assert "line 2" in skipped["r.jsonl"] and "PDF" in skipped["new.pdf"]
    report = read_json(index / "report.json")
    assert dict(report["skipped"]) == skipped
    for name in ("documents", "passages", "skipped"):
        assert report["read"][name] == result[name]
    assert report["read"]["boilerplate"].keys() == {f"d{n:02}.md" for n in (0, 1, 2, 5, 6, 7)}
    assert report["read"]["listing"] == read_json(index / "manifest.json")["listing"]
    assert report["updated"].pop("date") >= report["date"]
    counted = {**told, "passages": result["passages"]}
    assert report["updated"] == {n: v for n, v in counted.items() if n != "skipped"}
    assert (report["date"], report["judge"]) == (before["date"], before["judge"])
    html = (index / "report.html").read_text()
    assert "The index was updated on" in html and "1 documents new, 1 changed, 1 deleted" in html
    assert "new.pdf" in html
    Store(index, verify=True).close()


def test_a_source_that_moved_unchanged_is_remembered(index, source, tmp_path):
    assert update(index)["up_to_date"]
    source.rename(tmp_path / "moved")
    with pytest.raises(DataError):
        update(index)
    for given in (tmp_path / "moved", None):
        result = update(index, source=given)
        assert result["up_to_date"] and result["documents"] == 9
        assert (result["new"], result["changed"], result["deleted"]) == (0, 0, 0)
    Store(index, verify=True).close()


def test_a_manifest_without_settings_is_told(index, source, command, tmp_path):
    manifest = read_json(index / "manifest.json")
    del manifest["settings"]
    write_json(index / "manifest.json", manifest)
    sums = read_json(index / "checksums.json")
    sums["manifest.json"]["bytes"] = (index / "manifest.json").stat().st_size
    write_json(index / "checksums.json", sums)
    with pytest.raises(StoreError, match="names no settings"):
        update(index)
    (tmp_path / "q.jsonl").write_text('{"query": "valve", "documents": ["d01.md"]}\n')
    run = command("eval", index, "--queries", tmp_path / "q.jsonl")
    assert run.returncode == 2 and "names no settings" in run.stderr


@pytest.mark.parametrize("before", [0, 3, 12])
def test_boilerplate_of_a_folder_that_grew_is_found(before, tmp_path):
    source = tmp_path / "docs"
    page(source, 99)
    (source / "sub").mkdir()
    for number in range(before):
        page(source / "sub", number)
    read_source(source, tmp_path / "old.sqlite", count_tokens, max_tokens=64)
    for number in range(before, 30):
        page(source / "sub", number)
    with PassageTable(tmp_path / "old.sqlite") as known:
        told = read_source(
            source, tmp_path / "new.sqlite", count_tokens, max_tokens=64, known=known
        )
    # What was cleaned as it would be now is copied all the same.
    assert told["copied"] == 1 + (12 if before == 12 else 0)
    read_source(source, tmp_path / "fresh.sqlite", count_tokens, max_tokens=64)
    with (
        PassageTable(tmp_path / "new.sqlite") as new,
        PassageTable(tmp_path / "fresh.sqlite") as fresh,
    ):
        assert passages(new) == passages(fresh)
        assert new.fact("boilerplate") == fresh.fact("boilerplate")
        assert not any("MENU" in p.text for p in passages(new) if p.document.startswith("sub/"))
        assert new.fact("repeated_blocks") == fresh.fact("repeated_blocks")


def test_only_folders_that_grew_are_counted_anew(source, tmp_path, monkeypatch):
    shutil.copytree(source, source / "still")
    for number in range(20, 28):
        page(source / "still", number)
    read_source(source, tmp_path / "old.sqlite", count_tokens, max_tokens=64)
    looked = []
    whole = _read.read_sections

    def noted(file, **options):
        looked.append(file.path)
        return whole(file, **options)

    monkeypatch.setattr(_read, "read_sections", noted)
    page(source, 8)
    (source / "still" / "d20.md").write_text("# Changed\n\nOther words of a coil.\n")
    with PassageTable(tmp_path / "old.sqlite") as known:
        read_source(source, tmp_path / "new.sqlite", count_tokens, max_tokens=64, known=known)
    assert {path for path in looked if path.startswith("still/")} == {"still/d20.md"}


def test_reading_that_was_cut_off_counts_all_that_it_dropped(source, tmp_path, monkeypatch):
    whole = _read.passages_of
    calls = []

    def cut(*given, **named):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return whole(*given, **named)

    monkeypatch.setattr(_read, "passages_of", cut)
    with pytest.raises(KeyboardInterrupt):
        read_source(source, tmp_path / "cut.sqlite", count_tokens, max_tokens=64)
    for name in ("cut", "whole"):
        read_source(source, tmp_path / f"{name}.sqlite", count_tokens, max_tokens=64)
    counts = []
    for name in ("cut", "whole"):
        with PassageTable(tmp_path / f"{name}.sqlite") as table:
            counts.append(table.fact("boilerplate"))
    assert counts[0] == counts[1] and len(counts[0]) == 8


def test_json_tells_what_an_update_did(index, source, command):
    (source / "d04.md").unlink()
    result = json.loads(command("update", index, "--json").stdout)
    assert (result["new"], result["changed"], result["deleted"]) == (0, 0, 1)
    assert result["skipped"] == 1 and not result["up_to_date"]
