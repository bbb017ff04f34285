"""Atomic writes, folder swaps, checksums: nothing half-written is ever seen."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import (
    StoreError,
    atomic_path,
    cache_dir,
    hash_text,
    last_checkpoint,
    read_json,
    replace_dir,
    sha256_file,
    verify_checksums,
    write_checksums,
    write_json,
)
from vecsmith.core._files import recover_dir


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_write_replaces_and_leaves_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    for text in ("one", "two"):
        with atomic_path(target) as temporary:
            assert temporary.parent == target.parent
            temporary.write_text(text)
            # the old content is there until the end
            assert not target.exists() or target.read_text() == "one"
        assert target.read_text() == text
    assert names(target.parent) == ["file.txt"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_exception_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old" and names(tmp_path) == ["file.txt"]


def test_writer_may_swap_in_a_file_of_its_own(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "file") as temporary:
        temporary.unlink()
        temporary.write_text("fresh")
    assert (tmp_path / "file").read_text() == "fresh" and names(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_disk_full_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    target = tmp_path / "file.json"
    write_json(target, {"a": 1})

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(
        StoreError, match=r"cannot write .*No space left.*nothing there was changed"
    ):
        write_json(target, {"a": 2})
    monkeypatch.undo()
    assert read_json(target) == {"a": 1} and names(tmp_path) == ["file.json"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_really_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        write_json(disk / "file.json", {"a": 1})
        with pytest.raises(StoreError, match="No space left"):
            write_json(disk / "file.json", {"a": "x" * 200_000})
        assert read_json(disk / "file.json") == {"a": 1}
        assert names(disk) == ["file.json"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_target_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write"), atomic_path(tmp_path / "file" / "x"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot write"), atomic_path(tmp_path / "folder"):
        pass
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "file").write_text("old")
    folder.chmod(0o555)
    code = (
        "import os, sys\n"
        "from vecsmith.core import StoreError, atomic_path\n"
        "if os.geteuid() == 0:\n"
        "    os.setuid(65534)  # root may write anywhere\n"
        "try:\n"
        "    with atomic_path(sys.argv[1]) as path:\n"
        "        path.write_text('new')\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    try:
        # the folders above must let another user through
        for parent in [tmp_path, *tmp_path.parents]:
            if parent == Path(parent.anchor) or parent.name == "tmp":
                break
            parent.chmod(0o755)
        run = subprocess.run(
            [sys.executable, "-c", code, str(folder / "file")],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        folder.chmod(0o755)
    if run.returncode and "ModuleNotFoundError" in run.stderr:
        pytest.skip("the package lies where another user cannot read it")
    assert "cannot write" in run.stdout and "denied" in run.stdout, run.stderr
    assert (folder / "file").read_text() == "old" and names(folder) == ["file"]


def test_errors_of_reading_are_not_called_errors_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out"):
        (tmp_path / "missing input").read_text()
    assert names(tmp_path) == []


def test_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    code = textwrap.dedent(
        """
        import os, signal, sys
        from vecsmith.core import atomic_path
        with atomic_path(sys.argv[1]) as path:
            path.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    run = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    # what is left is hidden and never taken for the file
    assert all(name.startswith(".file.") for name in names(tmp_path) if name != "file")


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    value = {"b": [1, 2.5, None], "a": "ä€"}
    write_json(path, value)
    assert read_json(path) == value
    assert list(json.loads(path.read_text())) == ["b", "a"]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert read_json(path) == value and names(tmp_path) == ["x.json"]
    with pytest.raises(StoreError, match="missing"):
        read_json(tmp_path / "none.json")
    path.write_text("{")
    with pytest.raises(StoreError, match="should hold JSON"):
        read_json(path)
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(StoreError, match="should hold JSON"):
        read_json(path)
    with pytest.raises(StoreError, match="should hold JSON"):
        read_json(tmp_path)


@pytest.mark.parametrize("text", ["caf\udce9.txt", "bad \ud83d cut", "\ude00", "ä\\ud800"])
def test_json_keeps_lone_surrogates(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    write_json(path, {text: [text]})
    assert read_json(path) == {text: [text]}
    path.read_text(encoding="utf-8")


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "content").write_text(text)
    return path


def test_replace_dir(tmp_path: Path) -> None:
    target = tmp_path / "index"
    replace_dir(folder(tmp_path / "one", "1"), target)
    assert (target / "content").read_text() == "1"
    replace_dir(folder(tmp_path / "two", "2"), target)
    assert (target / "content").read_text() == "2"
    assert names(tmp_path) == ["index"]


def test_replace_dir_that_fails_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, fresh = folder(tmp_path / "index", "old"), folder(tmp_path / "fresh", "new")
    rename, calls = os.rename, []

    def second_fails(source: object, place: object) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, place)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(StoreError, match=r"Input/output error; the finished one lies at .*fresh"):
        replace_dir(fresh, target)
    assert (target / "content").read_text() == "old"
    assert (fresh / "content").read_text() == "new"
    assert names(tmp_path) == ["fresh", "index"]


