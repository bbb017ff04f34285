from ._crosswalk import CrosswalkRow as CrosswalkRow
from ._crosswalk import crosswalk as crosswalk
from ._measures import MappingReport as MappingReport
from ._measures import evaluate_mapping as evaluate_mapping
from ._measures import exact_phrases as exact_phrases
from ._zero_shot import ZeroShotReport as ZeroShotReport
from ._zero_shot import ZeroShotSplit as ZeroShotSplit
from ._zero_shot import shuffle_nodes as shuffle_nodes
from ._zero_shot import zero_shot_report as zero_shot_report
from ._zero_shot import zero_shot_split as zero_shot_split

__all__ = [
    "CrosswalkRow",
    "MappingReport",
    "ZeroShotReport",
    "ZeroShotSplit",
    "crosswalk",
    "evaluate_mapping",
    "exact_phrases",
    "shuffle_nodes",
    "zero_shot_report",
    "zero_shot_split",
]
