"""Bring an index up to date with its source: only what changed is read and encoded.

A new index is written aside: unchanged documents are copied from the old table, vectors of
unchanged passages are taken over by content hash, models, rankings and cut-off stay. Then the
folders are swapped. The result equals an index of the new source made with the same models.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from vecsmith.core import replace_dir, write_checksums, write_json
from vecsmith.store import PassageTable, Store, save_vectors

from ._encode import encode_passages, index_shards
from ._read import listing, listing_hash, read_source
from ._work import WorkFolder, disk_errors_told


def update(folder: str | Path, *, source: str | Path | None = None) -> dict[str, Any]:
    """Read changed, new and deleted files of the source of an index.

    Args:
        folder: The index.
        source: The source, if it has moved.

    Returns:
        Numbers of documents, passages, passages encoded and vectors taken over by model.

    Raises:
        StoreError: No index, or the folder cannot be written; the old index stays.
        DataError: The source is gone or holds no text any more.

    Cost:
        Encoding new passages; hashing every file and copying the tables (about 2 s for 25,000
        passages).
    """
    out = Path(os.path.abspath(folder))  # noqa: PTH100 - must not follow links
    store = Store(out)
    settings = store.manifest["settings"]
    root = str(source or settings["source"])
    files, _ = listing(root)
    digest = listing_hash(files)
    if digest == store.manifest["listing"]:
        count = len(store.passages)
        documents = len(store.passages.documents())
        store.close()
        return {"changed": False, "documents": documents, "passages": count, "models": {}}
    work = WorkFolder(out, {"update": digest, "of": store.manifest["listing"]})
    try:
        with disk_errors_told("the update"):
            result = _refresh(store, work, root, settings, digest)
            store.close()
            replace_dir(work.file("index"), out)
    except BaseException:
        work.close()
        raise
    work.close(remove=True)
    return result


def _refresh(
    store: Store, work: WorkFolder, root: str, settings: dict[str, Any], digest: str
) -> dict[str, Any]:
    fresh = work.file("index")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    encoder = store.spaces["base"].encoder
    longest = min(settings["max_tokens"], encoder.stamp.max_tokens - 2)
    table_path = work.file("passages.sqlite")
    read = read_source(
        root, table_path, encoder.count_tokens, max_tokens=longest, known=store.passages
    )
    shutil.copyfile(table_path, fresh / "passages.sqlite")
    hashes = store.passages.column("hash")
    models = {}
    with PassageTable(fresh / "passages.sqlite") as table:
        for name, space in store.spaces.items():
            known = {digest: (space.index, row) for row, digest in enumerate(hashes)}
            folder = work.file(name, "shards")
            models[name] = encode_passages(table, space.encoder, folder, label=name, known=known)
            index = index_shards(
                folder,
                len(table),
                space.stamp.dims,
                int8=settings["int8"],
                seed=settings["seed"],
            )
            save_vectors(index, fresh / name / "vectors.faiss")
        counts = {"documents": len(table.documents()), "passages": len(table)}
    _carry_over(store.folder, fresh)
    settings = {**settings, "source": str(Path(root).resolve())}
    write_json(fresh / "manifest.json", {**store.manifest, "settings": settings, "listing": digest})
    names = [p.relative_to(fresh).as_posix() for p in fresh.rglob("*") if p.is_file()]
    write_checksums(fresh, names)
    return {"changed": True, **counts, "copied": read["copied"], "models": models}


def _carry_over(old: Path, fresh: Path) -> None:
    """Link (or copy, across file systems) what an update does not change."""
    for path in sorted(old.rglob("*")):
        target = fresh / path.relative_to(old)
        if path.is_file() and not target.exists() and path.name != "checksums.json":
            if path.name == "manifest.json":
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:
                shutil.copyfile(path, target)
