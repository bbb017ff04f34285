"""node2vec: nodes that walks visit together get like vectors; two settings steer the walks.

Paper: node2vec: Scalable Feature Learning for Networks (A. Grover and J. Leskovec, 2016). Walks
with second-order bias (see `_walks`), then skip-gram with negative sampling on them:

    sum over walks, nodes u and nodes v at most k steps away:
        log sigmoid(e_v . o_u) + sum over N noise nodes of log sigmoid(-e_v . o_noise)

Use when nodes that lie near each other in the graph should be near as vectors: the default for
large graphs. q < 1 stresses communities at large (walks leave), q > 1 the close neighbourhood.
Avoid where edges must be told from near misses (HOPE, SDNE), or where directions matter: a vector
has one side.

Cost: walks_per_node * walk_length * window * n * dim multiplications, times about 12; 16 bytes for
each node and dimension.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from vecsmith.data.graphs import GraphData

from ._base import GraphEmbedder
from ._scores import Floats
from ._skipgram import WalkTraining, skipgram_vectors
from ._walks import RandomWalks


class Node2Vec(GraphEmbedder):
    """Node vectors from biased random walks.

    Args:
        dim: Dimensions.
        p: Return parameter; above 1 walks seldom turn back at once.
        q: In-out parameter; below 1 walks strike out, above 1 they stay around.
        walks_per_node: Walks from each node, in each epoch.
        walk_length: Nodes of a walk.
        window: Steps on each side that count as near.
        options: Further settings of the training.
        random_state: Seed.
    """

    name: ClassVar[str] = "node2vec"

    def __init__(
        self,
        dim: int = 128,
        *,
        p: float = 1.0,
        q: float = 1.0,
        walks_per_node: int = 10,
        walk_length: int = 80,
        window: int = 10,
        options: WalkTraining | None = None,
        random_state: int = 0,
    ) -> None:
        self.dim, self.p, self.q = dim, p, q
        self.walks_per_node, self.walk_length, self.window = walks_per_node, walk_length, window
        self.options, self.random_state = options, random_state

    def walks(self, graph: GraphData) -> RandomWalks:
        """Give the walks that `fit` learns from.

        Args:
            graph: The graph.

        Returns:
            The walks.
        """
        return RandomWalks(
            graph,
            length=self.walk_length,
            per_node=self.walks_per_node,
            p=self.p,
            q=self.q,
            seed=self.random_state,
        )

    def _embed(self, graph: GraphData) -> Floats:
        options = WalkTraining() if self.options is None else self.options
        return skipgram_vectors(self.walks(graph), self.dim, window=self.window, options=options)

    def _measure(self) -> str:
        return (self.options or WalkTraining()).measure

    @classmethod
    def _settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        options = values["options"]
        return {**values, "options": None if options is None else WalkTraining(**options)}
