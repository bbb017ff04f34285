from ._codecs import CODECS as CODECS
from ._fit_vectors import fit_vectors as fit_vectors
from ._table import CompressedTable as CompressedTable
from ._table import compress_table as compress_table
from ._token_embeddings import TiedHead as TiedHead
from ._token_embeddings import TokenReport as TokenReport
from ._token_embeddings import attach_token_embeddings as attach_token_embeddings
from ._token_embeddings import compress_token_embeddings as compress_token_embeddings

__all__ = [
    "CODECS",
    "CompressedTable",
    "TiedHead",
    "TokenReport",
    "attach_token_embeddings",
    "compress_table",
    "compress_token_embeddings",
    "fit_vectors",
]
