from ._aspect_encoder import AspectEncoder as AspectEncoder
from ._aspect_losses import AspectHead as AspectHead
from ._aspect_losses import AspectRankingLoss as AspectRankingLoss
from ._aspect_losses import aspect_ranking as aspect_ranking
from ._aspect_losses import explicit_retrofit as explicit_retrofit
from ._audit import FalseNegativeAudit as FalseNegativeAudit
from ._audit import audit_false_negatives as audit_false_negatives
from ._bilstm_max import bilstm_max_encoder as bilstm_max_encoder
from ._bilstm_max import pair_classifier as pair_classifier
from ._contrastive import ContrastiveLoss as ContrastiveLoss
from ._contrastive import with_text_keys as with_text_keys
from ._core import BLOCKS as BLOCKS
from ._core import contrastive_cross_entropy as contrastive_cross_entropy
from ._core import contrastive_logits as contrastive_logits
from ._core import cross_entropy_rows as cross_entropy_rows
from ._core import other_rows as other_rows
from ._core import similarity_blocks as similarity_blocks
from ._core import soft_target_rows as soft_target_rows
from ._core import structural_masks as structural_masks
from ._guide_cache import GuideCache as GuideCache
from ._guide_files import TruncationReport as TruncationReport
from ._guide_files import text_keys as text_keys
from ._guided_negatives import GuidedContrastiveLoss as GuidedContrastiveLoss
from ._guided_negatives import false_negative_masks as false_negative_masks
from ._guided_negatives import guided_triplet as guided_triplet
from ._hierarchical import HierarchicalMultiSimilarityLoss as HierarchicalMultiSimilarityLoss
from ._hierarchical import HierarchicalRule as HierarchicalRule
from ._hierarchical import multi_similarity_rows as multi_similarity_rows
from ._hierarchical import rank_rows as rank_rows
from ._hierarchical import regression_rows as regression_rows
from ._hierarchy_trainer import HierarchyTrainer as HierarchyTrainer
from ._hierarchy_trainer import hierarchy_batches as hierarchy_batches
from ._image_views import ImageViews as ImageViews
from ._loss_state import state_beside_model as state_beside_model
from ._loss_state import state_callback as state_callback
from ._mining import MinedNegatives as MinedNegatives
from ._mining import mine_hard_negatives as mine_hard_negatives
from ._moe import MoEContrastiveLoss as MoEContrastiveLoss
from ._moe import agreement_rows as agreement_rows
from ._moe import balance_loss as balance_loss
from ._moe import dot_product_rows as dot_product_rows
from ._moe import mutual_information as mutual_information
from ._momentum_queue import MomentumQueue as MomentumQueue
from ._negative_filter import NegativeFilter as NegativeFilter
from ._negative_filter import guided_filter as guided_filter
from ._objective import Batch as Batch
from ._objective import Objective as Objective
from ._objective import gathered_batch as gathered_batch
from ._paired_data import PairedDataset as PairedDataset
from ._paired_images import BidirectionalContrastiveLoss as BidirectionalContrastiveLoss
from ._paired_images import bidirectional_contrastive as bidirectional_contrastive
from ._paired_pretrainer import PairedPretrainer as PairedPretrainer
from ._progressive import ProgressiveContrastiveLoss as ProgressiveContrastiveLoss
from ._repetition import SubwordRepetition as SubwordRepetition
from ._row_weights import FocalWeights as FocalWeights
from ._row_weights import ProgressiveWeights as ProgressiveWeights
from ._row_weights import RowWeights as RowWeights
from ._row_weights import progressive_weights as progressive_weights
from ._text_tower import TextTower as TextTower
from ._unsupervised import ProjectionHead as ProjectionHead
from ._unsupervised import UnsupervisedContrastiveLoss as UnsupervisedContrastiveLoss
from ._whitening import ShuffledGroupWhitening as ShuffledGroupWhitening
from ._whitening import group_whitening as group_whitening

__all__ = [
    "AspectEncoder",
    "AspectHead",
    "AspectRankingLoss",
    "BLOCKS",
    "Batch",
    "BidirectionalContrastiveLoss",
    "ContrastiveLoss",
    "FalseNegativeAudit",
    "FocalWeights",
    "GuideCache",
    "GuidedContrastiveLoss",
    "HierarchicalMultiSimilarityLoss",
    "HierarchicalRule",
    "HierarchyTrainer",
    "ImageViews",
    "MinedNegatives",
    "MoEContrastiveLoss",
    "MomentumQueue",
    "NegativeFilter",
    "Objective",
    "PairedDataset",
    "PairedPretrainer",
    "ProgressiveContrastiveLoss",
    "ProgressiveWeights",
    "ProjectionHead",
    "RowWeights",
    "ShuffledGroupWhitening",
    "SubwordRepetition",
    "TextTower",
    "TruncationReport",
    "UnsupervisedContrastiveLoss",
    "agreement_rows",
    "aspect_ranking",
    "audit_false_negatives",
    "balance_loss",
    "bidirectional_contrastive",
    "bilstm_max_encoder",
    "contrastive_cross_entropy",
    "contrastive_logits",
    "cross_entropy_rows",
    "dot_product_rows",
    "explicit_retrofit",
    "false_negative_masks",
    "gathered_batch",
    "group_whitening",
    "guided_filter",
    "guided_triplet",
    "hierarchy_batches",
    "mine_hard_negatives",
    "multi_similarity_rows",
    "mutual_information",
    "other_rows",
    "pair_classifier",
    "progressive_weights",
    "rank_rows",
    "regression_rows",
    "similarity_blocks",
    "soft_target_rows",
    "state_beside_model",
    "state_callback",
    "structural_masks",
    "text_keys",
    "with_text_keys",
]
