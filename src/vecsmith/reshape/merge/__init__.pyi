from ._average import average as average
from ._average import task_arithmetic as task_arithmetic
from ._dare import dare as dare
from ._fisher import diagonal_fisher as diagonal_fisher
from ._fisher import fisher as fisher
from ._folders import STREAMED as STREAMED
from ._folders import FolderSet as FolderSet
from ._folders import merge_folders as merge_folders
from ._masked_loss import EqualTargetLoss as EqualTargetLoss
from ._masked_loss import masked_info_nce as masked_info_nce
from ._mergekit import mergekit as mergekit
from ._mergekit import mergekit_methods as mergekit_methods
from ._probe import Probe as Probe
from ._regmean import regmean as regmean
from ._report import TaskVectorReport as TaskVectorReport
from ._report import task_vector_report as task_vector_report
from ._rules import RULES as RULES
from ._rules import merge as merge
from ._rules import tuned_merge as tuned_merge
from ._search import greedy_soup as greedy_soup
from ._search import searched_merge as searched_merge
from ._self_positioning import PositionOptions as PositionOptions
from ._self_positioning import SelfPositioning as SelfPositioning
from ._self_positioning import position_gradient as position_gradient
from ._set import MergeSet as MergeSet
from ._slerp import slerp as slerp
from ._ties import ties as ties

__all__ = [
    "EqualTargetLoss",
    "FolderSet",
    "MergeSet",
    "PositionOptions",
    "Probe",
    "RULES",
    "STREAMED",
    "SelfPositioning",
    "TaskVectorReport",
    "average",
    "dare",
    "diagonal_fisher",
    "fisher",
    "greedy_soup",
    "masked_info_nce",
    "merge",
    "merge_folders",
    "mergekit",
    "mergekit_methods",
    "position_gradient",
    "regmean",
    "searched_merge",
    "slerp",
    "task_arithmetic",
    "task_vector_report",
    "ties",
    "tuned_merge",
]
