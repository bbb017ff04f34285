from .contrastive._audit import FalseNegativeAudit as FalseNegativeAudit
from .contrastive._audit import audit_false_negatives as audit_false_negatives
from .contrastive._contrastive import ContrastiveLoss as ContrastiveLoss
from .contrastive._contrastive import with_text_keys as with_text_keys
from .contrastive._guide_cache import GuideCache as GuideCache
from .contrastive._guide_files import TruncationReport as TruncationReport
from .contrastive._guide_files import text_keys as text_keys
from .contrastive._guided_negatives import GuidedContrastiveLoss as GuidedContrastiveLoss
from .contrastive._negative_filter import NegativeFilter as NegativeFilter
from .contrastive._negative_filter import guided_filter as guided_filter
from .contrastive._objective import Objective as Objective
from .contrastive._row_weights import FocalWeights as FocalWeights
from .contrastive._row_weights import ProgressiveWeights as ProgressiveWeights
from .masked._autoencoder import MaskedAutoencoder as MaskedAutoencoder
from .masked._duplex import DuplexContrastiveLoss as DuplexContrastiveLoss
from .masked._duplex import DuplexRetriever as DuplexRetriever
from .masked._dupmae import DupMAE as DupMAE
from .masked._smae import SMAE as SMAE

__all__ = [
    "ContrastiveLoss",
    "DupMAE",
    "DuplexContrastiveLoss",
    "DuplexRetriever",
    "FalseNegativeAudit",
    "FocalWeights",
    "GuideCache",
    "GuidedContrastiveLoss",
    "MaskedAutoencoder",
    "NegativeFilter",
    "Objective",
    "ProgressiveWeights",
    "SMAE",
    "TruncationReport",
    "audit_false_negatives",
    "guided_filter",
    "text_keys",
    "with_text_keys",
]