@pytest.mark.parametrize("finished", [False, True])
def test_replace_dir_after_a_crash(tmp_path: Path, finished: bool) -> None:
    # a crash between the renames (old aside, new not yet there), or before the old was deleted
    folder(tmp_path / ".index.old", "old")
    target = tmp_path / "index"
    if finished:
        folder(target, "new")
    recover_dir(target)
    assert (target / "content").read_text() == ("new" if finished else "old")
    replace_dir(folder(tmp_path / "fresh", "newer"), target)
    assert (target / "content").read_text() == "newer"
    assert names(tmp_path) == ["index"]


def test_replace_dir_never_loses_the_only_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the old folder lies aside after a crash, and the next swap fails too
    folder(tmp_path / ".index.old", "old")
    target, fresh = tmp_path / "index", folder(tmp_path / "fresh", "new")
    rename = os.rename

    def fails(source: object, place: object) -> None:
        if Path(str(source)) == fresh:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, place)

    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(StoreError):
        replace_dir(fresh, target)
    assert (target / "content").read_text() == "old"


@pytest.mark.parametrize("step", [1, 2])
def test_killed_swap_keeps_a_whole_folder(tmp_path: Path, step: int) -> None:
    folder(tmp_path / "index", "old")
    folder(tmp_path / "fresh", "new")
    code = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from vecsmith.core import replace_dir
        rename, calls, step = os.rename, [], int(sys.argv[2])
        def killed(source, place):
            rename(source, place)
            calls.append(source)
            if len(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
        os.rename = killed
        replace_dir(Path(sys.argv[1]) / "fresh", Path(sys.argv[1]) / "index")
        """
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(step)], check=False)
    assert run.returncode == -signal.SIGKILL
    recover_dir(tmp_path / "index")
    expected = "old" if step == 1 else "new"
    assert (tmp_path / "index" / "content").read_text() == expected


def test_a_swap_under_way_is_not_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = folder(tmp_path / "index", "old")
    fresh = folder(tmp_path / "fresh", "new")
    rename, others = os.rename, []

    def slow(source: object, place: object) -> None:
        rename(source, place)
        if not others:
            others.append(threading.Thread(target=recover_dir, args=(target,)))
            others[0].start()
            others[0].join(0.2)

    monkeypatch.setattr(os, "rename", slow)
    replace_dir(fresh, target)
    others[0].join()
    assert (target / "content").read_text() == "new" and names(tmp_path) == ["index"]


def test_a_folder_that_cannot_be_put_back_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / ".index.old", "old")

    def fails(source: object, place: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(
        StoreError, match=r"\.index\.old.*Read-only file system; rename it yourself"
    ):
        recover_dir(tmp_path / "index")


@pytest.mark.parametrize("damage", ['["a"]', '{"a": 3}', '{"a": {"bytes": 3}}'])
def test_damaged_checksums_are_told(damage: str, tmp_path: Path) -> None:
    (tmp_path / "checksums.json").write_text(damage)
    with pytest.raises(StoreError, match="should give bytes and sha256"):
        verify_checksums(tmp_path)


def test_checksums(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"x" * 3_000_000)
    write_checksums(tmp_path, ["sub/b", "a"])
    rows = read_json(tmp_path / "checksums.json")
    assert list(rows) == ["a", "sub/b"]
    assert rows["a"] == {
        "bytes": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }
    assert sha256_file(tmp_path / "sub" / "b") == rows["sub/b"]["sha256"]
    verify_checksums(tmp_path, content=True)
    (tmp_path / "a").write_bytes(b"abd")
    verify_checksums(tmp_path)
    with pytest.raises(StoreError, match=r"a' does not match its checksum"):
        verify_checksums(tmp_path, content=True)
    (tmp_path / "a").write_bytes(b"ab")
    with pytest.raises(StoreError, match="should have 3 bytes but has 2"):
        verify_checksums(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(StoreError, match="is missing from the index"):
        verify_checksums(tmp_path)
    (tmp_path / "checksums.json").unlink()
    with pytest.raises(StoreError, match="is missing"):
        verify_checksums(tmp_path)


def test_hash_text() -> None:
    assert hash_text("ab", "c") != hash_text("a", "bc") != hash_text("abc")
    assert hash_text() != hash_text("")
    assert len(hash_text("x")) == 32
    # a stored value: hashes of earlier versions must stay valid
    assert hash_text("vecsmith") == "b37a778866cc5c2ec0278b22b60f5921"


@given(st.lists(st.text()), st.lists(st.text()))
def test_hash_text_tells_lists_apart(a: list[str], b: list[str]) -> None:
    assert (hash_text(*a) == hash_text(*b)) == (a == b)


def test_hash_text_takes_lone_surrogates() -> None:
    assert hash_text("\ud800") != hash_text("\ud801")


def test_cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECSMITH_CACHE", str(tmp_path / "mine"))
    assert cache_dir("a", "b") == tmp_path / "mine" / "a" / "b"
    assert (tmp_path / "mine" / "a" / "b").is_dir()
    monkeypatch.delenv("VECSMITH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir("a") == tmp_path / "xdg" / "vecsmith" / "a"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "vecsmith"


def test_the_last_whole_checkpoint(tmp_path):
    assert last_checkpoint(tmp_path / "none") is None
    for step in (8, 16, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (8, 16):
        (tmp_path / f"checkpoint-{step}" / "whole").touch()
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-16")
    # the one that was cut off is gone
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-16", "checkpoint-8"]
