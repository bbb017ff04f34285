from ._contrastive_rows import to_contrastive as to_contrastive
from ._listwise import LISTWISE as LISTWISE
from ._listwise import listwise_loss as listwise_loss
from ._llm_embedder import LLMEmbedder as LLMEmbedder
from ._llm_embedder import instruct as instruct
from ._llm_embedder import load_nv_embed as load_nv_embed
from ._llm_embedder import set_bidirectional as set_bidirectional
from ._two_stage import StageSet as StageSet
from ._two_stage import TwoStage as TwoStage
from .classify import ClassifierTraining as ClassifierTraining
from .classify import RCNNClassifier as RCNNClassifier
from .classify import WindowCNNClassifier as WindowCNNClassifier
from .contrastive import bilstm_max_encoder as bilstm_max_encoder
from .contrastive import pair_classifier as pair_classifier
from .contrastive._aspect_encoder import AspectEncoder as AspectEncoder
from .contrastive._aspect_losses import AspectRankingLoss as AspectRankingLoss
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
from .contrastive._image_views import ImageViews as ImageViews
from .contrastive._mining import MinedNegatives as MinedNegatives
from .contrastive._mining import mine_hard_negatives as mine_hard_negatives
from .contrastive._moe import MoEContrastiveLoss as MoEContrastiveLoss
from .contrastive._momentum_queue import MomentumQueue as MomentumQueue
from .contrastive._negative_filter import NegativeFilter as NegativeFilter
from .contrastive._negative_filter import guided_filter as guided_filter
from .contrastive._objective import Objective as Objective
from .contrastive._paired_data import PairedDataset as PairedDataset
from .contrastive._paired_images import BidirectionalContrastiveLoss as BidirectionalContrastiveLoss
from .contrastive._paired_images import bidirectional_contrastive as bidirectional_contrastive
from .contrastive._paired_pretrainer import PairedPretrainer as PairedPretrainer
from .contrastive._progressive import ProgressiveContrastiveLoss as ProgressiveContrastiveLoss
from .contrastive._repetition import SubwordRepetition as SubwordRepetition
from .contrastive._row_weights import FocalWeights as FocalWeights
from .contrastive._row_weights import ProgressiveWeights as ProgressiveWeights
from .contrastive._text_tower import TextTower as TextTower
from .contrastive._unsupervised import ProjectionHead as ProjectionHead
from .contrastive._unsupervised import UnsupervisedContrastiveLoss as UnsupervisedContrastiveLoss
from .contrastive._whitening import ShuffledGroupWhitening as ShuffledGroupWhitening
from .contrastive._whitening import group_whitening as group_whitening
from .documents import Doc2VecOptions as Doc2VecOptions
from .documents import DocumentVectors as DocumentVectors
from .formulas import HeadTraining as HeadTraining
from .formulas import PropertyHead as PropertyHead
from .formulas import SnipTrainer as SnipTrainer
from .formulas import SnipTraining as SnipTraining
from .language import BiLM as BiLM
from .language import BiLMConfig as BiLMConfig
from .language import BiLMOptions as BiLMOptions
from .language import bilm_perplexity as bilm_perplexity
from .language import train_bilm as train_bilm
from .masked._autoencoder import MaskedAutoencoder as MaskedAutoencoder
from .masked._duplex import DuplexContrastiveLoss as DuplexContrastiveLoss
from .masked._duplex import DuplexRetriever as DuplexRetriever
from .masked._dupmae import DupMAE as DupMAE
from .masked._smae import SMAE as SMAE
from .matryoshka._matryoshka import MatryoshkaLoss as MatryoshkaLoss
from .matryoshka._starbucks import Menu as Menu
from .matryoshka._starbucks import StarbucksLoss as StarbucksLoss
from .matryoshka._two_d import Grid2D as Grid2D
from .matryoshka._two_d import TwoDMatryoshkaLoss as TwoDMatryoshkaLoss
from .subwords import FastTextOptions as FastTextOptions
from .subwords import train_fasttext as train_fasttext
from .tables._ctr_model import CTRModel as CTRModel
from .tables._fit import CTROptions as CTROptions
from .tables._fit import fit_ctr as fit_ctr
from .tables._opt_embed_search import OptEmbedSearch as OptEmbedSearch
from .topics import ClusterOptions as ClusterOptions
from .topics import EmbeddedTopicModel as EmbeddedTopicModel
from .topics import EmbeddingTopics as EmbeddingTopics
from .topics import ETMOptions as ETMOptions
from .words import CharWordEmbedding as CharWordEmbedding
from .words import CipherOptions as CipherOptions
from .words import CipherVectors as CipherVectors
from .words import CooccurrenceCounter as CooccurrenceCounter
from .words import EmbeddingOptions as EmbeddingOptions
from .words import PPMIOptions as PPMIOptions
from .words import PPMIVectors as PPMIVectors
from .words import WordCorpus as WordCorpus
from .words import WordEmbeddingTrainer as WordEmbeddingTrainer
from .words import WordTraining as WordTraining
from .words import cipher_embedding as cipher_embedding
from .words import replace_embeddings as replace_embeddings

