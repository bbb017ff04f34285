from ._aspect_encoder import AspectEncoder as AspectEncoder
from ._aspect_losses import AspectHead as AspectHead
from ._aspect_losses import AspectRankingLoss as AspectRankingLoss
from ._aspect_losses import aspect_ranking as aspect_ranking
from ._aspect_losses import explicit_retrofit as explicit_retrofit
from ._audit import FalseNegativeAudit as FalseNegativeAudit
from ._audit import audit_false_negatives as audit_false_negatives
from ._core import BLOCKS as BLOCKS
from ._core import contrastive_cross_entropy as contrastive_cross_entropy
from ._core import contrastive_logits as contrastive_logits
from ._core import similarity_blocks as similarity_blocks
from ._core import structural_masks as structural_masks
from ._guide_cache import GuideCache as GuideCache
from ._guide_files import TruncationReport as TruncationReport
from ._guide_files import text_keys as text_keys
from ._guided_negatives import GuidedContrastiveLoss as GuidedContrastiveLoss
from ._guided_negatives import false_negative_masks as false_negative_masks
from ._guided_negatives import guided_triplet as guided_triplet
from ._image_views import ImageViews as ImageViews
from ._negative_filter import NegativeFilter as NegativeFilter
from ._negative_filter import guided_filter as guided_filter
from ._paired_data import PairedDataset as PairedDataset
from ._paired_images import BidirectionalContrastiveLoss as BidirectionalContrastiveLoss
from ._paired_images import bidirectional_contrastive as bidirectional_contrastive
from ._paired_pretrainer import PairedPretrainer as PairedPretrainer
from ._text_tower import TextTower as TextTower

__all__ = [
    "BLOCKS",
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
    "contrastive_cross_entropy",
    "contrastive_logits",
    "false_negative_masks",
    "guided_filter",
    "guided_triplet",
    "similarity_blocks",
    "structural_masks",
    "text_keys",
    "AspectEncoder",
    "AspectHead",
    "AspectRankingLoss",
    "aspect_ranking",
    "explicit_retrofit",
]
