"""The main job: a folder of documents -> a search engine adapted to them, with evidence.

Each step is a function of the settings and of what earlier steps left in the working folder, so
that a build can be killed at any moment and run again.
"""

import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.core import (
    DataError,
    Stamp,
    hash_text,
    peak_memory_mb,
    release_memory,
    require,
)
from vecsmith.data import Pair
from vecsmith.encode import export_encoder, load_encoder, resolve_model
from vecsmith.evaluate import Groups
from vecsmith.store import PassageTable, Store, VectorSpace, load_vectors, save_vectors

from ._assemble import assemble
from ._calibrate import fit_cutoff, judge_cutoff
from ._encode import choose_backend, encode_passages, index_shards
from ._heldout import Split, make_split
from ._judge import (
    AS_SHIPPED,
    WITHOUT,
    Values,
    choose_fusion,
    choose_shipped,
    judge,
    judge_store,
    score_views,
)
from ._negatives import mine_negatives, near_others, negative_texts
from ._quantise import learn_codes, some_queries, vectors_on_disk, wants_codes
from ._read import check_source, listing, listing_hash, read_source
from ._settings import BuildSettings
from ._target import fingerprint, resolve_target
from ._train import Columns, plan_steps, steps_over, train_model, training_columns
from ._work import WorkFolder, disk_errors_told

