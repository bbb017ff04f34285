from ._association import Association as Association
from ._association import association_scores as association_scores
from ._association import association_test as association_test
from ._association import permutation_share as permutation_share
from ._direct import StereotypeScore as StereotypeScore
from ._direct import bias_components as bias_components
from ._direct import direct_bias as direct_bias
from ._direct import equidistance_gap as equidistance_gap
from ._direct import indirect_bias as indirect_bias
from ._direct import stereotype_correlation as stereotype_correlation
from ._examine import BiasConcept as BiasConcept
from ._examine import Examined as Examined
from ._examine import examine_bias as examine_bias
from ._generated import GeneratedAnalogy as GeneratedAnalogy
from ._generated import generate_analogies as generate_analogies
from ._generated import specific_share as specific_share
from ._report import BiasQuestions as BiasQuestions
from ._report import BiasReport as BiasReport
from ._report import ReportRow as ReportRow
from ._report import bias_report as bias_report
from ._report import report_words as report_words
from ._residual import ResidualBias as ResidualBias
from ._residual import most_biased as most_biased
from ._residual import residual_bias as residual_bias

__all__ = [
    "Association",
    "BiasConcept",
    "BiasQuestions",
    "BiasReport",
    "Examined",
    "GeneratedAnalogy",
    "ReportRow",
    "ResidualBias",
    "StereotypeScore",
    "association_scores",
    "association_test",
    "bias_components",
    "bias_report",
    "direct_bias",
    "equidistance_gap",
    "examine_bias",
    "generate_analogies",
    "indirect_bias",
    "most_biased",
    "permutation_share",
    "report_words",
    "residual_bias",
    "specific_share",
    "stereotype_correlation",
]
