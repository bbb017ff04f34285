"""DeepWalk: node vectors from plain random walks, as words from sentences.

Paper: DeepWalk: Online Learning of Social Representations (B. Perozzi, R. Al-Rfou and S. Skiena,
2014). The authors learn by hierarchical softmax; here as in node2vec with p = q = 1, by negative
sampling, which later work found to be no worse and which costs less.

Use as the first thing to try on a large undirected graph. Avoid where edges must be told from near
misses. Cost: as node2vec's, with walks about twice as fast.
"""

from typing import ClassVar

from vecsmith.data.graphs import GraphData

from ._node2vec import Node2Vec
from ._skipgram import WalkTraining
from ._walks import RandomWalks


class DeepWalk(Node2Vec):
    """Node vectors from plain random walks.

    Args:
        dim: Dimensions.
        walks_per_node: Walks from each node, in each epoch.
        walk_length: Nodes of a walk.
        window: Steps on each side that count as near.
        options: Further settings of the training.
        random_state: Seed.
    """

    name: ClassVar[str] = "deepwalk"

    def __init__(
        self,
        dim: int = 128,
        *,
        walks_per_node: int = 10,
        walk_length: int = 80,
        window: int = 10,
        options: WalkTraining | None = None,
        random_state: int = 0,
    ) -> None:
        self.dim = dim
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
            seed=self.random_state,
        )
