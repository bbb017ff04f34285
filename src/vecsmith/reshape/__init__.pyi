from .merge import EqualTargetLoss as EqualTargetLoss
from .merge import MergeSet as MergeSet
from .merge import PositionOptions as PositionOptions
from .merge import SelfPositioning as SelfPositioning
from .merge import TaskVectorReport as TaskVectorReport
from .merge import task_vector_report as task_vector_report

__all__ = [
    "EqualTargetLoss",
    "MergeSet",
    "PositionOptions",
    "SelfPositioning",
    "TaskVectorReport",
    "task_vector_report",
]
