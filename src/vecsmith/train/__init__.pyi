from .contrastive._audit import FalseNegativeAudit as FalseNegativeAudit
from .contrastive._audit import audit_false_negatives as audit_false_negatives
from .contrastive._contrastive import ContrastiveLoss as ContrastiveLoss
from .contrastive._contrastive import with_text_keys as with_text_keys
from .contrastive._guide_cache import GuideCache as GuideCache
from .contrastive._guide_files import TruncationReport as TruncationReport
from .contrastive._guide_files import text_keys as text_keys
from .contrastive._guided_negatives import GuidedContrastiveLoss as GuidedContrastiveLoss
from .contrastive._mining import MinedNegatives as MinedNegatives
from .contrastive._mining import mine_hard_negatives as mine_hard_negatives
from .contrastive._moe import MoEContrastiveLoss as MoEContrastiveLoss
from .contrastive._momentum_queue import MomentumQueue as MomentumQueue
from .contrastive._negative_filter import NegativeFilter as NegativeFilter
from .contrastive._negative_filter import guided_filter as guided_filter
from .contrastive._objective import Objective as Objective
from .contrastive._progressive import ProgressiveContrastiveLoss as ProgressiveContrastiveLoss
from .contrastive._repetition import SubwordRepetition as SubwordRepetition
from .contrastive._row_weights import FocalWeights as FocalWeights
from .contrastive._row_weights import ProgressiveWeights as ProgressiveWeights
from .contrastive._unsupervised import ProjectionHead as ProjectionHead
from .contrastive._unsupervised import UnsupervisedContrastiveLoss as UnsupervisedContrastiveLoss
from .contrastive._whitening import ShuffledGroupWhitening as ShuffledGroupWhitening
from .contrastive._whitening import group_whitening as group_whitening
from .matryoshka._matryoshka import MatryoshkaLoss as MatryoshkaLoss
from .matryoshka._starbucks import Menu as Menu
from .matryoshka._starbucks import StarbucksLoss as StarbucksLoss
from .matryoshka._two_d import Grid2D as Grid2D
from .matryoshka._two_d import TwoDMatryoshkaLoss as TwoDMatryoshkaLoss

__all__ = [
    "ContrastiveLoss",
    "FalseNegativeAudit",
    "FocalWeights",
    "Grid2D",
    "GuideCache",
    "GuidedContrastiveLoss",
    "MatryoshkaLoss",
    "Menu",
    "MinedNegatives",
    "MoEContrastiveLoss",
    "MomentumQueue",
    "NegativeFilter",
    "Objective",
    "ProgressiveContrastiveLoss",
    "ProgressiveWeights",
    "ProjectionHead",
    "ShuffledGroupWhitening",
    "StarbucksLoss",
    "SubwordRepetition",
    "TruncationReport",
    "TwoDMatryoshkaLoss",
    "UnsupervisedContrastiveLoss",
    "audit_false_negatives",
    "group_whitening",
    "guided_filter",
    "mine_hard_negatives",
    "text_keys",
    "with_text_keys",
]
