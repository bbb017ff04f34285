"""Move an index to another model while it goes on answering.

A linear map from the old vectors to the new model's is fitted on a sample of passages, and the
index serves mapped vectors at once, with the new model's queries. Then the passages are encoded
with the new model, shard by shard; now and then the index is put together anew of what is encoded
and, for the rest, what is mapped. Killed at any moment, it goes on where it was. The loss, as part
of the new model's own first ten that mapped vectors miss, is measured on the held-out part of the
sample on the way, and on the whole index at the end.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    ConfigError,
    StoreError,
    numpy_generator,
    read_json,
    replace_dir,
    require,
    sha256_file,
    write_checksums,
    write_json,
)
from vecsmith.encode import export_encoder, load_encoder, resolve_model
from vecsmith.reshape import SpaceMap
from vecsmith.store import (
    PassageTable,
    Store,
    build_vectors,
    index_parts,
    load_vectors,
    model_of,
    reconstruct,
    save_vectors,
)
from vecsmith.store.compressed import IndexParts, dense_lists, overlaps, search_rows

from ._assemble import bytes_per_passage, now
from ._encode import encode_passages, index_shards, shards
from ._quantise import learn_codes, some_queries, vectors_on_disk, wants_codes
from ._report import write_report
from ._target import check_replaceable, fingerprint
from ._update import carry_over
from ._work import WorkFolder, disk_errors_told

SAMPLE = 4_000
HELD_OUT = 0.25
QUERIES = 500
# the index is put together anew after this part of the passages
SWAP_EVERY = 0.1
_BLOCK = 4_096
Vectors = NDArray[np.float32]


def migrate(
    folder: str | Path, model: str | None = None, *, sample: int = SAMPLE, map_only: bool = False
) -> dict[str, Any]:
    """Move an index to another model, or go on with a move that was cut off.

    Args:
        folder: The index.
        model: Hub id or folder of the new model; None goes on with the one that was begun.
        sample: Passages that the map is fitted and judged on.
        map_only: Stop when the mapped vectors serve; a later call encodes the passages.

    Returns:
        "model", "from", "passages", "encoded" (how many hold the new model's own vectors),
        "finished", and "history": the overlaps as they were measured.

    Raises:
        StoreError: No index, or another move is unfinished.
        ConfigError: No model given and none begun, or a sample below 100.
        ModelError: The model cannot be loaded.

    Cost:
        Encoding the sample before the map serves, then every passage; the index is written anew
        after each tenth.
    """
    require("jinja2", "report")
    if sample < 100:
        raise ConfigError(f"sample must be at least 100 passages; got {sample}")
    out = Path(os.path.realpath(folder))
    begun = _begun(Store(out), model)
    weights = fingerprint(resolve_model(begun).path)
    key = {"migrate": weights, "passages": sha256_file(out / "passages.sqlite")}
    work = WorkFolder(out, key, "migrating")
    try:
        with disk_errors_told("the migration"):
            result = _Move(out, work, begun, sample).run(map_only=map_only)
    except BaseException:
        work.close()
        raise
    work.close(remove=result["finished"])
    return result


def _begun(store: Store, model: str | None) -> str:
    moving = store.manifest.get("migration", {})
    store.close()
    under_way = moving.get("model") if moving and not moving.get("finished") else None
    if model is None and under_way is None:
        raise ConfigError("no migration of this index was begun; say to which model: --model NEW")
    if model is not None and under_way not in (None, model):
        raise StoreError(
            f"this index is on its way to {under_way!r}; finish that first (vecsmith migrate "
            f"{str(store.folder)!r}), then go on to {model!r}"
        )
    return model or str(under_way)


class _Move:
    """One move of one index."""

    def __init__(self, out: Path, work: WorkFolder, model: str, sample: int) -> None:
        self.out, self.work, self.model = out, work, model
        if work.result("encoder") is None:
            export_encoder(model, work.file("encoder"))
            work.finish("encoder", True)
        self.encoder = load_encoder(work.file("encoder"))
        self.dims: int = self.encoder.stamp.dims
        self.table = PassageTable(out / "passages.sqlite")
        self.count = len(self.table)
        rng = numpy_generator(0, "migrate", "sample")
        self.rows = np.sort(rng.permutation(self.count)[:sample])
        self.held_out = rng.permutation(len(self.rows))[: max(1, int(HELD_OUT * len(self.rows)))]

    def run(self, *, map_only: bool) -> dict[str, Any]:
        """Map, then encode."""
        if self.work.result("mapped") is None:
            self.work.finish("mapped", self.map())
        self.state: dict[str, Any] = self.work.result("state") or self.begin()
        if map_only:
            return self.told()
        encode_passages(
            self.table,
            self.encoder,
            self.work.file("shards"),
            label=f"encoding with {self.model}",
            after=self.after_shard,
        )
        self.finish()
        return self.told()

    def told(self) -> dict[str, Any]:
        """What `migrate` returns."""
        return {"passages": self.count, **self.state}

    @cached_property
    def sampled(self) -> Vectors:
        """The new model's vectors of the sample, encoded once."""
        path = self.work.file("sample.npy")
        if not path.exists():
            texts = [stored.passage.content for stored in self.table.take(self.rows.tolist())]
            np.save(path, self.encoder.encode(texts))
        return np.asarray(np.load(path), np.float32)

    @cached_property
    def seen(self) -> list[str]:
        """Queries that training and choosing asked."""
        held = read_json(self.out / "seen_queries.json")
        return sorted({text for group in held.values() for text in group})

    @cached_property
    def queries(self) -> Vectors:
        """Queries to judge by in the new model's space: seen ones, else sampled passages."""
        if not self.seen:
            return self.sampled[self.held_out]
        rng = numpy_generator(0, "migrate", "queries")
        some = [self.seen[i] for i in rng.permutation(len(self.seen))[:QUERIES]]
        return np.asarray(self.encoder.encode(some, kind="query"), np.float32)

    def map(self) -> dict[str, Any]:
        """Fit the map and write the mapped vectors of all passages."""
        store = Store(self.out)
        name = model_of(store.shipped) or "base"
        space = store.spaces[name if name in store.spaces else next(iter(store.spaces))]
        new, old = self.sampled, reconstruct(space.index, self.rows)
        fitted = np.setdiff1d(np.arange(len(self.rows)), self.held_out)
        found = SpaceMap.fit(old[fitted], new[fitted])
        found.save(self.work.file("map.safetensors"))
        file = self.work.file("mapped.npy")
        mapped = np.lib.format.open_memmap(
            file, mode="w+", dtype=np.float32, shape=(self.count, self.dims)
        )
        for start in range(0, self.count, _BLOCK):
            block = np.arange(start, min(start + _BLOCK, self.count), dtype=np.int64)
            mapped[block] = found.apply(reconstruct(space.index, block))
        mapped.flush()
        store.close()
        return {"from": space.stamp.to_dict(), "shipped": store.shipped}

    def mapped(self) -> Vectors:
        """The mapped vectors, as a memory map."""
        return np.asarray(np.load(self.work.file("mapped.npy"), mmap_mode="r"))

    def loss(self, done: int) -> float:
        """Overlap with the new model's first ten among the held-out part of the sample."""
        rows, new = self.rows[self.held_out], self.sampled[self.held_out]
        mixed = np.where((rows < done)[:, None], new, self.mapped()[rows])
        asked = self.queries
        found, wanted = (dense_lists(asked, held, 10)[1] for held in (mixed, new))
        return float(overlaps(found, wanted).mean())

    def begin(self) -> dict[str, Any]:
        """Put the mapped vectors into service."""
        self.state = {
            "model": self.model,
            "from": self.work.result("mapped")["from"]["model"],
            "encoded": 0,
            "finished": False,
            "history": [],
        }
        self.swap(0)
        return self.state

    def blocks(self, done: int) -> Iterator[Vectors]:
        """Vectors of all passages: encoded up to `done`, mapped after it."""
        start = 0
        if done:
            for block in shards(self.work.file("shards")):
                yield block
                start += len(block)
        mapped = self.mapped()
        for place in range(start, self.count, _BLOCK):
            yield np.array(mapped[place : place + _BLOCK])

    def after_shard(self, done: int) -> None:
        """Put what is encoded into service after each tenth of the passages."""
        if done < self.count and done - self.state["encoded"] >= SWAP_EVERY * self.count:
            self.swap(done)

    def swap(self, done: int) -> None:
        """Write an index of the vectors as they are now and put it in place."""
        int8 = Store(self.out).settings["int8"]
        train = self.sampled if int8 or self.count > len(self.rows) else None
        index = build_vectors(
            self.blocks(done),
            self.count,
            self.dims,
            precision="int8" if int8 else "float32",
            train=train,
            parts=self.kept_codes(done),
        )
        self.put(index, done, {"encoded": done, "overlap_at_10": self.loss(done)})

    def kept_codes(self, done: int) -> IndexParts | None:
        """Codes of the index in service, so that they are not trained again for each tenth."""
        if not self.state["history"]:
            return None
        parts = index_parts(load_vectors(self.out / "base" / "vectors.faiss"))
        if parts is None:
            return None
        lists = [parts.nearest_lists(block) for block in self.blocks(done)]
        return replace(parts, assignment=np.concatenate(lists))

    def finish(self) -> None:
        """Put the new model's own vectors into service and measure what the map lost."""
        settings = Store(self.out).settings
        index = index_shards(
            self.work.file("shards"),
            self.count,
            self.dims,
            int8=settings["int8"],
            seed=settings["seed"],
            parts=self.learned_codes(settings),
        )
        before = dense_lists(self.queries, self.mapped(), 10)[1]
        overlap = float(overlaps(before, search_rows(index, self.queries, 10)).mean())
        self.put(index, self.count, {"encoded": self.count, "mapped_overlap_at_10": overlap})

    def learned_codes(self, settings: dict[str, Any]) -> IndexParts | None:
        """Codes learned from the queries that the build saw, as `build` learns them."""
        texts = some_queries(self.seen, settings["seed"])
        if not texts or not wants_codes(settings.get("quantise", "none"), self.count):
            return None
        file = self.work.file("vectors.npy")
        documents = vectors_on_disk(self.work.file("shards"), file, self.count, self.dims)
        asked = self.encoder.encode(texts, kind="query")
        parts, _ = learn_codes(documents, asked, seed=settings["seed"])
        file.unlink()
        return parts

    def put(self, index: Any, done: int, measured: dict[str, Any]) -> None:
        """Swap the folder for one with another index of vectors."""
        state = {**self.state, "encoded": done, "finished": done == self.count}
        state["history"] = [*self.state["history"], measured]
        store, fresh = Store(self.out), self.work.file("index")
        shutil.rmtree(fresh, ignore_errors=True)
        (fresh / "base").mkdir(parents=True)
        shutil.copytree(self.work.file("encoder"), fresh / "base" / "encoder")
        save_vectors(index, fresh / "base" / "vectors.faiss")
        shutil.copyfile(self.out / "passages.sqlite", fresh / "passages.sqlite")
        write_json(fresh / "manifest.json", self.manifest(store, state))
        report = {**read_json(self.out / "report.json"), "migrated": {**state, "date": now()}}
        with PassageTable(fresh / "passages.sqlite") as table:
            report["bytes_per_passage"] = bytes_per_passage(fresh, table)
            write_json(fresh / "report.json", report)
            write_report(report, table, fresh)
        carry_over(self.out, fresh, without=("adapted", "base", "cutoff"))
        names = [p.relative_to(fresh).as_posix() for p in fresh.rglob("*") if p.is_file()]
        write_checksums(fresh, names)
        store.close()
        check_replaceable(self.out)
        replace_dir(fresh, self.out)
        self.state = self.work.finish("state", state)

    def manifest(self, store: Store, state: dict[str, Any]) -> dict[str, Any]:
        """Manifest of an index with the new model alone."""
        shipped = self.work.result("mapped")["shipped"].replace("adapted", "base")
        fusions = {name.replace("adapted", "base"): f for name, f in store.fusions.items()}
        kept = {**store.manifest, "settings": {**store.settings, "model": self.model}}
        return {
            **kept,
            "shipped": shipped,
            "fusions": {name: fusion.to_dict() for name, fusion in fusions.items()},
            "stamps": {"base": self.encoder.stamp.to_dict()},
            "migration": state,
        }
