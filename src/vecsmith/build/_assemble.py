"""The last step: put the finished parts together beside the index, then swap the folders."""

import datetime
import importlib.metadata
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import (
    hardware,
    hash_text,
    peak_memory_mb,
    replace_dir,
    write_checksums,
    write_json,
)
from vecsmith.store import PassageTable
from vecsmith.store._store import FORMAT

from ._card import model_card
from ._report import write_report
from ._target import check_replaceable
from ._work import disk_errors_told

if TYPE_CHECKING:
    from ._build import Job

MODELS = ("base", "adapted")
STEPS = (
    "export",
    "read",
    "pairs",
    "backend",
    "encode_base",
    "train",
    "merge",
    "encode_adapted",
    "judge",
)


def assemble(job: "Job", seconds: float) -> dict[str, Any]:
    """Put the finished parts together beside the index, then swap.

    Args:
        job: The build, its steps finished.
        seconds: How long it took.

    Returns:
        Content of ``report.json``.

    Raises:
        StoreError: The disk is full; the old index stays.
    """
    fresh = job.work.file("index")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    with disk_errors_told("writing the index"):
        report = _fill(job, fresh, seconds)
    # Something else may have been put there while the build ran.
    check_replaceable(job.out)
    replace_dir(fresh, job.out)
    return report


def _fill(job: "Job", fresh: Path, seconds: float) -> dict[str, Any]:
    names = ["base", *(["adapted"] if job.adapted else [])]
    shutil.copyfile(job.table_path, fresh / "passages.sqlite")
    with PassageTable(fresh / "passages.sqlite") as table:
        for name in names:
            shutil.copytree(job.work.file(name, "encoder"), fresh / name / "encoder")
            job.index(name, len(table))
            shutil.copyfile(job.work.file(name, "vectors.faiss"), fresh / name / "vectors.faiss")
        if job.adapted:
            shutil.copytree(job.work.file("adapted", "model"), fresh / "adapted" / "model")
        if job.work.file("cutoff").is_dir():
            shutil.copytree(job.work.file("cutoff"), fresh / "cutoff")
        write_json(fresh / "manifest.json", _manifest(job, names))
        write_json(fresh / "seen_queries.json", job.split().seen())
        report = _report(job, table, fresh, seconds)
        write_json(fresh / "report.json", report)
        write_report(report, table, fresh)
    if job.adapted:
        card = model_card(report, job.stamp("adapted").to_dict())
        (fresh / "adapted" / "model" / "README.md").write_text(card, "utf-8")
    files = [p.relative_to(fresh).as_posix() for p in fresh.rglob("*") if p.is_file()]
    write_checksums(fresh, files)
    return report


def now() -> str:
    """Return the time as reports hold it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def bytes_per_passage(folder: Path, table: PassageTable) -> dict[str, float]:
    """Measure what a passage takes on disk.

    Args:
        folder: The index.
        table: Its passages.

    Returns:
        Bytes of its vectors, by model, and of all else.
    """
    sizes = {path.parent.name: path.stat().st_size for path in folder.glob("*/vectors.faiss")}
    sizes["passages and words"] = (folder / "passages.sqlite").stat().st_size
    return {name: size / len(table) for name, size in sizes.items()}


def _manifest(job: "Job", names: list[str]) -> dict[str, Any]:
    judged = job.result("judge")
    return {
        "format": FORMAT,
        "vecsmith": importlib.metadata.version("vecsmith"),
        "settings": {
            **job.settings.to_dict(),
            "source": str(Path(job.settings.source).resolve()),
        },
        "listing": job.result("read")["listing"],
        "shipped": judged["chosen"]["shipped"],
        "fusions": judged["fusions"],
        "stamps": {name: job.stamp(name).to_dict() for name in names},
    }


def _report(job: "Job", table: PassageTable, fresh: Path, seconds: float) -> dict[str, Any]:
    judged, read = job.result("judge"), job.result("read")
    noted = {name: found for name in STEPS if (found := job.work.result(name)) is not None}
    return {
        "id": hash_text(read["listing"], str(job.settings.to_dict())),
        "settings": job.settings.to_dict(),
        "date": now(),
        "hardware": hardware(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("vecsmith", "torch", "sentence-transformers", "openvino", "faiss-cpu")
        },
        "read": {**read, "boilerplate": table.fact("boilerplate", {})},
        "skipped": table.skipped(),
        "pairs": job.result("pairs"),
        "backend": job.result("backend"),
        "train": job.result("train"),
        "merge": job.result("merge"),
        "judge": judged,
        "shipped": judged["chosen"]["shipped"],
        "codes": {n: c for n in MODELS if (c := job.work.result(f"codes of {n}")) is not None},
        "bytes_per_passage": bytes_per_passage(fresh, table),
        "seconds": {
            "total": round(seconds, 1),
            **{name: found["seconds"] for name, found in noted.items()},
        },
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "peak_memory_mb_after": {name: found["peak_memory_mb"] for name, found in noted.items()},
    }
