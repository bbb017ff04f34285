"""Retrofitting: words that a lexicon or a user joins draw together; all stay near their place.

Paper: Retrofitting Word Vectors to Semantic Lexicons (M. Faruqui and others, 2015). Minimise

    sum_i [ a |q_i - v_i|^2 + sum_{(i,j) in E} b_ij |q_i - q_j|^2 ],   b_ij = b / degree(i)

by the update q_i <- (sum_j b_ij q_j + a v_i) / (sum_j b_ij + a), all words of a round at once from
the last round (Jacobi), which does not depend on the order of words.

Use when a thesaurus, an ontology, or the groups of one user say what the text does not; no training
is needed. Avoid to tell synonyms from what is only related: words outside the graph do not move.
Cost: rounds * edges * dims.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import WordVectors


def retrofit(
    vectors: WordVectors,
    edges: Iterable[Sequence[str]],
    *,
    rounds: int = 10,
    alpha: float = 1.0,
    beta: float = 1.0,
) -> WordVectors:
    """Draw words together along the edges of a graph.

    Args:
        vectors: Word vectors.
        edges: Pairs of words, both directions meant; repeated ones and those with a word that has
            no vector are left out.
        rounds: Updates of all words.
        alpha: Weight of the old place.
        beta: Weight of all neighbours together.

    Returns:
        New vectors, same words.

    Raises:
        DataError: No edge has vectors for both its words, or one is no pair.
        ConfigError: A number out of its range.
    """
    if rounds < 1 or not alpha > 0 or not beta > 0:
        raise ConfigError(
            f"rounds must be at least 1, alpha and beta above 0; got {rounds}, {alpha}, {beta}"
        )
    pairs = set()
    given = 0
    for edge in edges:
        given += 1
        if isinstance(edge, str) or len(edge) != 2:
            raise DataError(f"edges must be pairs of words; got {edge!r}")
        if edge[0] != edge[1] and edge[0] in vectors and edge[1] in vectors:
            pairs.add((min(edge), max(edge)))
    if not pairs:
        raise DataError(
            f"none of {given} edges has vectors for both its words; give words in the spelling of "
            f"{vectors.name!r}"
        )
    return vectors.with_vectors(
        _relaxed(vectors, sorted(pairs), (rounds, alpha, beta)), step="retrofit"
    )


def _relaxed(
    vectors: WordVectors, pairs: list[tuple[str, str]], settings: tuple[int, float, float]
) -> np.ndarray:
    from scipy.sparse import csr_array

    rounds, alpha, beta = settings
    ends = np.array([vectors.ids(pair) for pair in pairs])
    rows = np.concatenate([ends[:, 0], ends[:, 1]])
    columns = np.concatenate([ends[:, 1], ends[:, 0]])
    graph = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(vectors),) * 2)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    moved = np.flatnonzero(degree)
    start = vectors.vectors.astype(np.float64)
    found = start.copy()
    share = beta / degree[moved][:, None]
    for _ in range(rounds):
        drawn = (graph @ found)[moved] * share
        found[moved] = (drawn + alpha * start[moved]) / (beta + alpha)
    return found.astype(np.float32)
