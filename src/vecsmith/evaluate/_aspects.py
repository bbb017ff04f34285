"""How well spaces serve aspects: retrieval in each, and which aspect a generic space follows.

Within an aspect only documents of the test set that have a label of it take part: of the others
nothing is known, and each would count as a miss. Those that have relevant others are queries; all
others that take part are candidates. Average precision is divided by *all* relevant ones
(MAP@k of ten relevant ones and k = 5 is at most 0.5), as the authors do.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError
from vecsmith.data import AspectDataset

KS = (5, 10, 25, 50)


class _Encoder(Protocol):
    aspects: tuple[str, ...]

    def encode(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]: ...


class AspectScores(NamedTuple):
    """Retrieval within one aspect.

    Attributes:
        queries: Numbers of the documents that have relevant others, shape (queries,).
        figures: "p@10", "r@10", "map@10", "ndcg@10" (for each k), "mrr" and "prevalence" (P of a
            random ranking of the candidates) -> a number for each query.
    """

    queries: NDArray[np.int64]
    figures: dict[str, NDArray[np.float64]]

    def mean(self, figure: str) -> float:
        """Return the mean of a figure over queries.

        Args:
            figure: Its name.
        """
        return float(self.figures[figure].mean())


def top_neighbours(vectors: NDArray[np.float32], k: int | None = None) -> NDArray[np.int64]:
    """Rank all other documents by cosine.

    Args:
        vectors: Any length, shape (documents, dims).
        k: How many; None gives all.

    Returns:
        Numbers of documents, shape (documents, k); ties go by place.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(length, 1e-12)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, : len(vectors) - 1 if k is None else k]


def aspect_scores(
    vectors: NDArray[np.float32], relevant: NDArray[np.bool_], ks: Sequence[int] = KS
) -> AspectScores:
    """Judge one space by one aspect.

    Args:
        vectors: Shape (documents, dims).
        relevant: Which documents share a label, shape (documents, documents).
        ks: Cut-offs; one beyond the candidates takes all of them.

    Returns:
        Figures for each query.

    Raises:
        ConfigError: No document has a relevant other one, or a k is below 1.
    """
    queries = np.flatnonzero(relevant.any(axis=1))
    if not len(queries) or min(ks) < 1:
        raise ConfigError(
            f"there must be documents that share labels, and ks from 1 on; got {len(queries)} such "
            f"documents and ks {tuple(ks)}"
        )
    ranked = top_neighbours(vectors)[queries]
    hits = np.take_along_axis(relevant[queries], ranked, axis=1)
    total = hits.sum(axis=1)
    ranks = np.arange(1, hits.shape[1] + 1)
    precision = hits.cumsum(axis=1) / ranks
    gains = 1.0 / np.log2(ranks + 1)
    ideal = gains.cumsum()
    figures: dict[str, NDArray[np.float64]] = {
        "mrr": 1.0 / (hits.argmax(axis=1) + 1),
        "prevalence": total / hits.shape[1],
    }
    for k in ks:
        first = hits[:, :k]
        figures[f"p@{k}"] = first.sum(axis=1) / k
        figures[f"r@{k}"] = first.sum(axis=1) / total
        figures[f"map@{k}"] = (precision[:, :k] * first).sum(axis=1) / total
        best = ideal[np.minimum(total, min(k, len(ideal))) - 1]
        figures[f"ndcg@{k}"] = (first * gains[: first.shape[1]]).sum(axis=1) / best
    return AspectScores(queries, figures)


def evaluate_aspects(
    model: "_Encoder | Mapping[str, NDArray[np.float32]]",
    data: AspectDataset,
    *,
    ks: Sequence[int] = KS,
) -> dict[str, dict[str, AspectScores]]:
    """Judge every space by every aspect: the diagonal should win.

    Args:
        model: An `AspectEncoder`, or space -> vectors of the documents (a generic space among them,
            if you like).
        data: Test documents.
        ks: Cut-offs.

    Returns:
        Space -> aspect -> figures. Queries are numbered within `data`.

    Raises:
        ConfigError: In an aspect no two documents share a label, or a k is below 1.
    """
    spaces = model if isinstance(model, Mapping) else model.encode(data.texts)
    found: dict[str, dict[str, AspectScores]] = {space: {} for space in spaces}
    for aspect in data.aspects:
        rows = data.labelled(aspect)
        relevant = data.relevant(aspect)[np.ix_(rows, rows)].toarray()
        if not relevant.any():
            raise ConfigError(
                f"no two documents share a label of {aspect!r}, so that it cannot be judged; give "
                "more documents, or data without this aspect"
            )
        for space, vectors in spaces.items():
            scores = aspect_scores(vectors[rows], relevant, ks)
            found[space][aspect] = AspectScores(rows[scores.queries], scores.figures)
    return found


def aspect_bias(
    generic: NDArray[np.float32],
    model: "_Encoder | Mapping[str, NDArray[np.float32]]",
    data: AspectDataset,
    *,
    k: int = 10,
) -> dict[str, float]:
    """Tell which aspect a generic space silently follows.

    Args:
        generic: Its vectors of the documents, shape (documents, dims).
        model: An `AspectEncoder`, or aspect -> vectors of the documents.
        data: Test documents.
        k: How many neighbours.

    Returns:
        Aspect -> which part of the generic space's k nearest are among the k nearest of the
        aspect's space, mean over documents.
    """
    spaces = model if isinstance(model, Mapping) else model.encode(data.texts)
    near = top_neighbours(generic, k)
    found = {}
    for aspect, vectors in spaces.items():
        other = top_neighbours(vectors, k)
        shared = (near[:, :, None] == other[:, None, :]).any(axis=2)
        found[aspect] = float(shared.mean())
    return found
