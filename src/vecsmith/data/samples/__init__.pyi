from ._debian import load_debian as load_debian
from ._emoji import STYLES as STYLES
from ._emoji import emoji_part as emoji_part
from ._emoji import load_emoji as load_emoji
from ._gensim import load_lee as load_lee
from ._gensim import load_word_similarity as load_word_similarity
from ._hpo import load_hpo as load_hpo
from ._icd10cm import load_icd10cm as load_icd10cm
from ._openclipart import load_openclipart as load_openclipart
from ._packages import PACKAGES as PACKAGES
from ._packages import Package as Package
from ._packages import fetch as fetch
from ._thumbnails import on_white as on_white
from ._thumbnails import thumbnails as thumbnails
from ._wordnet import load_wordnet as load_wordnet

__all__ = [
    "PACKAGES",
    "Package",
    "STYLES",
    "emoji_part",
    "fetch",
    "load_debian",
    "load_emoji",
    "load_hpo",
    "load_icd10cm",
    "load_lee",
    "load_openclipart",
    "load_word_similarity",
    "load_wordnet",
    "on_white",
    "thumbnails",
]
