from ._adult import load_adult as load_adult
from ._brown import TaggedSentence as TaggedSentence
from ._brown import base_tag as base_tag
from ._brown import load_brown as load_brown
from ._brown import name_spans as name_spans
from ._cilin import cilin_similarity as cilin_similarity
from ._cilin import load_cilin as load_cilin
from ._cilin import load_cilin_pairs as load_cilin_pairs
from ._debian import load_debian as load_debian
from ._emoji import STYLES as STYLES
from ._emoji import emoji_part as emoji_part
from ._emoji import load_emoji as load_emoji
from ._gcide import load_gcide as load_gcide
from ._gensim import load_lee as load_lee
from ._gensim import load_lee_background as load_lee_background
from ._graphs import load_hpo_graph as load_hpo_graph
from ._graphs import load_movielens_graph as load_movielens_graph
from ._graphs import load_word_graph as load_word_graph
from ._handbook import load_handbook as load_handbook
from ._hpo import load_hpo as load_hpo
from ._hpo_annotations import load_hpo_annotations as load_hpo_annotations
from ._hpo_annotations import load_hpo_genes as load_hpo_genes
from ._icd9 import load_icd9 as load_icd9
from ._icd10cm import load_icd10cm as load_icd10cm
from ._manpages import load_manpages as load_manpages
from ._manual import load_python_manual as load_python_manual
from ._movielens import load_movielens as load_movielens
from ._openclipart import load_openclipart as load_openclipart
from ._packages import PACKAGES as PACKAGES
from ._packages import Package as Package
from ._packages import fetch as fetch
from ._roff import roff_paragraphs as roff_paragraphs
from ._thesaurus import load_thesaurus as load_thesaurus
from ._thumbnails import on_white as on_white
from ._thumbnails import thumbnails as thumbnails
from ._word_lists import AssociationTest as AssociationTest
from ._word_lists import GenderLists as GenderLists
from ._word_lists import Occupation as Occupation
from ._word_lists import google_news_path as google_news_path
from ._word_lists import load_analogies as load_analogies
from ._word_lists import load_association_tests as load_association_tests
from ._word_lists import load_gender_lists as load_gender_lists
from ._word_lists import load_word_similarity as load_word_similarity
from ._wordnet import load_wordnet as load_wordnet
from ._wordnet_fields import load_wordnet_fields as load_wordnet_fields
from ._wordnet_words import load_wordnet_glosses as load_wordnet_glosses
from ._wordnet_words import load_wordnet_words as load_wordnet_words

__all__ = [
    "AssociationTest",
    "GenderLists",
    "Occupation",
    "PACKAGES",
    "Package",
    "STYLES",
    "TaggedSentence",
    "base_tag",
    "cilin_similarity",
    "emoji_part",
    "fetch",
    "google_news_path",
    "load_adult",
    "load_analogies",
    "load_association_tests",
    "load_brown",
    "load_cilin",
    "load_cilin_pairs",
    "load_debian",
    "load_emoji",
    "load_gcide",
    "load_gender_lists",
    "load_handbook",
    "load_hpo",
    "load_hpo_annotations",
    "load_hpo_genes",
    "load_hpo_graph",
    "load_icd10cm",
    "load_icd9",
    "load_lee",
    "load_lee_background",
    "load_manpages",
    "load_movielens",
    "load_movielens_graph",
    "load_openclipart",
    "load_python_manual",
    "load_thesaurus",
    "load_word_graph",
    "load_word_similarity",
    "load_wordnet",
    "load_wordnet_fields",
    "load_wordnet_glosses",
    "load_wordnet_words",
    "name_spans",
    "on_white",
    "roff_paragraphs",
    "thumbnails",
]
