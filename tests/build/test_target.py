"""What lies at --out is replaced only if it is an index; what is meant, not typed, is compared."""

import json
import os
import shutil

import pytest

from vecsmith.build import BuildSettings, build, update
from vecsmith.build import _build as steps
from vecsmith.build._work import WorkFolder
from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.store import Searcher, Store


def corpus(folder, word, count=8):
    folder.mkdir(parents=True)
    for number in range(count):
        text = f"# {word} {number}\n\nThe {word} number {number} opens the pump.\n"
        (folder / f"d{number}.md").write_text(text)
    return folder


@pytest.fixture
def source(tmp_path):
    return corpus(tmp_path / "docs", "valve")


@pytest.fixture
def make(source, tmp_path, tiny):
    """Build an index without training."""

    def run(out=tmp_path / "index", source=source, **options):
        settings = BuildSettings(str(source), str(out), tiny, steps=0, backend="f32", **options)
        return build(settings).report

    return run


@pytest.fixture
def cut_off(monkeypatch):
    """Let a build be cut off once, after reading."""

    def stop(run, **options):
        whole = steps.make_split

        def cut(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(steps, "make_split", cut)
        with pytest.raises(KeyboardInterrupt):
            run(**options)
        monkeypatch.setattr(steps, "make_split", whole)

    return stop


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def words(index, query):
    return {hit.path for hit in Searcher(index, ranking="bm25").search(query).hits}


@pytest.mark.parametrize("out", [".", "..", "/", "docs", "docs/index"])
def test_a_target_around_or_in_the_source_is_refused(out, make, source, monkeypatch):
    monkeypatch.chdir(source.parent)
    before = names(source.parent)
    with pytest.raises(ConfigError, match="out"):
        make(out, source="docs")
    assert names(source.parent) == before and len(names(source)) == 8


@pytest.mark.parametrize("kind", ["file", "folder", "other manifest"])
def test_what_is_no_index_is_not_replaced(kind, make, tmp_path):
    out = tmp_path / "precious"
    if kind == "file":
        out.write_text("my thesis")
    else:
        out.mkdir()
        (out / ("manifest.json" if kind == "other manifest" else "thesis")).write_text("{}")
    with pytest.raises(ConfigError, match="should be a new or empty folder"):
        make(out)
    assert names(tmp_path) == ["docs", "precious"]


def test_an_empty_folder_and_an_index_are_replaced(make, tmp_path):
    (tmp_path / "index").mkdir()
    make()
    (tmp_path / "index" / "mark").touch()
    make()
    assert names(tmp_path) == ["docs", "index"]
    assert not (tmp_path / "index" / "mark").exists()


def test_what_is_put_there_during_a_build_stays(make, cut_off, tmp_path, monkeypatch):
    whole = steps.make_split

    def meanwhile(*given, **named):
        (tmp_path / "index").write_text("my thesis")
        return whole(*given, **named)

    monkeypatch.setattr(steps, "make_split", meanwhile)
    with pytest.raises(ConfigError, match="is a file"):
        make()
    assert (tmp_path / "index").read_text() == "my thesis"


def test_a_link_stays_and_its_target_is_replaced(make, tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "index"
    link.symlink_to(tmp_path / "disk" / "big")
    for _ in range(2):
        make()
        assert link.is_symlink() and (link / "manifest.json").is_file()
        assert names(tmp_path) == ["disk", "docs", "index"] and names(tmp_path / "disk") == ["big"]
    (tmp_path / "docs" / "new.md").write_text("# New\n\nA rotor.\n")
    assert update(link)["new"] == 1
    assert link.is_symlink() and names(tmp_path / "disk") == ["big"]


def test_an_index_left_aside_by_a_crash_is_found(make, source, tmp_path):
    index, aside = tmp_path / "index", tmp_path / ".index.old"
    make()
    index.rename(aside)
    Store(index).close()
    index.rename(aside)
    (source / "new.md").write_text("# New\n\nA rotor.\n")
    assert update(index)["new"] == 1
    index.rename(aside)
    with pytest.raises(DataError):
        make(source=tmp_path / "missing")
    assert names(tmp_path) == ["docs", "index"]


def test_a_build_that_goes_on_elsewhere_reads_what_is_meant(make, cut_off, tmp_path, monkeypatch):
    corpus(tmp_path / "a" / "docs", "alpha")
    corpus(tmp_path / "b" / "docs", "bravo")
    monkeypatch.chdir(tmp_path / "a")
    cut_off(make, source="docs")
    monkeypatch.chdir(tmp_path / "b")
    make(source="docs")
    assert words(tmp_path / "index", "bravo") and not words(tmp_path / "index", "alpha")


def test_a_build_that_goes_on_with_another_model_begins_anew(cut_off, tiny, tmp_path, source):
    model = tmp_path / "model"
    shutil.copytree(tiny, model)
    settings = BuildSettings(str(source), str(tmp_path / "index"), str(model), steps=0)
    cut_off(lambda: build(settings))
    noted = tmp_path / ".index.building" / "steps.json"
    before = json.loads(noted.read_text())["settings"]
    os.utime(model / "model.safetensors", ns=(1, 1))
    cut_off(lambda: build(settings))
    assert json.loads(noted.read_text())["settings"]["models"] != before["models"]


def test_an_update_leaves_an_unfinished_build_alone(make, cut_off, source, tmp_path):
    make()
    cut_off(make, seed=3)
    (source / "new.md").write_text("# New\n\nA rotor.\n")
    assert update(tmp_path / "index")["new"] == 1
    done = json.loads((tmp_path / ".index.building" / "steps.json").read_text())["done"]
    assert {"export", "read"} <= done.keys()
    assert names(tmp_path) == [".index.building", "docs", "index"]


def test_build_and_update_exclude_each_other(make, source, tmp_path):
    make()
    (source / "new.md").write_text("# New\n\nA rotor.\n")
    for doing in ("building", "updating"):
        work = WorkFolder(tmp_path / "index", {}, doing)
        for run in (make, lambda: update(tmp_path / "index")):
            with pytest.raises(StoreError, match="another build or update"):
                run()
        work.close(remove=True)
    assert update(tmp_path / "index")["new"] == 1


def test_mistakes_are_told_before_reading(make, tmp_path, monkeypatch):
    def read(*_, **__):
        raise AssertionError("it was read")

    monkeypatch.setattr(steps, "read_source", read)
    with pytest.raises(ConfigError, match="dims"):
        make(dims=999)
    with pytest.raises(DataError, match="pairs file"):
        make(pairs=str(tmp_path / "missing.jsonl"))
