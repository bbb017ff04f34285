from ._base import GraphEmbedder as GraphEmbedder
from ._deepwalk import DeepWalk as DeepWalk
from ._factorization import GraphFactorization as GraphFactorization
from ._hope import HOPE as HOPE
from ._hope import katz_operator as katz_operator
from ._hope import spectral_radius as spectral_radius
from ._laplacian import LaplacianEigenmaps as LaplacianEigenmaps
from ._linear import LocallyLinearEmbedding as LocallyLinearEmbedding
from ._node2vec import Node2Vec as Node2Vec
from ._scores import block_scores as block_scores
from ._scores import pair_scores as pair_scores
from ._sdne import SDNE as SDNE
from ._sdne import SDNETraining as SDNETraining
from ._sdne import sdne_loss as sdne_loss
from ._skipgram import WalkTraining as WalkTraining
from ._table import EMBEDDERS as EMBEDDERS
from ._table import NodeEmbedder as NodeEmbedder
from ._walks import RandomWalks as RandomWalks

__all__ = [
    "DeepWalk",
    "EMBEDDERS",
    "GraphEmbedder",
    "GraphFactorization",
    "HOPE",
    "LaplacianEigenmaps",
    "LocallyLinearEmbedding",
    "Node2Vec",
    "NodeEmbedder",
    "RandomWalks",
    "SDNE",
    "SDNETraining",
    "WalkTraining",
    "block_scores",
    "katz_operator",
    "pair_scores",
    "sdne_loss",
    "spectral_radius",
]
