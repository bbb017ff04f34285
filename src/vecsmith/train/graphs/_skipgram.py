"""Skip-gram with negative sampling on random walks, by the compiled engine of the word models.

Walks are made as they are needed, in units of some 30,000 steps, and never all held; noise nodes
are drawn by the 3/4 power of how often walks come by.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, did_you_mean, numpy_generator, progress
from vecsmith.train.words._sampling import NoiseWords, Unit
from vecsmith.train.words.engines import KernelEngine, TorchEngine, new_tables
from vecsmith.train.words.models._window_model import Shape

from ._scores import Floats, check_measure
from ._walks import Ids, RandomWalks, Walks

UNIT = 1 << 15
ENGINES = ("auto", "numba", "torch")


@dataclass(frozen=True)
class WalkTraining:
    """How skip-gram learns from walks.

    Attributes:
        epochs: Passes; each has walks of its own.
        negative: Noise nodes a target.
        rate: Learning rate of AdaGrad, constant.
        measure: How vectors tell of an edge: "dot", "cosine" or "euclidean".
        workers: Threads. Walks are the same with any number; training steps on several threads
            overwrite one another now and then, so that with more than 1 no two runs are equal.
        engine: "numba" (compiled loops on CPUs), "torch" (batches), or "auto": numba on a CPU.
        device: Where torch computes.
        batch: Targets of a step in torch.
    """

    epochs: int = 1
    negative: int = 5
    rate: float = 0.05
    measure: str = "cosine"
    workers: int = 1
    engine: str = "auto"
    device: str = "cpu"
    batch: int = 1024

    def __post_init__(self) -> None:
        for name in ("epochs", "negative", "workers", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise ConfigError(f"rate must be finite and above 0; got {self.rate!r}")
        check_measure(self.measure)
        if self.engine not in ENGINES:
            raise ConfigError(
                f"engine cannot be {self.engine!r}; {did_you_mean(str(self.engine), ENGINES)}"
            )
        if self.engine == "numba" and self.device != "cpu":
            raise ConfigError(f"engine 'numba' computes on 'cpu' alone; got {self.device!r}")

    @property
    def compiled(self) -> bool:
        """Whether compiled loops train."""
        return self.engine == "numba" or (self.engine == "auto" and self.device == "cpu")


def walk_stream(walks: Walks, window: int, pad: int) -> tuple[NDArray[np.int32], Ids]:
    """Lay walks behind one another, with padding between them.

    Args:
        walks: Shape (walks, length), -1 after a dead end.
        window: k, ids of padding before, between and after.
        pad: Id of the padding.

    Returns:
        The stream, and the places in it that hold nodes.
    """
    number, length = walks.shape
    stream = np.full((number + 1, length + window), pad, np.int32)
    stream[:number, window:] = np.where(walks < 0, pad, walks)
    flat = stream.ravel()[: number * (length + window) + window]
    return flat, np.flatnonzero(flat != pad)


def skipgram_vectors(
    walks: RandomWalks,
    dim: int,
    *,
    window: int,
    options: WalkTraining,
    watch: Callable[[int, Floats], None] | None = None,
) -> Floats:
    """Train vectors on walks.

    Args:
        walks: The walks.
        dim: d.
        window: k, steps on each side.
        options: Further settings.
        watch: Called after each pass with its number and the vectors.

    Returns:
        Shape (n, d).

    Raises:
        ConfigError: A setting out of its range.
    """
    if window < 1:
        raise ConfigError(f"window must be at least 1; got {window}")
    tables = new_tables("skipgram", Shape(walks.nodes, dim, window, dim), walks.seed)
    engine: KernelEngine | TorchEngine
    given: dict[str, Any] = {"window": window, "objective": "neg", "rate": options.rate}
    if options.compiled:
        engine = KernelEngine(tables, "skipgram", **given)
    else:
        engine = TorchEngine(
            tables, "skipgram", **given, batch=options.batch, device=options.device
        )
    # a node is among the noise even where its first walks were left out
    noise = NoiseWords(np.maximum(walks.visits(), 1))
    share = max(UNIT // walks.length, 1)
    vectors = tables.values["embeddings"]
    for epoch in range(options.epochs):
        order = numpy_generator(walks.seed, "walks", "order", str(epoch)).permutation(len(walks))
        parts = [order[i : i + share] for i in range(0, len(order), share)]

        def run(number: int, epoch: int = epoch, parts: list[Ids] = parts) -> None:
            made = walks.make(parts[number], epoch=epoch)
            stream, positions = walk_stream(made, window, walks.nodes)
            rng = numpy_generator(walks.seed, "walks", "noise", str(epoch), str(number))
            negatives = noise.draw(rng, (len(positions), options.negative))
            engine.step(Unit(stream, positions, negatives, len(positions)))

        _go_through(run, len(parts), engine, options.workers, f"walks {epoch + 1}")
        engine.finish()
        if watch is not None:
            watch(epoch, vectors[:-1].copy())
    return vectors[:-1].copy()


def _go_through(
    run: Callable[[int], None],
    parts: int,
    engine: KernelEngine | TorchEngine,
    workers: int,
    name: str,
) -> None:
    with progress(description=name, total=parts) as bar:
        if workers > 1 and isinstance(engine, KernelEngine):
            with ThreadPoolExecutor(workers) as pool:
                for _ in pool.map(run, range(parts)):
                    bar.update()
            return
        for number in range(parts):
            run(number)
            bar.update()
