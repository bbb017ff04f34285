"""Turn a decoder-only language model into a text embedder.

Paper: NV-Embed (C. Lee and others, 2024). The causal mask is replaced by one for padding alone, in
training and afterwards; token states are pooled by latent attention, a mean or the last token;
weights are trained through low-rank adapters (LoRA). Texts end with the end-of-text token; queries
begin with an instruction that is read but not pooled.

What comes out is a plain `SentenceTransformer`. Its folder carries the attention switch and the
end-of-text token; with mean or last-token pooling it loads without vecsmith.

Use when a small encoder is not good enough and there is a GPU. Avoid without training: a frozen
causal model gets *worse* when its mask is taken away (see the claim).
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import nn

from vecsmith.core import ConfigError, ModelError, did_you_mean, require
from vecsmith.encode import quiet_hosts, resolve_model
from vecsmith.encode.text import LatentAttentionPooling

from ._llm_transformer import LLMTransformer, PlainTransformer, adapted_layers, merge_adapters

POOLINGS = {"mean": "mean", "last": "lasttoken", "latent": ""}
LORA = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.1, "target_modules": "all-linear"}
# without this a model with a chat template gets its texts as messages, behind a system prompt
PLAIN_TEXT = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
# ours -> the authors', in the files of nvidia/NV-Embed-v1 and v2
_OFFICIAL = {
    "dictionary": "latents",
    "norm": "cross_attend_blocks.0.norm",
    "dictionary_norm": "cross_attend_blocks.0.norm_context",
    "to_q": "cross_attend_blocks.0.fn.to_q",
    "to_kv": "cross_attend_blocks.0.fn.to_kv",
    "to_out": "cross_attend_blocks.0.fn.to_out",
    "ff_norm": "cross_attend_blocks.1.norm",
    "up": "cross_attend_blocks.1.fn.net.0",
    "down": "cross_attend_blocks.1.fn.net.2",
}
_POOLER, _BACKBONE = "latent_attention_model.", "embedding_model."


def instruct(task: str) -> str:
    """Write the instruction that stands before queries; documents have none.

    Args:
        task: For example "Given a question, find passages that answer it".

    Returns:
        A prompt for ``encode``.
    """
    return f"Instruct: {task}\nQuery: "


def set_bidirectional(model: Any, bidirectional: bool = True) -> None:
    """Replace the causal mask by one for padding alone, or bring it back; windows go likewise.

    Args:
        model: A decoder-only model of transformers.
        bidirectional: Whether every token sees every other.

    Raises:
        ModelError: The model still attends as before: its attention ignores the switch.
    """
    model.config.is_causal = not bidirectional
    for module in model.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = not bidirectional
    _set_window(model, bidirectional)
    if sees_ahead(model) is not bidirectional:
        raise ModelError(
            f"{type(model).__name__} ignores config.is_causal with attention "
            f"{getattr(model.config, '_attn_implementation', '?')!r}; load it with "
            "attn_implementation 'sdpa' or 'eager'"
        )


def _set_window(model: Any, bidirectional: bool) -> None:
    config = model.config
    before = getattr(config, "sliding_window", None)
    # what it was, for the way back
    causal = model.__dict__.setdefault("_causal_window", before)
    if causal is None:
        return
    window = causal
    if bidirectional:
        # kinds of layers stay as they are: some models give each kind its own rotary base
        layers = getattr(config, "layer_types", None)
        window = max(causal, config.max_position_embeddings) if layers else None
    config.sliding_window = window
    for module in model.modules():
        if getattr(module, "sliding_window", None) is not None:
            module.sliding_window = window


def sees_ahead(model: Any) -> bool:
    """Test on the real attention whether the last token changes the first one's state.

    Args:
        model: A model of transformers.

    Returns:
        Whether it does.
    """
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([[3, 4, 5, 6], [3, 4, 5, 7]], device=device)
    training = model.training
    model.eval()
    with torch.no_grad():
        states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    model.train(training)
    return bool((states[0, 0] - states[1, 0]).abs().max() > 0)


def end_texts(tokenizer: Any) -> None:
    """Make a tokenizer end each text with its end-of-text token, pad on the right, keep a start.

    Args:
        tokenizer: A fast tokenizer; its saved files carry the change.

    Raises:
        ModelError: It has no end-of-text token.
    """
    from tokenizers.processors import TemplateProcessing

    end = tokenizer.eos_token
    if end is None or getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(
            "an LLM embedder needs a fast tokenizer with an end-of-text token; "
            f"{type(tokenizer).__name__} has none"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = end
    # texts are no messages: with a template the host library would put them behind a system prompt
    tokenizer.chat_template = None
    tokenizer.padding_side = "right"
    ids = tokenizer("a")["input_ids"]
    if ids and ids[-1] == tokenizer.eos_token_id:
        return
    special, template = [(end, tokenizer.eos_token_id)], f"$A {end}"
    if tokenizer.bos_token is not None and ids and ids[0] == tokenizer.bos_token_id:
        special.append((tokenizer.bos_token, tokenizer.bos_token_id))
        template = f"{tokenizer.bos_token} {template}"
    inner = tokenizer.backend_tokenizer
    inner.post_processor = TemplateProcessing(
        single=template, special_tokens=list(dict.fromkeys(special))
    )


class LLMEmbedder:
    """A language model on its way to an embedder.

    Args:
        transformer: Transformer module of sentence-transformers around a decoder-only model.
        pooling: "mean", "last", "latent", or a module that pools.
        bidirectional: Whether to take the causal mask away.

    Raises:
        ConfigError: Unknown pooling.
        ModelError: The model ignores the switch, or its tokenizer cannot end texts.
    """

    def __init__(
        self,
        transformer: Any,
        *,
        pooling: str | nn.Module = "latent",
        bidirectional: bool = True,
    ) -> None:
        self.transformer = transformer
        dims = transformer.get_embedding_dimension()
        if isinstance(pooling, str):
            if pooling not in POOLINGS:
                hint = did_you_mean(pooling, POOLINGS)
                raise ConfigError(f"pooling cannot be {pooling!r}; {hint}")
            latent = pooling == "latent"
            pooling = (
                LatentAttentionPooling(dims)
                if latent
                else Pooling(dims, POOLINGS[pooling], include_prompt=False)
            )
        self.pooling = pooling
        if type(transformer) is Transformer:
            ours = type(pooling).__module__.partition(".")[0] == "vecsmith"
            transformer.__class__ = LLMTransformer if ours else PlainTransformer
        end_texts(transformer.tokenizer)
        transformer.model.config.use_cache = False
        set_bidirectional(transformer.model, bidirectional)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        pooling: str | nn.Module = "latent",
        bidirectional: bool = True,
        lora: dict[str, Any] | None = None,
        layers: int | None = None,
        max_length: int = 512,
        model_kwargs: dict[str, Any] | None = None,
    ) -> "LLMEmbedder":
        """Load a decoder-only model.

        Args:
            name: Hub id or folder, GGUF included.
            pooling: See the class.
            bidirectional: Whether to take the causal mask away.
            lora: Settings of `peft.LoraConfig` over the defaults (rank 16, alpha 32, dropout 0.1,
                all linear layers); an empty dictionary takes those; None trains all weights.
            layers: Keep only the first ones.
            max_length: Length at which texts are cut.
            model_kwargs: Further arguments of ``from_pretrained``, such as ``torch_dtype``.

        Returns:
            The embedder, on the CPU.

        Raises:
            ModelError: Not found, or not loadable.
        """
        found = resolve_model(name)
        extra: dict[str, Any] = {"gguf_file": found.gguf} if found.gguf else {}
        try:
            with quiet_hosts():
                transformer = Transformer(
                    str(found.path),
                    max_seq_length=max_length,
                    model_kwargs={**extra, **(model_kwargs or {})},
                    processor_kwargs=dict(extra),
                    config_kwargs=dict(extra),
                    modality_config=PLAIN_TEXT,
                    module_output_name="token_embeddings",
                )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(
                f"model {str(name)!r} does not load as a language model: {error}"
            ) from error
        if found.gguf:
            # its weights are unpacked already; what is left of the packing only forbids saving
            transformer.model.hf_quantizer = None
            del transformer.model.config.quantization_config
        if layers is not None:
            keep_layers(transformer.model, layers)
        embedder = cls(transformer, pooling=pooling, bidirectional=bidirectional)
        if lora is not None:
            embedder.add_lora(**lora)
        return embedder

    def add_lora(self, **settings: Any) -> None:
        """Freeze the language model and put low-rank adapters on it; the pooling trains as a whole.

        Args:
            **settings: Settings of `peft.LoraConfig` over the defaults.
        """
        peft = require("peft", "train")
        config = peft.LoraConfig(**{**LORA, **settings})
        peft.inject_adapter_in_model(config, self.transformer.model)
        for name, weight in self.transformer.model.named_parameters():
            weight.requires_grad_("lora_" in name)

    def merge_lora(self) -> None:
        """Add the adapters to the weights for good; saving alone does not change the model."""
        merge_adapters(self.transformer.model)

    def as_sentence_transformer(self, *, device: str = "cpu") -> SentenceTransformer:
        """Return the embedder as sentence-transformers knows it; both share their weights.

        Args:
            device: Torch device.

        Returns:
            Transformer, pooling, normalisation. With adapters, these and the pooling are float32,
            whatever the type of the language model.
        """
        modules = [self.transformer, self.pooling, Normalize()]
        model = SentenceTransformer(modules=modules, device=device)
        if adapted_layers(self.transformer.model):
            # it gave all modules the type of the language model, in which small steps are lost
            self.pooling.float()
            _adapters_in_float32(self.transformer.model)
        return model


def _adapters_in_float32(model: nn.Module) -> None:
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = weight.data.float()


def keep_layers(model: Any, count: int) -> None:
    """Drop all but the first layers of a decoder-only model.

    Args:
        model: A model of transformers with ``layers``.
        count: How many stay.

    Raises:
        ConfigError: It has fewer.
    """
    have = len(getattr(model, "layers", ()))
    if not 1 <= count <= have:
        raise ConfigError(f"layers must lie between 1 and {have}, what the model has; got {count}")
    model.layers = model.layers[:count]
    model.config.num_hidden_layers = count
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = model.config.layer_types[:count]


def load_nv_embed(name: str | Path) -> SentenceTransformer:
    """Load the authors' NV-Embed weights without their code.

    Args:
        name: Folder or hub id of nvidia/NV-Embed-v1 or v2, or one of the same form.

    Returns:
        The embedder: bidirectional model, latent attention, normalisation.

    Raises:
        ModelError: Not found, or not of that form.
    """
    from transformers import AutoModel, AutoTokenizer

    folder = Path(resolve_model(name).path)
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        sizes, text = config["latent_attention_config"], config["text_config"]
        state = _read_weights(folder)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{str(name)!r} is no NV-Embed model: it should hold config.json with "
            f"latent_attention_config and text_config, and safetensors weights ({error!r})"
        ) from error
    model = AutoModel.from_config(_backbone_config(text))
    pooling = LatentAttentionPooling(
        sizes.get("latent_dim", model.config.hidden_size),
        latents=sizes.get("num_latents_value", 512),
        heads=sizes.get("num_cross_heads", 8),
        head_dim=sizes.get("cross_dim_head", 4096),
    )
    wanted = pooling.state_dict()
    renamed = {ours: state.get(_POOLER + _official(ours)) for ours in wanted}
    inner = {k[len(_BACKBONE) :]: v for k, v in state.items() if k.startswith(_BACKBONE)}
    missing = [k for k, v in renamed.items() if v is None]
    missing += [k for k in model.state_dict() if k not in inner]
    if missing:
        raise ModelError(f"NV-Embed weights in {str(folder)!r} lack {missing[:3]}")
    pooling.load_state_dict(renamed)
    model.load_state_dict(inner, strict=False)
    with quiet_hosts():
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    transformer = _wrapped(model, tokenizer)
    return LLMEmbedder(transformer, pooling=pooling).as_sentence_transformer()


def _official(ours: str) -> str:
    part, dot, rest = ours.partition(".")
    return _OFFICIAL[part] + dot + rest


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            state.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    if not state:
        raise OSError("no safetensors file")
    return state


def _backbone_config(text: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    # the authors' own type is a Mistral whose mask is not causal
    kind = text.get("model_type", "mistral")
    kind = "mistral" if kind == "bidir_mistral" else kind
    rest = {k: v for k, v in text.items() if k not in {"model_type", "architectures", "auto_map"}}
    return AutoConfig.for_model(kind, **rest)


def _wrapped(model: Any, tokenizer: Any) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as scratch, quiet_hosts():
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        return Transformer(
            scratch, modality_config=PLAIN_TEXT, module_output_name="token_embeddings"
        )
