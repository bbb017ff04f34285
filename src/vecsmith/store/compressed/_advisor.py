"""Which index for this collection: candidates measured on a sample, and the one to take.

Give what is needed (recall, bytes a document, milliseconds a query); each candidate is built on a
sample of the vectors, its dials are turned (lists visited, depth of re-ranking), and every setting
becomes a point: part of the exact search's first ten that it finds, bytes, milliseconds. Of the
points that keep every limit the smallest is taken, and the fastest among equals.

Cost: minutes at the default sample of 50,000; most of it is training and building candidates.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.core import (
    Budget,
    ConfigError,
    atomic_path,
    did_you_mean,
    numpy_generator,
    progress,
    require,
)

from ._distill_vq import DistillVQ, DistilOptions
from ._index_parts import Vectors
from ._index_report import index_bytes, milliseconds, overlaps, search_rows
from ._lists import CandidateSampling, checked_vectors, dense_lists

DEPTHS = (2, 4, 16, 64)
# faiss asks for 39 vectors a codeword
LEAST_FOR_CODES = 10_000
HELD_OUT = 500
# of OPQ, as faiss has them
ROUNDS = 50
LEAST_TO_LEARN = 200


@dataclass(frozen=True)
class Need:
    """What an index must keep to.

    Attributes:
        recall: Part of the exact search's first ten that it must find, 0 to 1.
        bytes_per_document: At most so many; None: no limit.
        ms_per_query: At most so many milliseconds for one query on the sample; None: no limit.
    """

    recall: float = 0.95
    bytes_per_document: float | None = None
    ms_per_query: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise ConfigError(f"recall must be above 0 and at most 1; got {self.recall}")
        for name in ("bytes_per_document", "ms_per_query"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} must be above 0; got {value}")

    def kept_by(self, point: "IndexPoint") -> bool:
        """Say whether a point keeps every limit.

        Args:
            point: What was measured.

        Returns:
            Whether it does.
        """
        most = (self.bytes_per_document, self.ms_per_query)
        got = (point.bytes_per_document, point.ms_per_query)
        fine = all(limit is None or value <= limit for limit, value in zip(most, got, strict=True))
        return fine and point.recall >= self.recall


@dataclass(frozen=True)
class IndexPoint:
    """One candidate at one setting of its dials.

    Attributes:
        kind: Name of the candidate.
        factory: What `faiss.index_factory` makes it of; "" for learned ones.
        settings: Its dials.
        recall: Part of the exact search's first ten that it finds.
        bytes_per_document: Size as saved, divided by the documents of the sample.
        ms_per_query: Median milliseconds of one search.
    """

    kind: str
    factory: str
    settings: dict[str, int]
    recall: float
    bytes_per_document: float
    ms_per_query: float


@dataclass(frozen=True)
class Advice:
    """What to take, and everything that was measured.

    Attributes:
        need: What was asked for.
        choice: The point to take; where none keeps all limits, the one with the highest recall
            within the other limits, or the highest of all.
        met: Whether it keeps every limit.
        points: All points.
        documents: Size of the sample.
    """

    need: Need
    choice: IndexPoint
    met: bool
    points: list[IndexPoint] = field(repr=False)
    documents: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return asdict(self)

    def plot(self, path: str | Path) -> None:
        """Draw recall against bytes, one line a candidate, the choice marked.

        Args:
            path: Picture to write; its ending says the format (.png, .svg).

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        require("matplotlib", "plots")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for kind in dict.fromkeys(point.kind for point in self.points):
            own = [point for point in self.points if point.kind == kind]
            axes.plot(
                [p.bytes_per_document for p in own], [p.recall for p in own], "o-", label=kind
            )
        chosen = self.choice
        axes.plot(chosen.bytes_per_document, chosen.recall, "k*", markersize=16, label="choice")
        axes.axhline(self.need.recall, color="grey", linestyle=":")
        axes.set(xscale="log", xlabel="bytes a document", ylabel="part of the exact first ten")
        axes.legend(fontsize="small")
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=Path(path).suffix.lstrip(".") or "png")


@dataclass(frozen=True)
class _Dial:
    """How to set an index for a search."""

    name: str
    values: tuple[int, ...]
    turn: Callable[[Any, int], None]


def _probes(index: Any, value: int) -> None:
    import faiss

    faiss.extract_index_ivf(index).nprobe = value


def _depth(index: Any, value: int) -> None:
    index.k_factor = value


def _effort(index: Any, value: int) -> None:
    index.hnsw.efSearch = value


def _layout(count: int, dims: int) -> tuple[int, int]:
    from vecsmith.store._vectors import index_layout

    return index_layout(count, dims)


