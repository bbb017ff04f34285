from ._causal_encoder import CausalEncoder as CausalEncoder
from ._causal_encoder import Echo as Echo
from ._pools import PoolingOptions as PoolingOptions
from ._pools import attention_weights as attention_weights
from ._pools import pool_words as pool_words
from ._pools import power_mean as power_mean
from ._pools import shared_directions as shared_directions
from ._pools import sif_weights as sif_weights
from ._token_pooling import TOKEN_POOLINGS as TOKEN_POOLINGS
from ._token_pooling import pool_tokens as pool_tokens
from ._word_pooling import WordPooling as WordPooling

__all__ = [
    "CausalEncoder",
    "Echo",
    "PoolingOptions",
    "TOKEN_POOLINGS",
    "WordPooling",
    "attention_weights",
    "pool_tokens",
    "pool_words",
    "power_mean",
    "shared_directions",
    "sif_weights",
]
