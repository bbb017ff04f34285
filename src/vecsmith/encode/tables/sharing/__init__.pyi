from ._adaptive import AdaptiveRows as AdaptiveRows
from ._dedup import DedupTable as DedupTable
from ._dedup import MergeRule as MergeRule
from ._dedup import merge_blocks as merge_blocks
from ._deep_hash import DeepHash as DeepHash
from ._deep_hash import hash_codes as hash_codes
from ._deep_hash import hash_functions as hash_functions
from ._differentiable_codes import DifferentiableCodes as DifferentiableCodes
from ._hash import HashTable as HashTable
from ._multi_granular import MultiGranular as MultiGranular
from ._quotient_remainder import QuotientRemainder as QuotientRemainder
from ._robe import RandomOffsetBlock as RandomOffsetBlock
from ._robe import places_and_signs as places_and_signs
from ._tensor_train import TensorTrain as TensorTrain
from ._tensor_train import core_numbers as core_numbers
from ._tensor_train import near_cube as near_cube
from ._tensor_train import tensor_train as tensor_train
from ._tensor_train import three_factors as three_factors

__all__ = [
    "AdaptiveRows",
    "DedupTable",
    "DeepHash",
    "DifferentiableCodes",
    "HashTable",
    "MergeRule",
    "MultiGranular",
    "QuotientRemainder",
    "RandomOffsetBlock",
    "TensorTrain",
    "core_numbers",
    "hash_codes",
    "hash_functions",
    "merge_blocks",
    "near_cube",
    "places_and_signs",
    "tensor_train",
    "three_factors",
]
