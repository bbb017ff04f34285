from ._compression import SVD as SVD
from ._compression import Compression as Compression
from ._compression import Drop as Drop
from ._compression import Part as Part
from ._compression import Prune as Prune
from ._compression import compress as compress
from ._compression import truncated_svd as truncated_svd
from ._mixing import Mixer as Mixer
from ._router import Router as Router
from ._router import RouterOptions as RouterOptions
from ._router import RouterReport as RouterReport
from ._router import train_router as train_router
from ._twin_model import TwinModel as TwinModel
from ._twin_model import TwinOutput as TwinOutput

__all__ = [
    "SVD",
    "Compression",
    "Drop",
    "Mixer",
    "Part",
    "Prune",
    "Router",
    "RouterOptions",
    "RouterReport",
    "TwinModel",
    "TwinOutput",
    "compress",
    "train_router",
    "truncated_svd",
]
