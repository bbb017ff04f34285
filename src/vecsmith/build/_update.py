"""Bring an index up to date with its source: only what changed is read and encoded.

A new index is written aside: unchanged documents are copied from the old table, vectors of
unchanged passages are taken over by content hash, models, rankings and cut-off stay. Then the
folders are swapped. The passages equal those of a new reading of the source, but for one thing:
which blocks of a folder are boilerplate is counted anew only where the folder has grown past the
documents that its counts rest on (at most 200 of a folder), not where documents changed or went.
The quality figures in the report stay those of the build, and it says so.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from vecsmith.core import (
    StoreError,
    read_json,
    replace_dir,
    require,
    sha256_file,
    write_checksums,
    write_json,
)
from vecsmith.store import PassageTable, Store, index_parts, save_vectors

from ._assemble import bytes_per_passage, now
from ._encode import encode_passages, index_shards
from ._quantise import carried_parts, vectors_on_disk
from ._read import listing, listing_hash, read_source
from ._report import write_report
from ._target import check_apart, check_replaceable
from ._work import WorkFolder, disk_errors_told


def update(folder: str | Path, *, source: str | Path | None = None) -> dict[str, Any]:
    """Read changed, new and deleted files of the source of an index.

    Args:
        folder: The index.
        source: The source, if it has moved; later updates know it then.

    Returns:
        "up_to_date" (whether nothing was to be done); numbers of documents, passages, skipped
        entries, and of documents that are new, changed and deleted; in "models" the passages
        encoded and the vectors taken over by model.

    Raises:
        StoreError: No index, or the folder cannot be written; the old index stays.
        DataError: The source is gone or holds no text any more.
        MissingExtra: jinja2, which the report needs, is not installed.

    Cost:
        Encoding new passages; hashing every file, copying the tables and drawing the report
        (about 3 s for 25,000 passages); reading again up to 200 documents of a folder that grew.
    """
    require("jinja2", "report")
    out = Path(os.path.realpath(folder))
    store = Store(out)
    refuse_while_migrating(store)
    root = os.path.realpath(source or store.settings["source"])
    check_apart(root, out)
    files, _ = listing(root)
    digest, known = listing_hash(files), store.manifest.get("listing")
    if digest == known and root == store.settings["source"]:
        counts = _counts(store.passages, store.passages)
        store.close()
        return {"up_to_date": True, **counts, "models": {}}
    of = sha256_file(out / "manifest.json")
    work = WorkFolder(out, {"update": digest, "source": root, "of": of}, "updating")
    try:
        with disk_errors_told("the update"):
            fresh = work.file("index")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            if digest == known:
                result = {**_counts(store.passages, store.passages), "models": {}}
            else:
                result = _refresh(store, work, fresh, root)
            _complete(store, fresh, root, digest)
            store.close()
            check_replaceable(out)
            replace_dir(fresh, out)
    except BaseException:
        work.close()
        raise
    work.close(remove=True)
    return {"up_to_date": digest == known, **result}


def refuse_while_migrating(store: Store) -> None:
    """Refuse what would take mapped vectors for encoded ones.

    Args:
        store: The index.

    Raises:
        StoreError: It is on its way to another model.
    """
    moving = store.manifest.get("migration", {})
    if moving and not moving.get("finished"):
        raise StoreError(
            f"this index is on its way to the model {moving['model']!r}; finish that first: "
            f"vecsmith migrate {str(store.folder)!r}"
        )


def _counts(old: PassageTable, new: PassageTable) -> dict[str, int]:
    before, after = ({d.path: d.sha256 for d in table.documents()} for table in (old, new))
    both = before.keys() & after.keys()
    return {
        "documents": len(after),
        "passages": len(new),
        "skipped": len(new.skipped()),
        "new": len(after.keys() - before.keys()),
        "changed": sum(before[path] != after[path] for path in both),
        "deleted": len(before.keys() - after.keys()),
    }


def _refresh(store: Store, work: WorkFolder, fresh: Path, root: str) -> dict[str, Any]:
    """Write what changes: passages, vectors, report."""
    settings, encoder = store.settings, store.spaces["base"].encoder
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
            parts = index_parts(space.index)
            if parts is not None:
                old = [known[h][1] if h in known else -1 for h in table.column("hash")]
                file = work.file(name, "vectors.npy")
                vectors = vectors_on_disk(folder, file, len(table), space.stamp.dims)
                parts = carried_parts(parts, old, vectors)
            index = index_shards(
                folder,
                len(table),
                space.stamp.dims,
                int8=settings["int8"],
                seed=settings["seed"],
                parts=parts,
            )
            save_vectors(index, fresh / name / "vectors.faiss")
        counts = _counts(store.passages, table)
        _report(store, table, fresh, {**read, **counts}, root)
    return {**counts, "copied": read["copied"], "models": models}


def _report(
    store: Store, table: PassageTable, fresh: Path, read: dict[str, Any], root: str
) -> None:
    """Write the report of the build with what the index holds now."""
    report = read_json(store.folder / "report.json")
    told = ("documents", "passages", "skipped", "listing")
    report["read"].update({name: read[name] for name in told})
    report["read"]["boilerplate"] = table.fact("boilerplate", {})
    report["skipped"] = table.skipped()
    report["settings"]["source"] = root
    report["bytes_per_passage"] = bytes_per_passage(fresh, table)
    counted = ("documents", "passages", "new", "changed", "deleted")
    report["updated"] = {"date": now(), **{name: read[name] for name in counted}}
    write_json(fresh / "report.json", report)
    write_report(report, table, fresh)


def _complete(store: Store, fresh: Path, root: str, digest: str) -> None:
    """Add what an update does not change, the manifest and the checksums."""
    carry_over(store.folder, fresh)
    settings = {**store.settings, "source": root}
    write_json(fresh / "manifest.json", {**store.manifest, "settings": settings, "listing": digest})
    names = [p.relative_to(fresh).as_posix() for p in fresh.rglob("*") if p.is_file()]
    write_checksums(fresh, names)


def carry_over(old: Path, fresh: Path, *, without: tuple[str, ...] = ()) -> None:
    """Link (or copy, across file systems) what does not change.

    Args:
        old: The index as it is.
        fresh: The one to come; what it holds already stays.
        without: Folders that are left behind.
    """
    for path in sorted(old.rglob("*")):
        name = path.relative_to(old)
        target = fresh / name
        if path.is_file() and not target.exists() and path.name != "checksums.json":
            if path.name == "manifest.json" or name.parts[0] in without:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:
                shutil.copyfile(path, target)
