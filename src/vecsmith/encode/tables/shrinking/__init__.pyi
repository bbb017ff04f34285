from ._evolution import Evolution as Evolution
from ._evolution import EvolutionOptions as EvolutionOptions
from ._evolution import crossed as crossed
from ._evolution import evolve as evolve
from ._evolution import mutated as mutated
from ._learned_scale import LearnedScale as LearnedScale
from ._learned_scale import quantise_with_scale as quantise_with_scale
from ._low_precision import LowPrecision as LowPrecision
from ._low_precision import stochastic_round as stochastic_round
from ._magnitude_prune import MagnitudePrune as MagnitudePrune
from ._mixed_dimension import MixedDimension as MixedDimension
from ._mixed_dimension import field_dims as field_dims
from ._opt_embed import LongTailedStep as LongTailedStep
from ._opt_embed import OptEmbed as OptEmbed
from ._searched_dimension import SearchedDimension as SearchedDimension
from ._soft_gates import SoftGates as SoftGates
from ._sparse import largest_entries as largest_entries
from ._sparse import most_entries as most_entries
from ._sparse import read_sparse as read_sparse
from ._sparse import to_sparse as to_sparse

__all__ = [
    "Evolution",
    "EvolutionOptions",
    "LearnedScale",
    "LongTailedStep",
    "LowPrecision",
    "MagnitudePrune",
    "MixedDimension",
    "OptEmbed",
    "SearchedDimension",
    "SoftGates",
    "crossed",
    "evolve",
    "field_dims",
    "largest_entries",
    "most_entries",
    "mutated",
    "quantise_with_scale",
    "read_sparse",
    "stochastic_round",
    "to_sparse",
]