__all__ = [
    "AspectEncoder",
    "AspectRankingLoss",
    "BiLM",
    "BiLMConfig",
    "BiLMOptions",
    "BidirectionalContrastiveLoss",
    "CTRModel",
    "CTROptions",
    "CharWordEmbedding",
    "CipherOptions",
    "CipherVectors",
    "ClassifierTraining",
    "ClusterOptions",
    "ContrastiveLoss",
    "CooccurrenceCounter",
    "Doc2VecOptions",
    "DocumentVectors",
    "DupMAE",
    "DuplexContrastiveLoss",
    "DuplexRetriever",
    "ETMOptions",
    "EmbeddedTopicModel",
    "EmbeddingOptions",
    "EmbeddingTopics",
    "FalseNegativeAudit",
    "FastTextOptions",
    "FocalWeights",
    "Grid2D",
    "GuideCache",
    "GuidedContrastiveLoss",
    "HeadTraining",
    "HierarchicalMultiSimilarityLoss",
    "HierarchicalRule",
    "HierarchyTrainer",
    "ImageViews",
    "LISTWISE",
    "LLMEmbedder",
    "MaskedAutoencoder",
    "MatryoshkaLoss",
    "Menu",
    "MinedNegatives",
    "MoEContrastiveLoss",
    "MomentumQueue",
    "NegativeFilter",
    "Objective",
    "OptEmbedSearch",
    "PPMIOptions",
    "PPMIVectors",
    "PairedDataset",
    "PairedPretrainer",
    "ProgressiveContrastiveLoss",
    "ProgressiveWeights",
    "ProjectionHead",
    "PropertyHead",
    "RCNNClassifier",
    "SMAE",
    "ShuffledGroupWhitening",
    "SnipTrainer",
    "SnipTraining",
    "StageSet",
    "StarbucksLoss",
    "SubwordRepetition",
    "TextTower",
    "TruncationReport",
    "TwoDMatryoshkaLoss",
    "TwoStage",
    "UnsupervisedContrastiveLoss",
    "WindowCNNClassifier",
    "WordCorpus",
    "WordEmbeddingTrainer",
    "WordTraining",
    "audit_false_negatives",
    "bidirectional_contrastive",
    "bilm_perplexity",
    "bilstm_max_encoder",
    "cipher_embedding",
    "fit_ctr",
    "group_whitening",
    "guided_filter",
    "instruct",
    "listwise_loss",
    "load_nv_embed",
    "mine_hard_negatives",
    "pair_classifier",
    "replace_embeddings",
    "set_bidirectional",
    "text_keys",
    "to_contrastive",
    "train_bilm",
    "train_fasttext",
    "with_text_keys",
]
