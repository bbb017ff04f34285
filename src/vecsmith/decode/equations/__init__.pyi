from ._decoder import EquationDecoder as EquationDecoder
from ._decoder import EquationDecoderConfig as EquationDecoderConfig
from ._decoder_training import DecoderTraining as DecoderTraining
from ._decoder_training import train_decoder as train_decoder
from ._formula_index import FormulaHit as FormulaHit
from ._formula_index import FormulaIndex as FormulaIndex
from ._generation import Decoded as Decoded
from ._generation import decode_formulas as decode_formulas
from ._latent_regressor import LatentRegressor as LatentRegressor
from ._latent_regressor import SearchOptions as SearchOptions
from ._optimizers import OPTIMIZERS as OPTIMIZERS
from ._optimizers import grey_wolf_step as grey_wolf_step
from ._population import initial_population as initial_population
from ._refit import Refitted as Refitted
from ._refit import refit as refit

__all__ = [
    "Decoded",
    "DecoderTraining",
    "EquationDecoder",
    "EquationDecoderConfig",
    "FormulaHit",
    "FormulaIndex",
    "LatentRegressor",
    "OPTIMIZERS",
    "Refitted",
    "SearchOptions",
    "decode_formulas",
    "grey_wolf_step",
    "initial_population",
    "refit",
    "train_decoder",
]
