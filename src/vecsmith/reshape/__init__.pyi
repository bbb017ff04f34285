from .adapt import Alignment as Alignment
from .adapt import SpaceMap as SpaceMap
from .adapt import align_spaces as align_spaces
from .adapt import retrofit as retrofit
from .adapt import translate as translate
from .chain import ReshapeChain as ReshapeChain
from .compress import CompressedTable as CompressedTable
from .compress import compress_table as compress_table
from .compress import compress_token_embeddings as compress_token_embeddings
from .debias import BiasSubspace as BiasSubspace
from .debias import HardDebias as HardDebias
from .debias import NullspaceProjection as NullspaceProjection
from .debias import SoftDebias as SoftDebias
from .debias import debias_encoder as debias_encoder
from .debias import debias_token_table as debias_token_table
from .debias import expand_specific as expand_specific
from .incremental import AdaptOptions as AdaptOptions
from .incremental import IncrementalClassifier as IncrementalClassifier
from .merge import EqualTargetLoss as EqualTargetLoss
from .merge import MergeSet as MergeSet
from .merge import PositionOptions as PositionOptions
from .merge import SelfPositioning as SelfPositioning
from .merge import TaskVectorReport as TaskVectorReport
from .merge import task_vector_report as task_vector_report
from .merge.twin import TwinModel as TwinModel

__all__ = [
    "AdaptOptions",
    "Alignment",
    "BiasSubspace",
    "CompressedTable",
    "EqualTargetLoss",
    "HardDebias",
    "IncrementalClassifier",
    "MergeSet",
    "NullspaceProjection",
    "PositionOptions",
    "ReshapeChain",
    "SelfPositioning",
    "SoftDebias",
    "SpaceMap",
    "TaskVectorReport",
    "TwinModel",
    "align_spaces",
    "compress_table",
    "compress_token_embeddings",
    "debias_encoder",
    "debias_token_table",
    "expand_specific",
    "retrofit",
    "task_vector_report",
    "translate",
]
