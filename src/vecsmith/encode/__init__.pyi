from ._texts import TextEncoder as TextEncoder
from ._texts import split_words as split_words
from .formulas import Snip as Snip
from .formulas import SnipConfig as SnipConfig
from .images import VisionEncoder as VisionEncoder
from .images import VisionOutput as VisionOutput
from .lexical import FactorEncoder as FactorEncoder
from .lexical import LexicalEncoder as LexicalEncoder
from .lexical import LexicalOptions as LexicalOptions
from .numbers import NumericEncoder as NumericEncoder
from .pooling import CausalEncoder as CausalEncoder
from .pooling import Echo as Echo
from .pooling import PoolingOptions as PoolingOptions
from .pooling import WordPooling as WordPooling
from .pooling import pool_tokens as pool_tokens
from .tables import CompressedEmbedding as CompressedEmbedding
from .tables import FrozenEmbedding as FrozenEmbedding
from .tables import ProductQuantiser as ProductQuantiser
from .tables import UnifiedEmbedding as UnifiedEmbedding
from .tables import UnifiedSpec as UnifiedSpec
from .tables import UserTable as UserTable
from .text import RESHAPE_RECORD as RESHAPE_RECORD
from .text import Encoder as Encoder
from .text import LatentAttentionPooling as LatentAttentionPooling
from .text import LayerMix as LayerMix
from .text import MoEExtension as MoEExtension
from .text import MoETransformer as MoETransformer
from .text import OpenVinoEncoder as OpenVinoEncoder
from .text import ResolvedModel as ResolvedModel
from .text import TorchEncoder as TorchEncoder
from .text import cut as cut
from .text import elastic_view as elastic_view
from .text import encode_at as encode_at
from .text import encode_in_batches as encode_in_batches
from .text import export_encoder as export_encoder
from .text import export_expert as export_expert
from .text import fast_precisions as fast_precisions
from .text import kind_prompts as kind_prompts
from .text import layer_embeddings as layer_embeddings
from .text import load_encoder as load_encoder
from .text import load_sentence_transformer as load_sentence_transformer
from .text import load_with_experts as load_with_experts
from .text import merged_state as merged_state
from .text import padded_length as padded_length
from .text import quiet_hosts as quiet_hosts
from .text import resolve_model as resolve_model
from .text import set_precision as set_precision
from .text import state_hash as state_hash
from .text import truncate as truncate
from .text import weights_hash as weights_hash
from .text import with_domain as with_domain
from .text import with_layer_mix as with_layer_mix
from .words import BitCipher as BitCipher
from .words import SubwordVectors as SubwordVectors
from .words import WordVectors as WordVectors
from .words import vectors_of_words as vectors_of_words

__all__ = [
    "RESHAPE_RECORD",
    "BitCipher",
    "CausalEncoder",
    "CompressedEmbedding",
    "Echo",
    "Encoder",
    "FactorEncoder",
    "FrozenEmbedding",
    "LatentAttentionPooling",
    "LayerMix",
    "LexicalEncoder",
    "LexicalOptions",
    "MoEExtension",
    "MoETransformer",
    "NumericEncoder",
    "OpenVinoEncoder",
    "PoolingOptions",
    "ProductQuantiser",
    "ResolvedModel",
    "Snip",
    "SnipConfig",
    "SubwordVectors",
    "TextEncoder",
    "TorchEncoder",
    "UnifiedEmbedding",
    "UnifiedSpec",
    "UserTable",
    "VisionEncoder",
    "VisionOutput",
    "WordPooling",
    "WordVectors",
    "cut",
    "elastic_view",
    "encode_at",
    "encode_in_batches",
    "export_encoder",
    "export_expert",
    "fast_precisions",
    "kind_prompts",
    "layer_embeddings",
    "load_encoder",
    "load_sentence_transformer",
    "load_with_experts",
    "merged_state",
    "padded_length",
    "pool_tokens",
    "quiet_hosts",
    "resolve_model",
    "set_precision",
    "split_words",
    "state_hash",
    "truncate",
    "vectors_of_words",
    "weights_hash",
    "with_domain",
    "with_layer_mix",
]