logger = logging.getLogger(__name__)
_LEAST_PAIRS = 200
# Part of the steps that a student is trained for before a guide is compared with it.
TRIAL_SHARE = 0.1


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
        ConfigError: Something else than an index lies at the target, or more dimensions are to be
            kept than the model has.
        StoreError: The folder cannot be written; an index that was there stays as it was.

    Cost:
        The training budget, and reading and encoding every passage with both models.
    """
    started = time.perf_counter()
    out = resolve_target(settings.out)
    check_source(settings.source)
    named = [name for name in (settings.model, settings.guide) if name is not None]
    models = [fingerprint(resolve_model(name).path) for name in named]
    # What only the last step needs should not be missed after all the others.
    require("jinja2", "report")
    # Names given from another folder may mean other things: what they mean is compared.
    meant = {"source": os.path.realpath(settings.source), "out": str(out), "models": models}
    pairs = {"pairs": None, "pairs_hash": _hash_of(settings.pairs)}
    work = WorkFolder(out, {**settings.to_dict(), **meant, **pairs})
    try:
        job = Job(settings, out, work)
        report = job.run(started)
    except BaseException:
        work.close()
        raise
    work.close(remove=True)
    return BuildResult(out, report)


def _hash_of(path: str | None) -> str | None:
    """Hash of a file that the build goes by, so that it is begun anew where that has changed."""
    if path is None:
        return None
    try:
        return hash_text(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError as error:
        raise DataError(
            f"pairs file {path!r} cannot be read: {error.strerror or error}; give a JSONL file "
            'with lines {"query": "…", "document": "path"}'
        ) from error


class Job:
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
        return assemble(self, time.perf_counter() - started)

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
        release_memory()
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
        # Asked for with its dimensions, so that too many of them are refused here.
        encoder = load_encoder(self.work.file("base", "encoder"), dims=self.settings.dims)
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
        if split.notes:
            logger.warning(
                "%d lines of the pairs file need a look (the report lists them), for example %s",
                len(split.notes),
                split.notes[0],
            )
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
        """The faiss index of a model's vectors, made once."""
        path = self.work.file(name, "vectors.faiss")
        if not path.exists():
            shards, dims = self.work.file(name, "shards"), self.stamp(name).dims
            parts = self.codes(name, count, dims)
            index = index_shards(
                shards, count, dims, int8=self.settings.int8, seed=self.settings.seed, parts=parts
            )
            save_vectors(index, path)
        return load_vectors(path)

    def codes(self, name: str, count: int, dims: int) -> Any:
        """Codes of a model's index, learned from the training queries; None where it has none."""
        if not wants_codes(self.settings.quantise, count):
            return None
        encoder = load_encoder(self.work.file(name, "encoder"), dims=self.settings.dims)
        texts = some_queries((pair.query for pair in self.split().pairs), self.settings.seed)
        file = self.work.file(name, "vectors.npy")
        documents = vectors_on_disk(self.work.file(name, "shards"), file, count, dims)
        queries = encoder.encode(texts, kind="query")
        parts, told = learn_codes(documents, queries, seed=self.settings.seed)
        self.work.finish(f"codes of {name}", told)
        file.unlink()
        return parts

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
        near, size = self.distractors(split), self.settings.batch_size
        guide, verdict, steps = None, {"used": False, "reason": "no guide was given"}, plan["steps"]
        if self.settings.guide is not None:
            from ._guide import checked_guide

            trial = max(1, round(TRIAL_SHARE * steps))
            steps = max(1, steps - trial)
            sets = self.training_sets(split, steps * size)
            student = self.work.file("trial")
            train_model(self.settings, student, sets, split.watch, distractors=near, steps=trial)
            guide, verdict = checked_guide(
                self.settings.guide, student / "tuned", split.watch, near, self.work.file("guide")
            )
        sets = self.training_sets(split, steps * size, guide)
        done = train_model(
            self.settings,
            self.work.file("train"),
            sets,
            split.watch,
            distractors=near,
            steps=steps_over(self.settings, sets, steps),
            guide=guide,
        )
        return {"trained": True, "plan": plan, "guide": verdict, **done}

    def mined(self, name: str, pairs: Sequence[Pair], groups: list[int], **options: Any) -> Any:
        """Rows of hard negatives of pairs, and their texts; mined once."""
        encoder = load_encoder(self.work.file("base", "encoder"), dims=self.settings.dims)
        with PassageTable(self.table_path) as table:
            rows = self.work.result(name)
            if rows is None:
                rows = mine_negatives(
                    pairs,
                    encoder,
                    self.index("base", len(table)),
                    table,
                    self.groups(table),
                    allowed=groups,
                    **options,
                )
                self.work.finish(name, rows)
            return rows, negative_texts(rows, table)

    def training_sets(self, split: Split, enough: int, guide: Any = None) -> Columns:
        name = "negatives" if guide is None else "guided negatives"
        rows, texts = self.mined(name, split.pairs, split.trained, enough=enough, guide=guide)
        return training_columns(split.pairs, rows, texts, enough=enough)

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
        from ._merge import merge_models, one_a_row, probe_rows

        split = self.split()
        merged = self.work.file("adapted", "model")
        probe = one_a_row(split.probe)
        known = [*split.trained, *{pair.group for pair in probe}]
        rows, texts = self.mined("probe negatives", probe, known, enough=len(probe))
        found = merge_models(
            self.settings,
            self.work.file("train", "tuned"),
            probe_rows(probe, rows, texts),
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
        split, folder = self.split(), self.work.file("judge")
        views = self.views(split, folder)
        with views[AS_SHIPPED].passages as table:
            groups = Groups(
                np.array(self.groups(table)), np.array(table.column("document"), dtype=np.int64)
            )
            verdict = self.verdict(views, split, groups)
        views[WITHOUT].close()
        shutil.rmtree(folder)
        return verdict

    def views(self, split: Split, folder: Path) -> dict[str, Store]:
        """Both copies of the index that held-out queries are asked of."""
        settings = self.settings
        names = ["base", *(["adapted"] if self.adapted else [])]
        spaces = {name: VectorSpace(self.work.file(name), self.stamp(name)) for name in names}
        table = PassageTable(self.table_path)
        for name, space in spaces.items():
            space.index = self.index(name, len(table))
        shards = {name: self.work.file(name, "shards") for name in names}
        copy = judge_store(
            folder,
            self.table_path,
            split.masked,
            spaces,
            shards,
            int8=settings.int8,
            seed=settings.seed,
        )
        return {AS_SHIPPED: Store.assemble(table, spaces), WITHOUT: copy}

    def verdict(self, views: dict[str, Store], split: Split, groups: Groups) -> dict[str, Any]:
        """Choose on validation what ships, and judge on test."""
        validation, test = split.queries["validation"], split.queries["test"]
        fusions, grids = {}, {}
        for name in views[AS_SHIPPED].spaces:
            found = choose_fusion(views, name, validation, groups)
            fusions[f"{name}_hybrid"], grids[f"{name}_hybrid"] = found
        for view in views.values():
            view.fusions = fusions
        values: Values = {}
        by_view: dict[str, Values] = {}
        if validation:
            rankings = views[AS_SHIPPED].rankings()
            values, by_view = score_views(views, validation, rankings, groups)
        chosen = choose_shipped(values, by_view)
        shipped = chosen["shipped"]
        adapter, cutoff = fit_cutoff(
            views,
            shipped,
            validation,
            groups,
            precision=self.settings.precision,
            seed=self.settings.seed,
        )
        shutil.rmtree(self.work.file("cutoff"), ignore_errors=True)
        if adapter is not None:
            adapter.save_pretrained(self.work.file("cutoff"))
            if test:
                cutoff["test"] = judge_cutoff(adapter, views, shipped, test, groups)
        return {
            "chosen": chosen,
            "fusions": {name: fusion.to_dict() for name, fusion in fusions.items()},
            "grids": grids,
            "cutoff": cutoff,
            "test": judge(views, test, groups, shipped),
        }
