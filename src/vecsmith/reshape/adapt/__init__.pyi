from ._alignment import Alignment as Alignment
from ._alignment import align_spaces as align_spaces
from ._alignment import csls_scores as csls_scores
from ._alignment import mutual_pairs as mutual_pairs
from ._alignment import neighbourhood as neighbourhood
from ._alignment import orthogonal_map as orthogonal_map
from ._alignment import translate as translate
from ._alignment import unit_centred as unit_centred
from ._embedding_aligner import EmbeddingAligner as EmbeddingAligner
from ._embedding_aligner import hit_at_k as hit_at_k
from ._homogeniser import MLPOptions as MLPOptions
from ._name_vectors import NameVectors as NameVectors
from ._name_vectors import name_vectors as name_vectors
from ._retrofit import retrofit as retrofit
from ._space_map import SpaceMap as SpaceMap

__all__ = [
    "Alignment",
    "EmbeddingAligner",
    "MLPOptions",
    "NameVectors",
    "SpaceMap",
    "align_spaces",
    "csls_scores",
    "hit_at_k",
    "mutual_pairs",
    "name_vectors",
    "neighbourhood",
    "orthogonal_map",
    "retrofit",
    "translate",
    "unit_centred",
]
