from .images import VisionEncoder as VisionEncoder
from .images import VisionOutput as VisionOutput
from .text import Encoder as Encoder
from .text import OpenVinoEncoder as OpenVinoEncoder
from .text import ResolvedModel as ResolvedModel
from .text import TorchEncoder as TorchEncoder
from .text import encode_in_batches as encode_in_batches
from .text import export_encoder as export_encoder
from .text import fast_precisions as fast_precisions
from .text import kind_prompts as kind_prompts
from .text import load_encoder as load_encoder
from .text import load_sentence_transformer as load_sentence_transformer
from .text import padded_length as padded_length
from .text import quiet_hosts as quiet_hosts
from .text import resolve_model as resolve_model
from .text import set_precision as set_precision
from .text import truncate as truncate
from .text import weights_hash as weights_hash

__all__ = [
    "Encoder",
    "OpenVinoEncoder",
    "ResolvedModel",
    "TorchEncoder",
    "VisionEncoder",
    "VisionOutput",
    "encode_in_batches",
    "export_encoder",
    "fast_precisions",
    "kind_prompts",
    "load_encoder",
    "load_sentence_transformer",
    "padded_length",
    "quiet_hosts",
    "resolve_model",
    "set_precision",
    "truncate",
    "weights_hash",
]
