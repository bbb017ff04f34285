from ._gensim import load_lee as load_lee
from ._gensim import load_word_similarity as load_word_similarity
from ._hpo import load_hpo as load_hpo
from ._icd10cm import load_icd10cm as load_icd10cm
from ._packages import PACKAGES as PACKAGES
from ._packages import Package as Package
from ._packages import fetch as fetch
from ._wordnet import load_wordnet as load_wordnet

__all__ = [
    "PACKAGES",
    "Package",
    "fetch",
    "load_hpo",
    "load_icd10cm",
    "load_lee",
    "load_word_similarity",
    "load_wordnet",
]
