"""The main job: a folder of documents -> a search engine adapted to them, with evidence.

Each step is a function of the settings and of what earlier steps left in the working folder, so
that a build can be killed at any moment and run again.
"""

import datetime
import importlib.metadata
import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecsmith.core import (
    Stamp,
    hardware,
    hash_text,
    peak_memory_mb,
    replace_dir,
    require,
    write_checksums,
    write_json,
)
from vecsmith.encode import export_encoder, load_encoder, resolve_model
from vecsmith.evaluate import score_store
from vecsmith.store import PassageTable, save_vectors
from vecsmith.store._store import FORMAT

from ._encode import choose_backend, encode_passages, index_shards
from ._heldout import Split, make_split
from ._judge import choose_fusion, choose_shipped, fit_cutoff, judge, judge_store
from ._negatives import mine_negatives, near_others, negative_texts
from ._read import check_source, listing, listing_hash, read_source
from ._report import write_report
from ._settings import BuildSettings
from ._train import Columns, plan_steps, steps_over, train_model, training_columns
from ._work import WorkFolder, disk_errors_told

logger = logging.getLogger(__name__)
_LEAST_PAIRS = 200


@dataclass(frozen=True)
class BuildResult:
    """What a build made.

    Attributes:
        out: Folder of the index.
        report: Content of ``report.json``.
    """

    out: Path
    report: dict[str, Any]


def build(settings: BuildSettings) -> BuildResult:
    """Build an index from a folder of documents, or go on with a build that was cut off.

    Args:
        settings: What to build from what.

    Returns:
        Folder and report.

    Raises:
        DataError: The source is missing or holds no text.
        ModelError: The model cannot be loaded.
        StoreError: The folder cannot be written; an index that was there stays as it was.

    Cost:
        The training budget, and reading and encoding every passage with both models.
    """
    started = time.perf_counter()
    out = Path(os.path.abspath(settings.out))  # noqa: PTH100 - must not follow links
    check_source(settings.source)
    resolve_model(settings.model)
    # What only the last step needs should not be missed after all the others.
    require("jinja2", "report")
    work = WorkFolder(out, settings.to_dict())
    try:
        job = _Job(settings, out, work)
        report = job.run(started)
    except BaseException:
        work.close()
        raise
    work.close(remove=True)
    return BuildResult(out, report)


