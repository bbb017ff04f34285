from ._chain import ReshapeChain as ReshapeChain
from ._chain import ReshapeStep as ReshapeStep
from ._quantise import Quantise as Quantise
from ._quantise import to_grid as to_grid

__all__ = ["Quantise", "ReshapeChain", "ReshapeStep", "to_grid"]
