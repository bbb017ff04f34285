from ._auc import log_loss as log_loss
from ._auc import roc_auc as roc_auc
from ._bodies import BODIES as BODIES
from ._bodies import DLRM as DLRM
from ._bodies import FM as FM
from ._bodies import FNN as FNN
from ._bodies import IPNN as IPNN
from ._bodies import DCNv2 as DCNv2
from ._bodies import DeepFM as DeepFM
from ._bodies import InputShape as InputShape
from ._bodies import SingleLayer as SingleLayer
from ._bodies import WideAndDeep as WideAndDeep
from ._ctr_model import CTRModel as CTRModel
from ._fit import CTRFit as CTRFit
from ._fit import CTROptions as CTROptions
from ._fit import fit_ctr as fit_ctr
from ._fit import predict as predict
from ._lazy_adam import LazyAdam as LazyAdam
from ._opt_embed_search import OptEmbedFound as OptEmbedFound
from ._opt_embed_search import OptEmbedReport as OptEmbedReport
from ._opt_embed_search import OptEmbedSearch as OptEmbedSearch

__all__ = [
    "BODIES",
    "CTRFit",
    "CTRModel",
    "CTROptions",
    "DCNv2",
    "DLRM",
    "DeepFM",
    "FM",
    "FNN",
    "IPNN",
    "InputShape",
    "LazyAdam",
    "OptEmbedFound",
    "OptEmbedReport",
    "OptEmbedSearch",
    "SingleLayer",
    "WideAndDeep",
    "fit_ctr",
    "log_loss",
    "predict",
    "roc_auc",
]
