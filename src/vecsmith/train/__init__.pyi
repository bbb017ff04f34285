from .contrastive._audit import FalseNegativeAudit as FalseNegativeAudit
from .contrastive._audit import audit_false_negatives as audit_false_negatives
from .contrastive._contrastive import ContrastiveLoss as ContrastiveLoss
from .contrastive._contrastive import with_text_keys as with_text_keys
from .contrastive._guide_cache import GuideCache as GuideCache
from .contrastive._guide_files import TruncationReport as TruncationReport
from .contrastive._guide_files import text_keys as text_keys
from .contrastive._guided_negatives import GuidedContrastiveLoss as GuidedContrastiveLoss
from .contrastive._hierarchical import (
    HierarchicalMultiSimilarityLoss as HierarchicalMultiSimilarityLoss,
)
from .contrastive._hierarchical import HierarchicalRule as HierarchicalRule
from .contrastive._hierarchy_trainer import HierarchyTrainer as HierarchyTrainer
from .contrastive._mining import MinedNegatives as MinedNegatives
from .contrastive._mining import mine_hard_negatives as mine_hard_negatives
from .contrastive._negative_filter import NegativeFilter as NegativeFilter
from .contrastive._negative_filter import guided_filter as guided_filter
from .contrastive._objective import Objective as Objective
from .contrastive._progressive import ProgressiveContrastiveLoss as ProgressiveContrastiveLoss
from .contrastive._row_weights import FocalWeights as FocalWeights
from .contrastive._row_weights import ProgressiveWeights as ProgressiveWeights

__all__ = [
    "ContrastiveLoss",
    "FalseNegativeAudit",
    "FocalWeights",
    "GuideCache",
    "GuidedContrastiveLoss",
    "HierarchicalMultiSimilarityLoss",
    "HierarchicalRule",
    "HierarchyTrainer",
    "MinedNegatives",
    "NegativeFilter",
    "Objective",
    "ProgressiveContrastiveLoss",
    "ProgressiveWeights",
    "TruncationReport",
    "audit_false_negatives",
    "guided_filter",
    "mine_hard_negatives",
    "text_keys",
    "with_text_keys",
]
