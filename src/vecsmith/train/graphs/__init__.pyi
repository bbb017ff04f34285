from ._base import GraphEmbedder as GraphEmbedder
from ._deepwalk import DeepWalk as DeepWalk
from ._node2vec import Node2Vec as Node2Vec
from ._scores import block_scores as block_scores
from ._scores import pair_scores as pair_scores
from ._skipgram import WalkTraining as WalkTraining
from ._table import EMBEDDERS as EMBEDDERS
from ._table import NodeEmbedder as NodeEmbedder
from ._walks import RandomWalks as RandomWalks

__all__ = [
    "DeepWalk",
    "EMBEDDERS",
    "GraphEmbedder",
    "Node2Vec",
    "NodeEmbedder",
    "RandomWalks",
    "WalkTraining",
    "block_scores",
    "pair_scores",
]
