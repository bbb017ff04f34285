"""Hard negatives: mined from vectors under the same filter as the loss, and mined again on the way.

`mine_hard_negatives` ranks candidates by cosine, leaves out what a `NegativeFilter` or equal text
makes a likely positive, and draws from a window of ranks. `MinedNegatives` keeps the negatives of a
data set up to date while a model trains: its data set looks them up when a batch is fetched, and
its callback mines anew with the model as it then is (PEG, T. Wu and others, 2023; ANCE, L. Xiong
and others, 2021). Cost of a round: one encoding of queries and candidates, one product of both.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, atomic_path, numpy_generator

from ._core import unit
from ._guide_files import text_keys
from ._negative_filter import NegativeFilter

if TYPE_CHECKING:
    from datasets import Dataset

BLOCK = 1024
FILE = "mined_negatives.safetensors"


def mine_hard_negatives(
    query_vecs: ArrayLike,
    positive_vecs: ArrayLike,
    candidate_vecs: ArrayLike,
    *,
    number: int = 5,
    rank_range: tuple[int, int] = (0, 50),
    rule: NegativeFilter | None = None,
    allowed: Any = None,
    seed: int | None = None,
) -> NDArray[np.int64]:
    """Pick hard negatives for each query.

    Args:
        query_vecs: Shape (n, dims).
        positive_vecs: Shape (n, dims).
        candidate_vecs: Shape (m, dims).
        number: Negatives a query.
        rank_range: First and one past the last rank to pick from, counted after the filter.
        rule: What is no negative; by default what is nearer to the query than its positive.
        allowed: Function of a slice of queries and of candidate rows, shape (block, ranks), that
            tells which may be negatives at all; for equal texts or the same document, say.
        seed: Draw from the window with this seed; None takes its nearest ones.

    Returns:
        Rows of candidates, nearest first, shape (n, number); -1 where the window holds too few.

    Raises:
        ConfigError: The window is smaller than the number.
        DataError: Shapes do not fit.
    """
    low, high = rank_range
    if not 0 <= low < high or high - low < number or number < 1:
        raise ConfigError(
            f"rank_range must hold at least number={number} ranks; got {rank_range}: widen it"
        )
    query, positive, candidate = (
        unit(torch.as_tensor(np.asarray(a))) for a in (query_vecs, positive_vecs, candidate_vecs)
    )
    if query.shape != positive.shape or query.shape[1:] != candidate.shape[1:]:
        raise DataError(
            "query_vecs and positive_vecs must have one shape, candidate_vecs as many dims; got "
            f"{tuple(query.shape)}, {tuple(positive.shape)}, {tuple(candidate.shape)}"
        )
    rule = rule or NegativeFilter()
    rng = None if seed is None else numpy_generator(seed, "mining")
    chosen = []
    for start in range(0, len(query), BLOCK):
        part = slice(start, start + BLOCK)
        scores = query[part] @ candidate.T
        limits = (query[part] * positive[part]).sum(dim=1)
        scores = scores.masked_fill(rule.dropped(scores, limits), -torch.inf)
        # as many ranks again, since `allowed` may strike out some
        depth = min(2 * high, candidate.shape[0])
        near, rows = scores.topk(depth, dim=1)
        fine = (near > -torch.inf).numpy()
        if allowed is not None:
            fine &= allowed(part, rows.numpy())
        chosen.append(_pick(rows.numpy(), fine, (low, high), number, rng))
    return np.concatenate(chosen) if chosen else np.zeros((0, number), np.int64)


def _pick(
    rows: NDArray[np.int64],
    fine: NDArray[np.bool_],
    window: tuple[int, int],
    number: int,
    rng: np.random.Generator | None,
) -> NDArray[np.int64]:
    rank = np.where(fine, fine.cumsum(axis=1) - 1, -1)
    inside = (rank >= window[0]) & (rank < window[1])
    # the order of picking: by rank, or at random within the window
    order = rank.astype(np.float64) if rng is None else rng.uniform(size=rank.shape)
    order[~inside] = np.inf
    picked = np.argsort(order, axis=1, kind="stable")[:, :number]
    there = np.take_along_axis(inside, picked, axis=1)
    # nearest first again; ranks follow the columns
    picked = np.sort(np.where(there, picked, rows.shape[1]), axis=1)
    there = picked < rows.shape[1]
    found = np.take_along_axis(rows, np.minimum(picked, rows.shape[1] - 1), axis=1)
    out = np.full((len(rows), number), -1, np.int64)
    out[:, : found.shape[1]] = np.where(there, found, -1)
    return out


class MinedNegatives:
    """A data set of pairs whose negatives are mined, and mined again while a model trains.

    Args:
        pairs: Columns query and positive, in this order.
        corpus: Texts that negatives come from; by default the positives.
        number: Negatives a query.
        rank_range: See `mine_hard_negatives`.
        rule: See `mine_hard_negatives`.
        seed: Seed of the draw from the window.

    A query with too few negatives in the window gets some at random. Mine once before training;
    with several workers of the data loader a new round counts from the next epoch on.

    Raises:
        DataError: Fewer than two columns, or a corpus too small.
    """

    def __init__(
        self,
        pairs: "Dataset",
        corpus: Sequence[str] | None = None,
        *,
        number: int = 5,
        rank_range: tuple[int, int] = (2, 50),
        rule: NegativeFilter | None = None,
        seed: int = 0,
    ) -> None:
        names = pairs.column_names
        if len(names) < 2:
            raise DataError(f"pairs need a query and a positive column; got {names}")
        self.names = (names[0], names[1])
        self.texts = tuple(list(pairs[name]) for name in self.names)
        self.corpus = list(dict.fromkeys(corpus if corpus is not None else self.texts[1]))
        if len(self.corpus) <= number:
            raise DataError(
                f"{number} negatives a query need a corpus of more than {number} distinct texts; "
                f"got {len(self.corpus)}"
            )
        self.number, self.rank_range, self.seed = number, rank_range, seed
        self.rule = rule or NegativeFilter(0.05, "relative")
        self.round = 0
        self.rows = np.full((len(self.texts[0]), number), -1, np.int64)
        self._keys = [text_keys(texts) for texts in (*self.texts, self.corpus)]

    def mine(self, model: Any, *, batch_size: int = 64) -> float:
        """Mine with a model as it is now.

        Args:
            model: A `SentenceTransformer`, or anything with its `encode`.
            batch_size: Texts the model reads at a time.

        Returns:
            Share of negatives that had to be drawn at random.
        """
        options: dict[str, Any] = {"batch_size": batch_size, "show_progress_bar": False}
        vectors = [model.encode(texts, **options) for texts in (*self.texts, self.corpus)]
        query_keys, positive_keys, corpus_keys = self._keys

        def allowed(part: slice, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
            keys = corpus_keys[rows]
            own = (query_keys[part][:, None], positive_keys[part][:, None])
            return np.asarray((keys != own[0]) & (keys != own[1]))

        found = mine_hard_negatives(
            *vectors,
            number=self.number,
            rank_range=self.rank_range,
            rule=self.rule,
            allowed=allowed,
            seed=self.seed + self.round,
        )
        missing = found < 0
        self.rows = self._filled(found)
        self.round += 1
        return float(missing.mean())

    def _filled(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draw at random what is missing; never a text of the row itself."""
        rng = numpy_generator(self.seed + self.round, "fill")
        query_keys, positive_keys, corpus_keys = self._keys
        for row, place in zip(*np.nonzero(rows < 0), strict=True):
            for other in rng.permutation(len(self.corpus))[: self.number + 2]:
                own = corpus_keys[other] in (query_keys[row], positive_keys[row])
                if not own and other not in rows[row]:
                    rows[row, place] = other
                    break
            else:
                rows[row, place] = rng.integers(len(self.corpus))
        return rows

    def dataset(self) -> "Dataset":
        """Make the data set: query, positive, negative_1, ..., as mined when a row is fetched.

        Returns:
            A `datasets.Dataset` for any trainer.

        Raises:
            DataError: Nothing was mined.
        """
        from datasets import Dataset

        if (self.rows < 0).any():
            raise DataError("nothing was mined; call mine(model) before dataset()")
        negatives = [f"negative_{place + 1}" for place in range(self.number)]
        columns = dict(zip(self.names, self.texts, strict=True))
        places = [str(row) for row in range(len(self.rows))]

        def fetch(batch: dict[str, list[str]]) -> dict[str, list[str]]:
            out = dict(batch)
            for place, name in enumerate(negatives):
                if name in batch:
                    out[name] = [self.corpus[self.rows[int(row), place]] for row in batch[name]]
            return out

        return Dataset.from_dict(columns | dict.fromkeys(negatives, places)).with_transform(fetch)

    def save(self, folder: str | Path) -> None:
        """Write the rows that are mined now beside a checkpoint.

        Args:
            folder: The checkpoint's folder.
        """
        from safetensors.numpy import save_file

        with atomic_path(Path(folder) / FILE) as temporary:
            save_file({"rows": self.rows, "round": np.array([self.round])}, temporary)

    def load(self, folder: str | Path) -> bool:
        """Take up the rows that were mined when a checkpoint was written.

        Args:
            folder: The checkpoint's folder.

        Returns:
            Whether there were any.

        Raises:
            DataError: They are of other data.
        """
        from safetensors.numpy import load_file

        path = Path(folder) / FILE
        if not path.exists():
            return False
        found = load_file(path)
        if found["rows"].shape != self.rows.shape or found["rows"].max() >= len(self.corpus):
            raise DataError(f"{str(path)!r} is of other pairs or another corpus; delete it")
        self.rows, self.round = found["rows"], int(found["round"][0])
        return True

    def callback(self, every: float = 0.5) -> Any:
        """Make the `TrainerCallback` that mines anew, and keeps rounds when a run is resumed.

        Args:
            every: After which share of the training, in (0, 1).

        Raises:
            ConfigError: The share is not between 0 and 1.
        """
        if not 0.0 < every < 1.0:
            raise ConfigError(f"every must be a share of the training in (0, 1); got {every}")
        return _remine_callback(self, every)


def _remine_callback(mined: MinedNegatives, every: float) -> Any:
    from transformers import TrainerCallback

    class RemineCallback(TrainerCallback):
        """Mines hard negatives again with the model that is being trained."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Take up the negatives of the checkpoint."""
            if state.global_step:
                mined.load(Path(args.output_dir) / f"checkpoint-{state.global_step}")

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Mine where a round is due."""
            length = max(1, round(every * state.max_steps))
            if state.global_step % length == 0 and state.global_step < state.max_steps:
                model = kwargs["model"]
                was = model.training
                model.eval()
                mined.mine(getattr(model, "module", model))
                model.train(was)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Write the negatives beside the checkpoint."""
            if state.is_world_process_zero:
                mined.save(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    return RemineCallback()
