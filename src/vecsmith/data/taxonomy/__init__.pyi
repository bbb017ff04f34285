from ._obo import read_obo as read_obo
from ._owl import read_owl as read_owl
from ._rf2 import read_rf2 as read_rf2
from ._samples import hpo as hpo
from ._samples import icd10cm as icd10cm
from ._samples import wordnet as wordnet
from ._taxonomy import Taxonomy as Taxonomy

__all__ = [
    "Taxonomy",
    "hpo",
    "icd10cm",
    "read_obo",
    "read_owl",
    "read_rf2",
    "wordnet",
]
