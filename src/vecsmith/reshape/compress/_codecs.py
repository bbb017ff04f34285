"""The visible table of codecs: name -> class. To add one: one file, one line, its tests run."""

from ._codec import Codec
from ._integers import Integers
from ._low_rank import LowRank, LowRankByNorm
from ._plain import DedupBlocks, LargestEntries, RandomRows
from ._product_codes import ProductCodes, ProductCodesByNorm
from ._tensor_train_svd import TensorTrainSVD

CODECS: dict[str, type[Codec]] = {
    codec.name: codec
    for codec in (
        Integers,
        ProductCodes,
        ProductCodesByNorm,
        LowRank,
        LowRankByNorm,
        TensorTrainSVD,
        LargestEntries,
        DedupBlocks,
        RandomRows,
    )
}
