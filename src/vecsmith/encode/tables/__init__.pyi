from ._base import TableBase as TableBase
from ._bits import index_bytes as index_bytes
from ._bits import pack as pack
from ._bits import packed_bytes as packed_bytes
from ._bits import smallest_integers as smallest_integers
from ._bits import unpack as unpack
from ._embedding import CompressedEmbedding as CompressedEmbedding
from ._frozen import FrozenEmbedding as FrozenEmbedding
from ._hashing import hash_ids as hash_ids
from ._hashing import hash_integers as hash_integers
from ._hashing import hash_texts as hash_texts
from ._hashing import salt_of as salt_of
from ._hashing import to_keys as to_keys
from ._marks import find_marks as find_marks
from ._marks import mark_bytes as mark_bytes
from ._marks import store_marks as store_marks
from ._methods import METHODS as METHODS
from ._product_quantiser import ProductQuantiser as ProductQuantiser
from ._product_quantiser import negative_distances as negative_distances
from ._product_quantiser import read_codes as read_codes
from ._product_quantiser import split_parts as split_parts
from ._rows_adam import adam_step as adam_step
from ._shape import TableShape as TableShape
from ._staged import Stage as Stage
from ._staged import StagedTable as StagedTable
from ._unified import UnifiedEmbedding as UnifiedEmbedding
from ._unified_report import UnifiedReport as UnifiedReport
from ._unified_spec import UnifiedSpec as UnifiedSpec
from ._user_table import COMBINE as COMBINE
from ._user_table import UserTable as UserTable
from .shrinking._evolution import EvolutionOptions as EvolutionOptions
from .shrinking._low_precision import load_codes as load_codes
from .shrinking._low_precision import store_codes as store_codes
from .shrinking._opt_embed import OptEmbed as OptEmbed

__all__ = [
    "COMBINE",
    "CompressedEmbedding",
    "EvolutionOptions",
    "FrozenEmbedding",
    "METHODS",
    "OptEmbed",
    "ProductQuantiser",
    "Stage",
    "StagedTable",
    "TableBase",
    "TableShape",
    "UnifiedEmbedding",
    "UnifiedReport",
    "UnifiedSpec",
    "UserTable",
    "adam_step",
    "find_marks",
    "hash_ids",
    "hash_integers",
    "hash_texts",
    "index_bytes",
    "load_codes",
    "mark_bytes",
    "negative_distances",
    "pack",
    "packed_bytes",
    "read_codes",
    "salt_of",
    "smallest_integers",
    "split_parts",
    "store_codes",
    "store_marks",
    "to_keys",
    "unpack",
]
