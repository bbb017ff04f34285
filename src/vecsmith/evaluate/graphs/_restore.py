"""RESTORE: what node vectors keep of a graph, and what of the meaning of its words.

Paper: RESTORE: Graph Embedding Assessment Through Reconstruction (H. Yip and others, 2023). Two
halves on the same vectors: the graph is rebuilt from them at 1, 2 and 3 hops (`_reconstruction`),
and the words on its nodes are held against people's judgement (`_semantics`). Neither half alone
tells whether an embedding is of use: what stores every edge may know nothing of neighbours of
neighbours, and the other way round.

Use before vectors of a graph go into a search or a model, on embedders of any kind, text encoders
among them. Read lifts, not mAP: at 3 hops of a small graph near half of all nodes are right, and a
random order has a mAP near one half.

Cost: for each method and sampled node a sort of n numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vecsmith.core import ConfigError, did_you_mean
from vecsmith.data.graphs import GraphData, as_graph

from ._reconstruction import check_settings, reconstruction, weight_error
from ._report import MethodScores, RestoreReport
from ._scorers import Scorer, as_scorer
from ._semantics import (
    SemanticScore,
    analogy_test,
    hop_distances_in_space,
    labelled,
    similarity_test,
)

Tests = Sequence[str] | Mapping[str, Any]

_ANALOGIES = "-analogies"


def restore(
    graph: Any,
    methods: Mapping[str, Any],
    *,
    hops: Sequence[int] = (1, 2, 3),
    hop_mode: str = "ring",
    sample: int = 2000,
    precision_at: Sequence[int] = (1, 10),
    semantic: Tests = (),
    random_state: int = 0,
) -> RestoreReport:
    """Assess node vectors.

    Args:
        graph: A `GraphData`, or what `as_graph` takes.
        methods: Name -> a fitted node embedder, vectors of shape (n, d) in the order of the nodes
            (cosine), `VectorScores`, or anything with ``vectors``, ``score`` and ``score_rows``.
        hops: Distances at which the graph is rebuilt.
        hop_mode: Which nodes are right at k hops: "ring" (distance k), "ball" (1 to k) or "ego"
            (edges within k steps of a node).
        sample: Nodes that are ranked; all, where the graph has no more.
        precision_at: Numbers of first ranks.
        semantic: Names of word tests, "simlex999", "wordsim353", "men", "mturk771", "rg65", "rw",
            "google-analogies" or "msr-analogies", or name -> rows (a, b, score) or (section, a, b,
            c, d).
        random_state: Seed of samples and of the order of equal scores.

    Returns:
        The report.

    Raises:
        ConfigError: A setting out of its range, or an unknown test.
        DataError: No methods, vectors of another graph, or nothing to count.
    """
    taken = as_graph(graph)
    check_settings(hops, hop_mode, sample, precision_at)
    tests = _tests(semantic)
    scorers = {name: as_scorer(name, method, len(taken)) for name, method in methods.items()}
    found = reconstruction(
        taken,
        dict(scorers),
        hops=hops,
        hop_mode=hop_mode,
        sample=sample,
        precision_at=precision_at,
        random_state=random_state,
    )
    rows = [
        MethodScores(
            name,
            scorer.scored_by if hasattr(scorer, "scored_by") else "own",
            int(getattr(scorer, "n_parameters", scorer.vectors.size)),
            tuple(found[name]),
            weight_error(taken, scorer),
            hop_distances_in_space(taken, scorer.vectors, (0, *hops), random_state=random_state),
            tuple(_semantic(taken, scorer, tests, random_state)),
        )
        for name, scorer in scorers.items()
    ]
    return RestoreReport(
        tuple(rows), len(taken), taken.n_edges, taken.directed, hop_mode, tuple(hops)
    )


def _tests(semantic: Tests) -> dict[str, Any]:
    if isinstance(semantic, Mapping):
        return dict(semantic)
    from vecsmith.data.samples._word_lists import ANALOGIES, WORD_PAIRS

    known = [*WORD_PAIRS, *(name + _ANALOGIES for name in ANALOGIES)]
    names = [semantic] if isinstance(semantic, str) else list(semantic)
    for name in names:
        if name not in known:
            raise ConfigError(f"no word test is called {name!r}; {did_you_mean(str(name), known)}")
    return {name: name for name in names}


def _semantic(
    graph: GraphData, scorer: Scorer, tests: dict[str, Any], seed: int
) -> list[SemanticScore]:
    if not tests:
        return []
    words = labelled(scorer.vectors, graph.labels)
    made = []
    for name, data in tests.items():
        asks = isinstance(data, str) and data.endswith(_ANALOGIES)
        if asks:
            score = analogy_test(words, data.removesuffix(_ANALOGIES), random_state=seed)
        elif not isinstance(data, str) and len(data[0]) == 5:
            score = analogy_test(words, data, random_state=seed)
        else:
            score = similarity_test(words, data, random_state=seed)
        made.append(SemanticScore(**{**score.__dict__, "name": name}))
    return made
