"""Quality, time and storage of an elastic encoder at every size, and the best size within a budget.

Every size is judged and timed on a model that is really cut: later blocks are gone, vectors are
short and of length 1.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vecsmith.core import ConfigError, DataError

BYTES = 4
BATCH = 32


@dataclass(frozen=True)
class SizeResult:
    """What one size of one model costs and is worth.

    Attributes:
        model: Name of the model.
        layers: How many blocks run.
        dim: How many dimensions a vector has.
        quality: Score of the evaluator.
        ms_per_text: Milliseconds a text, median of the rounds.
        bytes_per_vector: In float32.
    """

    model: str
    layers: int
    dim: int
    quality: float
    ms_per_text: float
    bytes_per_vector: int


@dataclass(frozen=True)
class Grid:
    """Results at several sizes; ``pandas.DataFrame(grid.rows)`` makes a frame of them.

    Attributes:
        rows: One result a size and model.
        greater_is_better: Direction of the quality.
    """

    rows: tuple[SizeResult, ...]
    greater_is_better: bool = True

    def pick(
        self, *, max_ms: float | None = None, max_bytes: int | None = None, model: str | None = None
    ) -> SizeResult:
        """Choose the size of the best quality within a budget.

        Args:
            max_ms: Most milliseconds a text; None sets no limit.
            max_bytes: Most bytes a vector; None sets no limit.
            model: Name of the model; None takes any.

        Returns:
            The result; of equally good ones the cheapest.

        Raises:
            ConfigError: No size is that cheap.
        """
        fitting = [
            row
            for row in self.rows
            if (max_ms is None or row.ms_per_text <= max_ms)
            and (max_bytes is None or row.bytes_per_vector <= max_bytes)
            and (model is None or row.model == model)
        ]
        if not fitting:
            least = min(self.rows, key=lambda row: (row.ms_per_text, row.bytes_per_vector))
            raise ConfigError(
                f"no size costs at most {max_ms} ms and {max_bytes} bytes; the cheapest costs "
                f"{least.ms_per_text:.2f} ms and {least.bytes_per_vector} bytes: raise the budget, "
                "or evaluate smaller sizes"
            )
        sign = 1.0 if self.greater_is_better else -1.0
        return max(
            fitting, key=lambda row: (sign * row.quality, -row.ms_per_text, -row.bytes_per_vector)
        )

    def table(self) -> str:
        """Return the rows as a Markdown table."""
        head = ("| model | layers | dims | quality | ms/text | bytes/vector |", "|---" * 6 + "|")
        lines = [
            f"| {row.model} | {row.layers} | {row.dim} | {row.quality:.4f} "
            f"| {row.ms_per_text:.2f} | {row.bytes_per_vector} |"
            for row in self.rows
        ]
        return "\n".join([*head, *lines])


def evaluate_grid(
    model: Any,
    evaluator: Callable[[Any], Any],
    *,
    layers: Sequence[int],
    dims: Sequence[int],
    texts: Sequence[str],
) -> Grid:
    """Judge a model at every pair of a number of layers and a number of dimensions.

    Args:
        model: A `SentenceTransformer`.
        evaluator: An evaluator of sentence-transformers, or a function of a model that returns one
            number.
        layers: Numbers of blocks.
        dims: Numbers of leading dimensions.
        texts: What is encoded for the time; take texts of the usual length, a few hundred.

    Returns:
        One row a pair.

    Raises:
        ConfigError: No such size.
        DataError: The evaluator gives no number, or there are no texts.

    Cost:
        One evaluation a pair, and six encodings of the texts for each number of layers.
    """
    sizes = [(number, dim) for number in layers for dim in dims]
    return evaluate_menu(model, evaluator, sizes, texts=texts)


def evaluate_menu(
    model: Any,
    evaluator: Callable[[Any], Any],
    menu: Sequence[tuple[int, int]],
    *,
    texts: Sequence[str],
    against: Mapping[str, Any] | None = None,
) -> Grid:
    """Judge a model at the sizes of a menu, and others beside it.

    Args:
        model: A `SentenceTransformer`.
        evaluator: As in `evaluate_grid`.
        menu: Pairs (layers, dim).
        texts: As in `evaluate_grid`.
        against: Name -> another model to be judged at the same sizes, or a sequence of models that
            were trained apart, one a size.

    Returns:
        One row a size and model; the first model is called "model".

    Raises:
        ConfigError: No such size.
        DataError: The evaluator gives no number, there are no texts, or a sequence of models has
            not one a size.
    """
    from vecsmith.encode import elastic_view

    rows = []
    for name, given in {"model": model, **(against or {})}.items():
        apart = isinstance(given, (list, tuple))
        if apart and len(given) != len(menu):
            raise DataError(
                f"{name!r} should hold one model a size, {len(menu)}; it holds {len(given)}"
            )
        whole = given if apart else [given] * len(menu)
        views = [
            elastic_view(m, layers, dim=dim) for m, (layers, dim) in zip(whole, menu, strict=True)
        ]
        taken = _milliseconds(views, texts)
        for view, (layers, dim), spent in zip(views, menu, taken, strict=True):
            quality = _quality(evaluator, view)
            rows.append(SizeResult(name, layers, dim, quality, spent, BYTES * dim))
    return Grid(tuple(rows), bool(getattr(evaluator, "greater_is_better", True)))


def layer_times(
    model: Any, texts: Sequence[str], layers: Sequence[int], *, rounds: int = 5
) -> dict[int, float]:
    """Time a model cut to several numbers of blocks.

    Args:
        model: A `SentenceTransformer`.
        texts: What to encode.
        layers: Numbers of blocks.
        rounds: How often; rounds go through all numbers in turn, so that a change of the machine's
            load meets all of them.

    Returns:
        Number of blocks -> milliseconds a text, median of the rounds.

    Raises:
        DataError: There are no texts.
    """
    from vecsmith.encode import elastic_view

    views = [elastic_view(model, number) for number in layers]
    return dict(zip(layers, _milliseconds(views, texts, rounds), strict=True))


def _milliseconds(models: Sequence[Any], texts: Sequence[str], rounds: int = 5) -> list[float]:
    if not texts:
        raise DataError("texts must hold what is to be encoded for the time; got none")
    seconds: list[list[float]] = [[] for _ in models]
    for number in range(rounds + 1):
        for place, model in enumerate(models):
            begin = time.perf_counter()
            model.encode(list(texts), batch_size=BATCH, show_progress_bar=False)
            # the first round warms up
            if number:
                seconds[place].append(time.perf_counter() - begin)
    return [1000.0 * statistics.median(taken) / len(texts) for taken in seconds]


def _quality(evaluator: Callable[[Any], Any], model: Any) -> float:
    found = evaluator(model)
    if isinstance(found, Mapping):
        name = getattr(evaluator, "primary_metric", None)
        if name not in found:
            raise DataError(
                "the evaluator gives several figures and does not say which one counts: set its "
                f"primary_metric to one of {sorted(found)}; it is {name!r}"
            )
        found = found[name]
    return float(found)
