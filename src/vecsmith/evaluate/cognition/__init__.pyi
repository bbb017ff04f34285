from ._encoding_model import EncodingFit as EncodingFit
from ._encoding_model import encode_ridge as encode_ridge
from ._encoding_model import ridge_predictions as ridge_predictions
from ._similarity import RepresentationFit as RepresentationFit
from ._similarity import cosine_matrix as cosine_matrix
from ._similarity import rsa as rsa

__all__ = [
    "EncodingFit",
    "RepresentationFit",
    "cosine_matrix",
    "encode_ridge",
    "ridge_predictions",
    "rsa",
]
