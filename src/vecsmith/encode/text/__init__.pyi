from ._batches import Encoder as Encoder
from ._batches import encode_in_batches as encode_in_batches
from ._batches import padded_length as padded_length
from ._batches import truncate as truncate
from ._elastic import cut as cut
from ._elastic import elastic_view as elastic_view
from ._elastic import encode_at as encode_at
from ._experts import MoETransformer as MoETransformer
from ._experts import with_domain as with_domain
from ._export import export_encoder as export_encoder
from ._export import fast_precisions as fast_precisions
from ._export import set_precision as set_precision
from ._latent_pooling import LatentAttentionPooling as LatentAttentionPooling
from ._latent_pooling import masked_mean as masked_mean
from ._latent_pooling import pooling_mask as pooling_mask
from ._layer_mix import LayerMix as LayerMix
from ._layer_mix import mix_layers as mix_layers
from ._layer_mix import with_layer_mix as with_layer_mix
from ._layers import layer_embeddings as layer_embeddings
from ._models import ResolvedModel as ResolvedModel
from ._models import load_sentence_transformer as load_sentence_transformer
from ._models import merged_state as merged_state
from ._models import quiet_hosts as quiet_hosts
from ._models import resolve_model as resolve_model
from ._models import state_hash as state_hash
from ._models import weights_hash as weights_hash
from ._moe_extension import MoEExtension as MoEExtension
from ._moe_extension import export_expert as export_expert
from ._moe_extension import load_with_experts as load_with_experts
from ._openvino import OpenVinoEncoder as OpenVinoEncoder
from ._openvino import load_encoder as load_encoder
from ._torch import RESHAPE_RECORD as RESHAPE_RECORD
from ._torch import TorchEncoder as TorchEncoder
from ._torch import kind_prompts as kind_prompts

__all__ = [
    "RESHAPE_RECORD",
    "Encoder",
    "LatentAttentionPooling",
    "LayerMix",
    "MoEExtension",
    "MoETransformer",
    "OpenVinoEncoder",
    "ResolvedModel",
    "TorchEncoder",
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
    "masked_mean",
    "merged_state",
    "mix_layers",
    "padded_length",
    "pooling_mask",
    "quiet_hosts",
    "resolve_model",
    "set_precision",
    "state_hash",
    "truncate",
    "weights_hash",
    "with_domain",
    "with_layer_mix",
]