def _factories(count: int, dims: int) -> dict[str, tuple[str, tuple[_Dial, ...]]]:
    """Every candidate that plain faiss builds: its factory string and dials."""
    lists, parts = _layout(count, dims)
    probes = _Dial("nprobe", tuple(v for v in (1, 4, 16, 64, 256) if v <= lists), _probes)
    depth = _Dial("k_factor", DEPTHS, _depth)
    effort = _Dial("efSearch", (16, 64, 256), _effort)
    few = min(dims, max(8, dims // 4))
    found: dict[str, tuple[str, tuple[_Dial, ...]]] = {
        "flat": ("Flat", ()),
        "float16": ("SQfp16", ()),
        "int8": ("SQ8", ()),
        "hnsw": ("HNSW32,Flat", (effort,)),
        "1-bit": (f"RR{dims},RaBitQ", ()),
        "1-bit, re-ranked by int8": (f"RR{dims},RaBitQ,Refine(SQ8)", (depth,)),
        f"{few} dims, re-ranked by int8": (f"PCA{few},SQ8,Refine(SQ8)", (depth,)),
    }
    if count < LEAST_FOR_CODES:
        return found
    return {
        **found,
        "ivf-pq": (f"IVF{lists},PQ{parts}np", (probes,)),
        "opq": (f"OPQ{parts},IVF{lists},PQ{parts}np", (probes,)),
        "opq, re-ranked by int8": (
            f"OPQ{parts},IVF{lists},PQ{parts}np,Refine(SQ8)",
            (probes, _Dial("k_factor", (4,), _depth)),
        ),
    }


LEARNED = "learned"


def candidates(count: int, dims: int) -> list[str]:
    """Names of all candidates for a collection.

    Args:
        count: Its vectors.
        dims: Their dimensions.

    Returns:
        The names.
    """
    return [*_factories(count, dims), *([LEARNED] if count >= LEAST_FOR_CODES else [])]


def _settings(dials: Sequence[_Dial]) -> Iterator[dict[str, int]]:
    if not dials:
        yield {}
        return
    for value in dials[0].values:
        for rest in _settings(dials[1:]):
            yield {dials[0].name: value, **rest}


def advise(
    vectors: Vectors,
    queries: Vectors,
    need: Need | None = None,
    *,
    kinds: Sequence[str] | None = None,
    sample: int = 50_000,
    steps: int = 400,
    seed: int = 0,
) -> Advice:
    """Measure candidates on a sample and choose.

    Args:
        vectors: Documents, unit length for cosines, shape (n, dims); a memory map will do.
        queries: Real queries, shape (queries, dims); up to 500 judge, the others teach the learned
            candidate.
        need: Recall, bytes and time; by default a recall of .95.
        kinds: Names of `candidates`; by default all, without "learned" below 200 spare queries.
        sample: Documents to measure on.
        steps: Training steps of the learned candidate.
        seed: Seed of the sample and of training.

    Returns:
        The choice with its settings, and all points.

    Raises:
        ConfigError: An unknown kind.
        DataError: Vectors or queries that are no finite matrix of equal dimensions.
    """
    need = need or Need()
    checked_vectors(vectors, "vectors")
    checked_vectors(queries, "queries", vectors.shape[1])
    rng = numpy_generator(seed, "advisor")
    rows = np.sort(rng.permutation(len(vectors))[:sample])
    documents = np.ascontiguousarray(vectors[rows], np.float32)
    order = rng.permutation(len(queries))
    asked, spare = queries[order[:HELD_OUT]], queries[order[HELD_OUT:]]
    known = candidates(*documents.shape)
    wanted = list(kinds) if kinds is not None else known
    for kind in wanted:
        if kind not in known:
            raise ConfigError(f"no candidate is called {kind!r}; {did_you_mean(kind, known)}")
    if kinds is None and len(spare) < LEAST_TO_LEARN and LEARNED in wanted:
        wanted.remove(LEARNED)
    exact = dense_lists(asked, documents, 10)[1]
    points: list[IndexPoint] = []
    for kind in progress(wanted, "measuring indexes", unit="index"):
        points += _measure(kind, documents, asked, exact, (spare, steps, seed))
    return _choose(need, points, len(documents))


def _measure(
    kind: str, documents: Vectors, asked: Vectors, exact: Any, learning: tuple[Vectors, int, int]
) -> list[IndexPoint]:
    factory, dials = _factories(*documents.shape).get(kind, ("", ()))
    if kind == LEARNED:
        index, dials = _learned(documents, *learning)
    else:
        index = _built(factory, documents)
    size = index_bytes(index) / len(documents)
    found = []
    for settings in _settings(dials):
        for dial in dials:
            dial.turn(index, settings[dial.name])
        recall = float(overlaps(search_rows(index, asked, 10), exact).mean())
        took = milliseconds(index, asked)
        found.append(IndexPoint(kind, factory, settings, recall, size, took))
    return found


def _built(factory: str, documents: Vectors) -> Any:
    import faiss

    index = faiss.index_factory(documents.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(documents)
    index.add(documents)
    return index


def _learned(
    documents: Vectors, queries: Vectors, steps: int, seed: int
) -> tuple[Any, tuple[_Dial, ...]]:
    lists, parts = _layout(*documents.shape)
    options = DistilOptions(
        lr_codebooks=3e-3, sampling=CandidateSampling(min(200, len(documents))), seed=seed
    )
    vq = DistillVQ("ivf_opq", lists=lists, subvectors=parts, probes=1, options=options)
    vq.init(documents, rotation_rounds=ROUNDS).fit(queries, budget=Budget(steps=steps))
    probes = tuple(value for value in (1, 4, 16, 64, 256) if value <= lists)
    return vq.to_faiss(), (_Dial("nprobe", probes, _probes),)


def _choose(need: Need, points: list[IndexPoint], documents: int) -> Advice:
    fine = [point for point in points if need.kept_by(point)]
    if fine:
        best = min(fine, key=lambda point: (point.bytes_per_document, point.ms_per_query))
        return Advice(need, best, met=True, points=points, documents=documents)
    loose = Need(1e-9, need.bytes_per_document, need.ms_per_query)
    within = [point for point in points if loose.kept_by(point)] or points
    best = max(within, key=lambda point: point.recall)
    return Advice(need, best, met=False, points=points, documents=documents)