class _Job:
    def __init__(self, settings: BuildSettings, out: Path, work: WorkFolder) -> None:
        self.settings, self.out, self.work = settings, out, work
        self.table_path = work.file("passages.sqlite")
        self.seconds: dict[str, float] = {}

    def run(self, started: float) -> dict[str, Any]:
        self.warn_of_changes()
        self.step("export", self.export)
        self.step("read", self.read)
        self.step("pairs", self.pairs)
        self.step("backend", self.backend)
        self.step("encode_base", lambda: self.encode("base"))
        self.step("train", self.train)
        self.step("merge", self.merge)
        if self.adapted:
            self.step("encode_adapted", lambda: self.encode("adapted"))
        self.step("judge", self.judge)
        return self.assemble(time.perf_counter() - started)

    def warn_of_changes(self) -> None:
        """Say so if the source is no longer what a build that goes on has read."""
        read = self.result("read")
        if read and listing_hash(listing(self.settings.source)[0]) != read["listing"]:
            logger.warning(
                "the source changed since it was read; this build goes on with what was read "
                "then, `vecsmith update` brings the rest in"
            )

    def step(self, name: str, action: Any) -> None:
        """Run a step unless it is finished; note its result and time."""
        if self.work.result(name) is not None:
            return
        begin = time.perf_counter()
        logger.info("%s", name)
        with disk_errors_told(f"step {name!r}"):
            result = action()
        spent = time.perf_counter() - begin
        noted = {"result": result, "seconds": round(spent, 2)}
        self.work.finish(name, {**noted, "peak_memory_mb": round(peak_memory_mb())})

    def result(self, name: str) -> Any:
        """Result of a finished step."""
        noted = self.work.result(name)
        return noted["result"] if noted else None

    @property
    def adapted(self) -> bool:
        """Whether there is an adapted model."""
        return bool(self.result("merge"))

    def export(self) -> dict[str, Any]:
        encoder = export_encoder(self.settings.model, self.work.file("base", "encoder"))
        return encoder.stamp.to_dict()  # type: ignore[no-any-return]

    def read(self) -> dict[str, Any]:
        encoder = load_encoder(self.work.file("base", "encoder"))
        longest = min(self.settings.max_tokens, encoder.stamp.max_tokens - 2)
        return read_source(
            self.settings.source, self.table_path, encoder.count_tokens, max_tokens=longest
        )

    def split(self) -> Split:
        return Split.load(self.work.file("split.json"))

    def pairs(self) -> dict[str, Any]:
        with PassageTable(self.table_path) as table:
            split = make_split(
                table,
                seed=self.settings.seed,
                pairs_file=self.settings.pairs,
                source=str(Path(self.settings.source).resolve()),
            )
        split.save(self.work.file("split.json"))
        return split.counts()

    def backend(self) -> dict[str, Any]:
        split = self.split()
        sample = (split.watch + split.pairs)[:400]
        folder = self.work.file("base", "encoder")
        return choose_backend(folder, sample, self.settings.backend)

    def stamp(self, name: str) -> Stamp:
        folder = self.work.file(name, "encoder")
        return load_encoder(folder, dims=self.settings.dims).stamp  # type: ignore[no-any-return]

    def encode(self, name: str) -> dict[str, int]:
        encoder = load_encoder(self.work.file(name, "encoder"), dims=self.settings.dims)
        with PassageTable(self.table_path) as table:
            return encode_passages(table, encoder, self.work.file(name, "shards"), label=name)

    def groups(self, table: PassageTable) -> list[int]:
        return table.column(self.result("pairs")["unit"])

    def index(self, name: str, count: int) -> Any:
        return index_shards(
            self.work.file(name, "shards"),
            count,
            self.stamp(name).dims,
            int8=self.settings.int8,
            seed=self.settings.seed,
        )

    def train(self) -> dict[str, Any] | bool:
        split = self.split()
        if self.settings.budget_s == 0 or self.settings.steps == 0:
            return {"trained": False, "reason": "no training was asked for"}
        if len(split.pairs) < max(_LEAST_PAIRS, self.settings.batch_size):
            return {
                "trained": False,
                "reason": f"{len(split.pairs)} training pairs are too few to learn from "
                f"({max(_LEAST_PAIRS, self.settings.batch_size)} are needed)",
            }
        plan = self.work.result("plan")
        if plan is None:
            plan = self.work.finish("plan", plan_steps(self.settings, split.pairs))
        if plan["steps"] < 1:
            return {"trained": False, "reason": "the budget is too short for one step"}
        sets = self.training_sets(split, plan["steps"] * self.settings.batch_size)
        steps = steps_over(self.settings, sets, plan["steps"])
        from ._guide import checked_guide

        guide, verdict = checked_guide(self.settings, split.watch, self.work.file("guide"))
        done = train_model(
            self.settings,
            self.work.file("train"),
            sets,
            split.watch,
            distractors=self.distractors(split),
            steps=steps,
            guide=guide,
        )
        return {"trained": True, "plan": plan, "guide": verdict, **done}

    def training_sets(self, split: Split, enough: int) -> Columns:
        encoder = load_encoder(self.work.file("base", "encoder"), dims=self.settings.dims)
        with PassageTable(self.table_path) as table:
            mined = self.work.result("negatives")
            if mined is None:
                index = self.index("base", len(table))
                groups = self.groups(table)
                rows = mine_negatives(split.pairs, encoder, index, groups, enough=enough)
                mined = self.work.finish("negatives", rows)
            texts = negative_texts(mined, table)
        return training_columns(split.pairs, mined, texts, enough=enough)

    def distractors(self, split: Split) -> list[str]:
        """Contents of passages near the watched queries, found once."""
        with PassageTable(self.table_path) as table:
            rows = self.work.result("distractors")
            if rows is None:
                encoder = load_encoder(self.work.file("base", "encoder"), dims=self.settings.dims)
                index = self.index("base", len(table))
                rows = near_others(split.watch, encoder, index, self.groups(table))
                self.work.finish("distractors", rows)
            return [stored.passage.content for stored in table.take(rows)]

    def merge(self) -> dict[str, Any] | bool:
        if not self.result("train")["trained"]:
            return False
        # Imported here, because it loads torch, which a mistake in the source should not wait for.
        from ._merge import merge_models

        split = self.split()
        merged = self.work.file("adapted", "model")
        found = merge_models(
            self.settings,
            self.work.file("train", "tuned"),
            split.probe,
            split.watch,
            self.distractors(split),
            merged,
        )
        precision = self.result("backend")["precision"]
        export_encoder(
            merged,
            self.work.file("adapted", "encoder"),
            label=f"{self.settings.model} adapted to {Path(self.settings.source).name}",
            precision="f32" if precision == "torch" else precision,
        )
        return found

    def judge(self) -> dict[str, Any]:
        split = self.split()
        names = ["base", *(["adapted"] if self.adapted else [])]
        spaces = {
            name: (self.work.file(name), self.work.file(name, "shards"), self.stamp(name))
            for name in names
        }
        folder = self.work.file("judge")
        store = judge_store(
            folder,
            self.table_path,
            split.masked,
            spaces,
            int8=self.settings.int8,
            seed=self.settings.seed,
        )
        groups = self.groups(store.passages)
        validation, test = split.queries["validation"], split.queries["test"]
        grids = {}
        for name in names:
            ranking = f"{name}_hybrid"
            store.fusions[ranking], grids[ranking] = choose_fusion(store, name, validation, groups)
        values = score_store(store, validation, store.rankings(), groups) if validation else {}
        chosen = choose_shipped(values)
        shipped = store.shipped = chosen["shipped"]
        adapter, cutoff = fit_cutoff(
            store,
            shipped,
            validation,
            groups,
            precision=self.settings.precision,
            seed=self.settings.seed,
        )
        shutil.rmtree(self.work.file("cutoff"), ignore_errors=True)
        if adapter is not None:
            adapter.save_pretrained(self.work.file("cutoff"))
        verdict = judge(store, test, groups, shipped)
        store.close()
        shutil.rmtree(folder)
        fusions = {name: fusion.to_dict() for name, fusion in store.fusions.items()}
        return {
            "chosen": chosen,
            "fusions": fusions,
            "grids": grids,
            "cutoff": cutoff,
            "test": verdict,
        }

    def assemble(self, seconds: float) -> dict[str, Any]:
        """Put the finished parts together beside the index, then swap."""
        fresh = self.work.file("index")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        with disk_errors_told("writing the index"):
            report = self.fill(fresh, seconds)
        replace_dir(fresh, self.out)
        return report

    def fill(self, fresh: Path, seconds: float) -> dict[str, Any]:
        names = ["base", *(["adapted"] if self.adapted else [])]
        shutil.copyfile(self.table_path, fresh / "passages.sqlite")
        with PassageTable(fresh / "passages.sqlite") as table:
            for name in names:
                shutil.copytree(self.work.file(name, "encoder"), fresh / name / "encoder")
                save_vectors(self.index(name, len(table)), fresh / name / "vectors.faiss")
            if self.adapted:
                shutil.copytree(self.work.file("adapted", "model"), fresh / "adapted" / "model")
            if self.work.file("cutoff").is_dir():
                shutil.copytree(self.work.file("cutoff"), fresh / "cutoff")
            write_json(fresh / "manifest.json", self.manifest(names))
            seen = sorted({pair.query.lower() for pair in self.split().pairs})
            write_json(fresh / "training_queries.json", seen)
            report = self.report(table, fresh, seconds)
            write_json(fresh / "report.json", report)
            write_report(report, table, fresh)
        files = [p.relative_to(fresh).as_posix() for p in fresh.rglob("*") if p.is_file()]
        write_checksums(fresh, files)
        return report

    def manifest(self, names: list[str]) -> dict[str, Any]:
        judged = self.result("judge")
        return {
            "format": FORMAT,
            "vecsmith": importlib.metadata.version("vecsmith"),
            "settings": {
                **self.settings.to_dict(),
                "source": str(Path(self.settings.source).resolve()),
            },
            "listing": self.result("read")["listing"],
            "shipped": judged["chosen"]["shipped"],
            "fusions": judged["fusions"],
            "stamps": {name: self.stamp(name).to_dict() for name in names},
        }

    def report(self, table: PassageTable, fresh: Path, seconds: float) -> dict[str, Any]:
        vectors = {path.parent.name: path.stat().st_size for path in fresh.glob("*/vectors.faiss")}
        judged, read = self.result("judge"), self.result("read")
        steps = (
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
        return {
            "id": hash_text(read["listing"], str(self.settings.to_dict())),
            "settings": self.settings.to_dict(),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "hardware": hardware(),
            "versions": {
                name: importlib.metadata.version(name)
                for name in ("vecsmith", "torch", "sentence-transformers", "openvino", "faiss-cpu")
            },
            "read": {**read, "boilerplate": table.fact("boilerplate", {})},
            "skipped": table.skipped(),
            "pairs": self.result("pairs"),
            "backend": self.result("backend"),
            "train": self.result("train"),
            "merge": self.result("merge"),
            "judge": judged,
            "shipped": judged["chosen"]["shipped"],
            "bytes_per_passage": {
                **{name: size / len(table) for name, size in vectors.items()},
                "passages and words": (fresh / "passages.sqlite").stat().st_size / len(table),
            },
            "seconds": {
                "total": round(seconds, 1),
                **{
                    name: noted["seconds"]
                    for name in steps
                    if (noted := self.work.result(name)) is not None
                },
            },
            "peak_memory_mb": round(peak_memory_mb(), 1),
            "peak_memory_mb_after": {
                name: noted["peak_memory_mb"]
                for name in steps
                if (noted := self.work.result(name)) is not None
            },
        }
