from ._alignment import Alignment as Alignment
from ._alignment import align_spaces as align_spaces
from ._alignment import csls_scores as csls_scores
from ._alignment import mutual_pairs as mutual_pairs
from ._alignment import neighbourhood as neighbourhood
from ._alignment import orthogonal_map as orthogonal_map
from ._alignment import translate as translate
from ._alignment import unit_centred as unit_centred
from ._retrofit import retrofit as retrofit
from ._space_map import SpaceMap as SpaceMap

__all__ = [
    "Alignment",
    "SpaceMap",
    "align_spaces",
    "csls_scores",
    "mutual_pairs",
    "neighbourhood",
    "orthogonal_map",
    "retrofit",
    "translate",
    "unit_centred",
]
