"""A vocabulary head for any masked-language backbone: logits = LN(act(W h + b)) E^T + b'.

E is the backbone's own word embedding. Where the checkpoint has a trained head, that is taken;
where it has none (a sentence encoder), W starts as the identity and everything else neutral, which
with tied embeddings is far above a random head. W can be read from leading dimensions alone, for
encoders whose vectors will be cut.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import AutoModelForMaskedLM

from vecsmith.core import ModelError
from vecsmith.encode import quiet_hosts

# where masked language models keep: W, its norm, the product with E, the activation (None: GELU)
_PLACES = (
    (
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.decoder",
        "cls.predictions.transform.transform_act_fn",
    ),
    ("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", None),
    ("vocab_transform", "vocab_layer_norm", "vocab_projector", "activation"),
    ("head.dense", "head.norm", "decoder", "head.act"),
)


def backbone(model: Any) -> Any:
    """Return the model of transformers inside a sentence encoder.

    Args:
        model: A `SentenceTransformer`, or what a trainer wrapped around one.

    Returns:
        The model without head.

    Raises:
        ModelError: Its first module is no transformer.
    """
    plain = getattr(model, "module", model)
    plain = getattr(plain, "_orig_mod", plain)
    base = getattr(plain[0], "model", None)
    if base is None or not hasattr(base, "get_input_embeddings"):
        raise ModelError(
            "masked pre-training needs a SentenceTransformer whose first module is a "
            f"Transformer; got {type(plain[0]).__name__}"
        )
    return base


def word_vectors(base: Any) -> Tensor:
    """Return a backbone's word embedding.

    Args:
        base: A model of transformers without head.

    Returns:
        Shape (vocabulary, dims), the parameter itself.

    Raises:
        ModelError: The backbone has none, or of other dimensions than its states.
    """
    weight: Tensor | None = getattr(base.get_input_embeddings(), "weight", None)
    dims = base.config.hidden_size
    if weight is None or not hasattr(base, "embeddings") or weight.shape[1] != dims:
        came = "none" if weight is None else f"shape {tuple(weight.shape)}"
        raise ModelError(
            f"masked pre-training needs a backbone with an embeddings module and word vectors of "
            f"its own {dims} dimensions; {type(base).__name__} has {came}: take a BERT, RoBERTa, "
            "MPNet, DistilBERT or ModernBERT checkpoint"
        )
    return weight


class VocabularyHead(nn.Module):
    """The head, apart from the word embedding, which stays the backbone's.

    Args:
        dense: W, b.
        norm: The normalisation after the activation.
        bias: b', shape (vocabulary,).
        activation: The function between them.
    """

    def __init__(
        self,
        dense: nn.Linear,
        norm: nn.Module,
        bias: Tensor,
        activation: Callable[[Tensor], Tensor] = F.gelu,
    ) -> None:
        super().__init__()
        self.dense = dense
        self.norm = norm
        self.bias = nn.Parameter(bias.detach().clone())
        self.activation = activation

    @classmethod
    def of(cls, base: Any, checkpoint: str | Path | None = None) -> "VocabularyHead":
        """Take the head of a checkpoint, or build one.

        Args:
            base: The backbone, without head.
            checkpoint: Folder or hub id it came from; None builds a head.

        Returns:
            A head of its own.

        Raises:
            ModelError: transformers has no masked language model of this kind, its head is not
                tied to the word embedding, or has another form.
        """
        word_vectors(base)
        model, missing = _masked_model(base.config, checkpoint)
        dense, norm, decoder, activation = _parts(model)
        bias = torch.zeros(word_vectors(base).shape[0]) if decoder.bias is None else decoder.bias
        head = cls(copy.deepcopy(dense), copy.deepcopy(norm), bias, activation)
        if missing:
            head.reset()
        return head.to(device=base.device, dtype=base.dtype)

    def reset(self) -> None:
        """Start anew: W the identity, all biases 0, norm neutral."""
        with torch.no_grad():
            nn.init.eye_(self.dense.weight)
            for name, parameter in self.named_parameters():
                if name.endswith("bias"):
                    parameter.zero_()
            nn.init.ones_(self.norm.get_parameter("weight"))

    def transform(self, states: Tensor) -> Tensor:
        """Turn states, or their leading dimensions, into what the word embedding is set against.

        Args:
            states: Shape (..., d), d <= dims; W is read in its first d input columns.

        Returns:
            Shape (..., dims).
        """
        weight = self.dense.weight[:, : states.shape[-1]]
        hidden: Tensor = self.norm(self.activation(F.linear(states, weight, self.dense.bias)))
        return hidden

    def forward(self, states: Tensor, words: Tensor) -> Tensor:
        """Compute logits.

        Args:
            states: Shape (..., d).
            words: The word embedding, shape (vocabulary, dims).

        Returns:
            Shape (..., vocabulary).
        """
        return F.linear(self.transform(states), words, self.bias)


def save_masked_model(base: Any, head: VocabularyHead, folder: str | Path) -> None:
    """Save backbone and head as `AutoModelForMaskedLM` loads them.

    Args:
        base: The backbone.
        head: Its head.
        folder: Where to.
    """
    model, _ = _masked_model(base.config, None)
    dense, norm, decoder, _ = _parts(model)
    inner = getattr(model, model.base_model_prefix)
    wanted = inner.state_dict()
    inner.load_state_dict({k: v for k, v in base.state_dict().items() if k in wanted})
    dense.load_state_dict(head.dense.state_dict())
    norm.load_state_dict(head.norm.state_dict())
    if decoder.bias is not None:
        decoder.bias.data.copy_(head.bias)
    model.tie_weights()
    with quiet_hosts():
        model.save_pretrained(str(folder))


def _masked_model(config: Any, checkpoint: str | Path | None) -> tuple[Any, bool]:
    """Load the masked language model, or build it; tell whether its head is untrained."""
    try:
        with quiet_hosts(), torch.random.fork_rng():
            if checkpoint is None:
                return AutoModelForMaskedLM.from_config(config), True
            model, info = AutoModelForMaskedLM.from_pretrained(
                str(checkpoint), output_loading_info=True
            )
    except (ValueError, OSError) as error:
        raise ModelError(
            f"transformers has no masked language model for {type(config).__name__} "
            f"({error}); take a BERT, RoBERTa, MPNet, DistilBERT or ModernBERT checkpoint"
        ) from error
    prefix = model.base_model_prefix + "."
    missing = [k for k in info["missing_keys"] if not k.startswith(prefix) and "dense" in k]
    missing += [k for k in info["missing_keys"] if k.startswith("vocab_transform")]
    return model, bool(missing)


def _parts(model: Any) -> tuple[Any, Any, Any, Any]:
    if not getattr(model.config, "tie_word_embeddings", True):
        raise ModelError(
            "the vocabulary head must share the word embedding, but the checkpoint's config has "
            "tie_word_embeddings false; take another checkpoint"
        )
    for dense, norm, decoder, activation in _PLACES:
        try:
            found = [model.get_submodule(name) for name in (dense, norm, decoder)]
        except AttributeError:
            continue
        act = F.gelu if activation is None else _attribute(model, activation)
        return found[0], found[1], found[2], act
    raise ModelError(
        f"the vocabulary head of {type(model).__name__} has another form than dense layer, norm, "
        "product with the word embedding; take a BERT, RoBERTa, MPNet, DistilBERT or ModernBERT "
        "checkpoint"
    )


def _attribute(model: Any, path: str) -> Any:
    for name in path.split("."):
        model = getattr(model, name)
    return model
