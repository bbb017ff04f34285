"""Copies of a block's MLP as experts, one a domain: one encoder that serves many narrow domains.

Paper: Contrastive Learning and Mixture of Experts Enables Precise Vector Embeddings (L. Hallee,
R. Kapur, A. Patel, J. P. Gleghorn, B. Khomtchouk, 2024).

In every block (or only in some) the MLP is replaced by E deep copies of itself; attention, norms
and embeddings stay shared. Before training the result is the dense model exactly. Routing:

- "enforced": each text has a domain, and all its tokens go through that domain's expert. The cost
  is that of the dense model.
- "token_topk": a linear router sends each token to its k best experts; their outputs are averaged
  with the router's probabilities, scaled to sum 1. k times the MLP's cost.
- "sentence_topk": the same with one decision a text, from the mean of its tokens' router logits;
with
  k = 1 the best expert alone.

A text's domain is its marker at the start, "[cvd] text", or the prompt of that name
(``model.encode(texts, prompt_name="cvd")``). With domain tokens the marker becomes one token that
stands in [CLS]'s place and starts as a copy of its embedding; otherwise it is taken off.

Use when a collection mixes narrow domains, and the domain of a text is known. Avoid for backbones
below about 100 million parameters, where the authors saw no gain over one dense model with domain
tokens (``where="none"`` makes that one), and where memory is short: MLPs are two thirds of a block.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer

from vecsmith.core import ConfigError, did_you_mean

from ._experts import MoETransformer, domain_marker
from ._layers import backbone_of, check_layers, unwrapped

ROUTINGS = ("enforced", "token_topk", "sentence_topk")


class MoEExtension:
    """How a dense encoder becomes one with experts.

    Args:
        experts: Names of the domains; with a router, names of the experts.
        where: "all" blocks, the "middle" one, "none" (domain tokens only: the dense counterpart),
            or numbers of blocks, from 1.
        routing: "enforced", "token_topk" or "sentence_topk".
        k: Experts a token or text, where a router decides.

    Raises:
        ConfigError: Fewer than two experts, equal names, an unknown setting, or k out of range.
    """

    def __init__(
        self,
        experts: Sequence[str],
        *,
        where: str | Sequence[int] = "all",
        routing: str = "enforced",
        k: int = 2,
    ) -> None:
        self.experts = list(experts)
        if len(self.experts) < 2 or len({*self.experts}) != len(self.experts):
            raise ConfigError(f"experts must be two or more different names; got {self.experts}")
        if routing not in ROUTINGS:
            raise ConfigError(f"routing cannot be {routing!r}; {did_you_mean(routing, ROUTINGS)}")
        if isinstance(where, str) and where not in {"all", "middle", "none"}:
            raise ConfigError(
                f"where must be 'all', 'middle', 'none' or numbers of blocks; got {where!r}"
            )
        if not 1 <= k <= len(self.experts):
            raise ConfigError(f"k must be from 1 to {len(self.experts)}, the experts; got {k}")
        self.where, self.routing, self.k = where, routing, k

    def blocks(self, depth: int) -> list[int]:
        """List the numbers of the blocks that get experts, in a model of `depth` blocks."""
        named = {"all": range(1, depth + 1), "middle": [(depth + 1) // 2], "none": []}
        if isinstance(self.where, str):
            return list(named[self.where])
        return sorted({*check_layers(self.where, depth)})

    def apply(self, model: Any, *, domain_tokens: bool = False) -> SentenceTransformer:
        """Make a model with experts.

        Args:
            model: A dense `SentenceTransformer`; left as it is.
            domain_tokens: Whether a token of its own names the domain, in [CLS]'s place.

        Returns:
            The new model, with a prompt for every domain. Before training it gives the dense
            model's vectors exactly.

        Raises:
            ConfigError: The model has experts already, or its tokenizer has no [CLS].
            ModelError: The backbone's MLPs are not known.
        """
        parts = backbone_of(model)
        extended = copy.deepcopy(unwrapped(model))
        first: Any = extended[0]
        if isinstance(first, MoETransformer):
            raise ConfigError("the model has experts already; apply the extension to a dense model")
        first.__class__ = MoETransformer
        first.extend(
            {
                "experts": self.experts,
                "blocks": self.blocks(parts.depth),
                "routing": self.routing,
                "k": self.k,
                "domain_tokens": _add_tokens(first, self.experts) if domain_tokens else None,
            }
        )
        for name in self.experts:
            extended.prompts[name] = domain_marker(name) + " "
        return extended.eval()


def _add_tokens(transformer: Any, names: Sequence[str]) -> dict[str, int]:
    """Add a token for each domain whose embedding is a copy of [CLS]'s."""
    tokenizer, model = transformer.tokenizer, transformer.auto_model
    if tokenizer.cls_token_id is None:
        raise ConfigError(
            "domain tokens stand in the place of [CLS], and the model's tokenizer has none; "
            "set domain_tokens=False"
        )
    markers = [domain_marker(name) for name in names]
    tokenizer.add_tokens(markers, special_tokens=True)
    size = max(len(tokenizer), model.get_input_embeddings().weight.shape[0])
    model.resize_token_embeddings(size, mean_resizing=False)
    ids = {n: tokenizer.convert_tokens_to_ids(m) for n, m in zip(names, markers, strict=True)}
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        table[list(ids.values())] = table[tokenizer.cls_token_id].clone()
    return ids


def load_with_experts(folder: str | Path, *, device: str | None = None) -> SentenceTransformer:
    """Load a model with experts.

    `SentenceTransformer(folder)` refuses classes that are not its own, unless it is given
    ``trust_remote_code=True``; here this one class is allowed, and nothing else.

    Args:
        folder: Folder that `save_pretrained` wrote.
        device: Torch device; by default the best there is.

    Returns:
        The model, in evaluation mode.

    Raises:
        ModelError: The experts' files are not in the folder.
    """
    reference = f"{MoETransformer.__module__}.{MoETransformer.__qualname__}"
    model: SentenceTransformer = SentenceTransformer._load_with_module_classes(
        str(folder), {reference: MoETransformer}, device=device
    )
    return model.eval()


def export_expert(model: Any, name: str) -> SentenceTransformer:
    """Make a plain dense model of one expert.

    Args:
        model: A `SentenceTransformer` from `MoEExtension.apply`.
        name: Name of the expert.

    Returns:
        A model that loads without vecsmith and gives, for texts without marker, what `model` gives
        for that domain. Its [CLS] embedding is the domain token's, where there is one.

    Raises:
        ConfigError: No such expert, or a model without experts.
    """
    plain = unwrapped(model)
    if not isinstance(plain[0], MoETransformer):
        raise ConfigError("the model has no experts; make one with MoEExtension.apply")
    names = plain[0].moe["experts"]
    if name not in names:
        raise ConfigError(f"no expert is called {name!r}; {did_you_mean(name, names)}")
    dense = copy.deepcopy(plain)
    first: Any = dense[0]
    first.collapse(names.index(name))
    tokens = first.moe["domain_tokens"]
    if tokens is not None:
        with torch.no_grad():
            table = first.auto_model.get_input_embeddings().weight
            table[first.tokenizer.cls_token_id] = table[tokens[name]].clone()
    del first.moe, first.routing
    first.__class__ = Transformer
    dense.prompts = {n: p for n, p in dense.prompts.items() if n not in names}
    return dense
