from .equations import EquationDecoder as EquationDecoder
from .equations import EquationDecoderConfig as EquationDecoderConfig
from .equations import FormulaIndex as FormulaIndex
from .equations import LatentRegressor as LatentRegressor
from .equations import SearchOptions as SearchOptions
from .equations import train_decoder as train_decoder

__all__ = [
    "EquationDecoder",
    "EquationDecoderConfig",
    "FormulaIndex",
    "LatentRegressor",
    "SearchOptions",
    "train_decoder",
]
