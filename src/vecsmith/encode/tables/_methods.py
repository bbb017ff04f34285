"""The visible table of methods: name -> class. To add one: one file, one line, its tests run."""

from ._embedding import CompressedEmbedding
from ._full import FullTable
from .sharing._adaptive import AdaptiveRows
from .sharing._dedup import DedupTable
from .sharing._deep_hash import DeepHash
from .sharing._differentiable_codes import DifferentiableCodes
from .sharing._hash import HashTable
from .sharing._multi_granular import MultiGranular
from .sharing._quotient_remainder import QuotientRemainder
from .sharing._robe import RandomOffsetBlock
from .sharing._tensor_train import TensorTrain
from .shrinking._learned_scale import LearnedScale
from .shrinking._low_precision import LowPrecision
from .shrinking._magnitude_prune import MagnitudePrune
from .shrinking._mixed_dimension import MixedDimension
from .shrinking._opt_embed import OptEmbed
from .shrinking._searched_dimension import SearchedDimension
from .shrinking._soft_gates import SoftGates

METHODS: dict[str, type[CompressedEmbedding]] = {
    kind.name: kind
    for kind in (
        FullTable,
        # several values share vectors or parts of them
        HashTable,
        QuotientRemainder,
        TensorTrain,
        DeepHash,
        RandomOffsetBlock,
        DedupTable,
        MultiGranular,
        DifferentiableCodes,
        AdaptiveRows,
        # every value keeps its own, in fewer bits or coordinates
        LowPrecision,
        LearnedScale,
        MixedDimension,
        SearchedDimension,
        OptEmbed,
        MagnitudePrune,
        SoftGates,
    )
}
