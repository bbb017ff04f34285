from ._embedding import CompressedEmbedding as CompressedEmbedding
from ._frozen import FrozenEmbedding as FrozenEmbedding
from ._hashing import hash_ids as hash_ids
from ._hashing import hash_integers as hash_integers
from ._hashing import hash_texts as hash_texts
from ._hashing import salt_of as salt_of
from ._hashing import to_keys as to_keys
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

__all__ = [
    "CompressedEmbedding",
    "FrozenEmbedding",
    "METHODS",
    "ProductQuantiser",
    "Stage",
    "StagedTable",
    "TableShape",
    "UnifiedEmbedding",
    "UnifiedReport",
    "UnifiedSpec",
    "adam_step",
    "hash_ids",
    "hash_integers",
    "hash_texts",
    "negative_distances",
    "read_codes",
    "salt_of",
    "split_parts",
    "to_keys",
]
