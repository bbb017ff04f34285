"""Which candidates are no negatives? One rule for mining and for the loss, on NumPy or torch.

A candidate is dropped when a guide finds it nearer to the query than the query's own positive, less
a margin::

    absolute: sim(query, candidate) > t - margin       relative: ... > t - margin |t|
    t = sim(query, positive)

The limit is the row's own, and it is the guide's, never the student's. Two further rules may be
added: a *threshold* above which the guide (a teacher with calibrated scores, say) calls anything
relevant, and *duplicates*: the text of the query or of its positive, met again, is no negative.
Paper: GISTEmbed (A. V. Solatorio, 2024) for the rule without margin; the margins are those of
NV-Retriever (G. de Souza P. Moreira and others, 2024).
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from vecsmith.core import ConfigError, DataError

Array = TypeVar("Array")
KINDS = ("absolute", "relative")


@dataclass(frozen=True)
class NegativeFilter:
    """The rule with its margin.

    Attributes:
        margin: How much nearer than the positive a candidate must stay away; 0 is the paper's rule.
        margin_kind: "absolute" or "relative".
        threshold: Similarity above which a candidate is dropped whatever the positive's; None for
            no such rule.
        duplicates: Whether to drop candidates of the same text as the query or its positive.
    """

    margin: float = 0.0
    margin_kind: str = "absolute"
    threshold: float | None = None
    duplicates: bool = False

    def __post_init__(self) -> None:
        if self.threshold is not None and not -1.0 <= self.threshold <= 1.0:
            raise ConfigError(f"threshold must be a cosine, in [-1, 1]; got {self.threshold}")
        if self.margin_kind not in KINDS or not -2.0 <= self.margin <= 2.0:
            raise ConfigError(
                "margin_kind must be 'absolute' or 'relative' and margin lie in [-2, 2]; "
                f"got {self.margin_kind!r} and {self.margin}"
            )

    def limits(self, thresholds: Array) -> Array:
        """Return the similarity above which a candidate is dropped.

        Args:
            thresholds: The guide's similarity of query and positive, any shape.

        Returns:
            The same shape.
        """
        values: Any = thresholds
        slack = abs(values) * self.margin if self.margin_kind == "relative" else self.margin
        limit: Any = values - slack
        if self.threshold is not None:
            limit = limit.clip(None, self.threshold)
        found: Array = limit
        return found

    def dropped(self, guide_scores: Array, thresholds: Array) -> Array:
        """Mark candidates that are probably relevant.

        Args:
            guide_scores: The guide's similarities, shape (B, C).
            thresholds: The guide's similarity of each row's query and positive, shape (B,).

        Returns:
            True where the candidate is no negative, shape (B, C).
        """
        scores: Any = guide_scores
        limits: Any = self.limits(thresholds)
        marked: Array = scores > limits[:, None]
        return marked


def same_text(row_keys: Array, candidate_keys: Array) -> Array:
    """Mark candidates whose text is the row's own query or positive, by keys of texts.

    Args:
        row_keys: Keys of each row's query and positive, shape (B, 2).
        candidate_keys: Shape (C,) for all rows, or (B, m), m a row.

    Returns:
        True where the text is the same, shape (B, C) or (B, m).
    """
    rows: Any = row_keys
    others: Any = candidate_keys
    if others.ndim == 1:
        others = others[None, :]
    found: Array = (others == rows[:, :1]) | (others == rows[:, 1:2])
    return found


def guided_filter(
    query_vecs: Array,
    pos_vecs: Array,
    candidate_vecs: Array,
    margin: float = 0.0,
    margin_kind: str = "absolute",
) -> Array:
    """Tell which candidates may serve as negatives; for mining, before any training.

    Args:
        query_vecs: The guide's vectors of the queries, shape (B, dims), NumPy or torch.
        pos_vecs: Of their positives, shape (B, dims).
        candidate_vecs: Of the candidates: shape (C, dims) for all rows, or (B, m, dims), m a row.
        margin: See `NegativeFilter`.
        margin_kind: "absolute" or "relative".

    Returns:
        True where the candidate is a safe negative, shape (B, C) or (B, m).

    Raises:
        DataError: Shapes do not fit.
    """
    query, positive, candidate = (_unit(a) for a in (query_vecs, pos_vecs, candidate_vecs))
    shapes = [tuple(array.shape) for array in (query, positive, candidate)]
    rows, dims = shapes[0] if len(shapes[0]) == 2 else (-1, -1)
    fitting = len(shapes[2]) == 2 or (len(shapes[2]) == 3 and shapes[2][0] == rows)
    if rows < 0 or shapes[0] != shapes[1] or not fitting or shapes[2][-1] != dims:
        raise DataError(
            "guided_filter needs query_vecs and pos_vecs of shape (B, dims) and candidate_vecs of "
            f"shape (C, dims) or (B, m, dims); got {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )
    thresholds = (query * positive).sum(-1)
    scores = query @ candidate.T if candidate.ndim == 2 else (candidate * query[:, None]).sum(-1)
    safe: Array = ~NegativeFilter(margin, margin_kind).dropped(scores, thresholds)
    return safe


def _unit(vectors: Any) -> Any:
    # fp16 rows of a cache: sums of squares need float32
    wide = vectors.float() if hasattr(vectors, "float") else vectors.astype("float32")
    lengths = (wide * wide).sum(-1) ** 0.5
    return wide / (lengths + (lengths == 0))[..., None]
