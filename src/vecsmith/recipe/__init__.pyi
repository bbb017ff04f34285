from ._batches import WeightedBatchSampler as WeightedBatchSampler
from ._config import DataSource as DataSource
from ._config import TrainingConfig as TrainingConfig
from ._config import config_from as config_from
from ._config import kind_of as kind_of
from ._config import read_config as read_config
from ._config import write_config as write_config
from ._evaluations import evaluation as evaluation
from ._merge import METHODS as METHODS
from ._merge import MergeSettings as MergeSettings
from ._merge import MergeTable as MergeTable
from ._merge import merge_models as merge_models
from ._merge_probe import read_probe as read_probe
from ._objectives import objective_help as objective_help
from ._objectives import parse_objective as parse_objective
from ._processes import is_main_process as is_main_process
from ._run import TrainingReport as TrainingReport
from ._run import train as train

__all__ = [
    "DataSource",
    "METHODS",
    "MergeSettings",
    "MergeTable",
    "TrainingConfig",
    "TrainingReport",
    "WeightedBatchSampler",
    "config_from",
    "evaluation",
    "is_main_process",
    "kind_of",
    "merge_models",
    "objective_help",
    "parse_objective",
    "read_config",
    "read_probe",
    "train",
    "write_config",
]
