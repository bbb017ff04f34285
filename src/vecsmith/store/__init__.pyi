from ._aspect_index import AspectHit as AspectHit
from ._aspect_index import AspectIndex as AspectIndex
from ._cutoff import CosineAdapter as CosineAdapter
from ._cutoff_baselines import CUTOFF_RULES as CUTOFF_RULES
from ._cutoff_baselines import CutoffRule as CutoffRule
from ._cutoff_baselines import FixedK as FixedK
from ._cutoff_baselines import GlobalCosine as GlobalCosine
from ._cutoff_baselines import MinusListMean as MinusListMean
from ._cutoff_baselines import Platt as Platt
from ._cutoff_baselines import RatioToTop1 as RatioToTop1
from ._cutoff_baselines import ZScore as ZScore
from ._cutoff_fit import AdapterOptions as AdapterOptions
from ._cutoff_lists import LabelledLists as LabelledLists
from ._cutoff_lists import harvest_lists as harvest_lists
from ._cutoff_report import FilterFigures as FilterFigures
from ._cutoff_report import choose_threshold as choose_threshold
from ._cutoff_report import filter_report as filter_report
from ._cutoff_report import pr_auc as pr_auc
from ._duplex_index import DuplexIndex as DuplexIndex
from ._filtered_index import FilteredHits as FilteredHits
from ._filtered_index import FilteredIndex as FilteredIndex
from ._filtered_index import filter_hits as filter_hits
from ._fusion import Fusion as Fusion
from ._fusion import fusion_grid as fusion_grid
from ._passages import PassageTable as PassageTable
from ._passages import StoredPassage as StoredPassage
from ._plane import collection_groups as collection_groups
from ._plane import group_names as group_names
from ._plane import principal_plane as principal_plane
from ._rerank import order_by_cosine as order_by_cosine
from ._rerank import rerank as rerank
from ._search import MODES as MODES
from ._search import Answer as Answer
from ._search import Hit as Hit
from ._search import Searcher as Searcher
from ._search import highlight as highlight
from ._search import passage_key as passage_key
from ._search import ranking_for as ranking_for
from ._selection import Catalogue as Catalogue
from ._selection import Entry as Entry
from ._selection import Filter as Filter
from ._selection import document_key as document_key
from ._store import RANKINGS as RANKINGS
from ._store import Candidates as Candidates
from ._store import Ranked as Ranked
from ._store import Store as Store
from ._store import VectorSpace as VectorSpace
from ._store import advise_store as advise_store
from ._store import fuse as fuse
from ._store import model_of as model_of
from ._vectors import EXACT_UP_TO as EXACT_UP_TO
from ._vectors import build_vectors as build_vectors
from ._vectors import index_layout as index_layout
from ._vectors import index_parts as index_parts
from ._vectors import index_recipe as index_recipe
from ._vectors import load_vectors as load_vectors
from ._vectors import reconstruct as reconstruct
from ._vectors import save_vectors as save_vectors
from ._vectors import search_vectors as search_vectors
from .compressed import Advice as Advice
from .compressed import CandidateSampling as CandidateSampling
from .compressed import DistillVQ as DistillVQ
from .compressed import DistilOptions as DistilOptions
from .compressed import Need as Need
from .compressed import advise as advise

__all__ = [
    "AdapterOptions",
    "Advice",
    "Answer",
    "CUTOFF_RULES",
    "CandidateSampling",
    "Candidates",
    "Catalogue",
    "CosineAdapter",
    "CutoffRule",
    "DistilOptions",
    "DistillVQ",
    "DuplexIndex",
    "EXACT_UP_TO",
    "Entry",
    "Filter",
    "FilterFigures",
    "FilteredHits",
    "FilteredIndex",
    "FixedK",
    "Fusion",
    "GlobalCosine",
    "Hit",
    "LabelledLists",
    "MODES",
    "MinusListMean",
    "Need",
    "PassageTable",
    "Platt",
    "RANKINGS",
    "Ranked",
    "RatioToTop1",
    "Searcher",
    "Store",
    "StoredPassage",
    "VectorSpace",
    "ZScore",
    "advise",
    "advise_store",
    "build_vectors",
    "choose_threshold",
    "collection_groups",
    "document_key",
    "filter_hits",
    "filter_report",
    "fuse",
    "fusion_grid",
    "group_names",
    "harvest_lists",
    "highlight",
    "index_layout",
    "index_parts",
    "index_recipe",
    "load_vectors",
    "model_of",
    "order_by_cosine",
    "passage_key",
    "pr_auc",
    "principal_plane",
    "ranking_for",
    "reconstruct",
    "rerank",
    "save_vectors",
    "search_vectors",
    "AspectHit",
    "AspectIndex",
]
