from .contrastive._aspect_encoder import AspectEncoder as AspectEncoder
from .contrastive._aspect_losses import AspectRankingLoss as AspectRankingLoss
from .contrastive._audit import FalseNegativeAudit as FalseNegativeAudit
from .contrastive._audit import audit_false_negatives as audit_false_negatives
from .contrastive._guide_cache import GuideCache as GuideCache
from .contrastive._guide_files import TruncationReport as TruncationReport
from .contrastive._guide_files import text_keys as text_keys
from .contrastive._guided_negatives import GuidedContrastiveLoss as GuidedContrastiveLoss
from .contrastive._image_views import ImageViews as ImageViews
from .contrastive._negative_filter import NegativeFilter as NegativeFilter
from .contrastive._negative_filter import guided_filter as guided_filter
from .contrastive._paired_data import PairedDataset as PairedDataset
from .contrastive._paired_images import (
    BidirectionalContrastiveLoss as BidirectionalContrastiveLoss,
)
from .contrastive._paired_images import bidirectional_contrastive as bidirectional_contrastive
from .contrastive._paired_pretrainer import PairedPretrainer as PairedPretrainer
from .contrastive._text_tower import TextTower as TextTower

__all__ = [
    "BidirectionalContrastiveLoss",
    "FalseNegativeAudit",
    "GuideCache",
    "GuidedContrastiveLoss",
    "ImageViews",
    "NegativeFilter",
    "PairedDataset",
    "PairedPretrainer",
    "TextTower",
    "TruncationReport",
    "audit_false_negatives",
    "bidirectional_contrastive",
    "guided_filter",
    "text_keys",
    "AspectEncoder",
    "AspectRankingLoss",
]
