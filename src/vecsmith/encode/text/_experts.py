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
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from torch import Tensor, nn

from vecsmith.core import (
    ConfigError,
    DataError,
    ModelError,
    atomic_path,
    did_you_mean,
    read_json,
    write_json,
)

from ._layers import LAYOUTS, Backbone, backbone_of, check_layers, unwrapped

ROUTINGS = ("enforced", "token_topk", "sentence_topk")
WEIGHTS, SETTINGS = "experts.safetensors", "experts.json"


def top_weights(probabilities: Tensor, k: int) -> Tensor:
    """Keep the k largest probabilities and scale them to sum 1.

    Args:
        probabilities: Shape (..., experts).
        k: How many to keep.

    Returns:
        Weights, zero where an expert is not taken, of the same shape.
    """
    values, places = probabilities.topk(k, dim=-1)
    values = values / values.sum(dim=-1, keepdim=True)
    return torch.zeros_like(probabilities).scatter(-1, places, values)


def domain_marker(domain: str) -> str:
    """Return the marker that names a text's domain, "[domain]"."""
    return f"[{domain}]"


def with_domain(texts: Sequence[str], domain: str) -> list[str]:
    """Put a domain's marker before texts.

    Args:
        texts: The texts.
        domain: Name of the domain.

    Returns:
        The marked texts.
    """
    return [f"{domain_marker(domain)} {text}" for text in texts]


class Routing:
    """What the experts of a model read while it runs.

    Attributes:
        domains: Number of each text's domain, shape (B,); -1 where none is named.
        mask: True on tokens that are no padding, shape (B, L).
        choices: What each router decided: mean log-probabilities, mean probabilities and share of
            tokens sent, one tensor a block, shape (B, 3, experts).
    """

    def __init__(self) -> None:
        self.domains: Tensor | None = None
        self.mask: Tensor | None = None
        self.choices: list[Tensor] = []


class RoutedExperts(nn.Module):
    """The experts of one block.

    Args:
        mlp: The block's own MLP.
        count: How many experts.
        routing: What they read.
        kind: "enforced", "token_topk" or "sentence_topk".
        k: Experts a token or text.
    """

    def __init__(
        self, mlp: nn.Module, count: int, routing: Routing, *, kind: str = "enforced", k: int = 1
    ) -> None:
        super().__init__()
        # deep copies: one module object E times over would be one expert
        self.experts = nn.ModuleList([copy.deepcopy(mlp) for _ in range(count)])
        self.kind, self.k = kind, k
        self.routing = routing
        weight = next(mlp.parameters())
        width = weight.shape[1]
        self.router = None
        if kind != "enforced":
            self.router = nn.Linear(width, count, device=weight.device, dtype=weight.dtype)

    def forward(self, states: Tensor) -> Tensor:
        """Send states through the experts.

        Args:
            states: Shape (B, L, dims).

        Returns:
            Shape (B, L, dims).
        """
        if self.router is None:
            return self._enforced(states)
        weights = self._weights(self.router(states))
        mixed: Tensor | None = None
        for number, expert in enumerate(self.experts):
            share = weights[..., number]
            taken = (share > 0).nonzero(as_tuple=True)
            # an expert without tokens takes part with none, so that it has a gradient of zero
            part = expert(states[taken]) * share[taken][:, None]
            if mixed is None:
                mixed = torch.zeros(
                    *states.shape[:-1], part.shape[-1], dtype=part.dtype, device=part.device
                )
            mixed = mixed.index_put(taken, part, accumulate=True)
        assert mixed is not None
        return mixed

    def _enforced(self, states: Tensor) -> Tensor:
        domains = self.routing.domains
        if domains is None or int(domains.min()) < 0:
            raise DataError(
                'enforced routing needs the domain of every text: put its marker first, "[name] '
                'text" (see with_domain), or encode with prompt_name="name"'
            )
        groups = [(domains == number).nonzero()[:, 0] for number in range(len(self.experts))]
        filled = [(number, rows) for number, rows in enumerate(groups) if len(rows)]
        parts = [self.experts[number](states[rows]) for number, rows in filled]
        order = torch.cat([rows for _, rows in filled]).argsort()
        return torch.cat(parts)[order]

    def _weights(self, logits: Tensor) -> Tensor:
        """Weights of the experts for every token, shape (B, L, experts); notes the decision."""
        mask = self.routing.mask
        assert mask is not None
        real = mask[..., None].to(logits.dtype)
        tokens = real.sum(dim=1)

        def mean(values: Tensor) -> Tensor:
            return (values * real).sum(dim=1) / tokens

        if self.kind == "sentence_topk":
            logits = mean(logits)[:, None].expand_as(logits)
        log_probabilities = logits.float().log_softmax(dim=-1)
        weights = top_weights(log_probabilities.exp(), self.k)
        sent = (weights.detach() > 0).float() / self.k
        self.routing.choices.append(
            torch.stack([mean(v) for v in (log_probabilities, log_probabilities.exp(), sent)], 1)
        )
        return weights.to(logits.dtype)


class MoETransformer(Transformer):
    """A sentence-transformers `Transformer` whose MLPs are experts; made by `MoEExtension.apply`.

    Its folder holds the dense model of the first expert, and beside it all experts.
    """

    # config of the experts: names, blocks, routing, k, domain_tokens
    moe: dict[str, Any]
    routing: Routing

    def extend(self, settings: dict[str, Any]) -> None:
        """Put experts in the place of the MLPs.

        Args:
            settings: "experts" (names), "blocks" (numbers from 1), "routing", "k" and
                "domain_tokens" (name -> token id, or None).
        """
        self.moe, self.routing = settings, Routing()
        layout = LAYOUTS[self.auto_model.config.model_type]
        parts = Backbone(self.auto_model, layout)
        for number in settings["blocks"]:
            block = parts.blocks[number - 1]
            mlp = [block.get_submodule(path) for path in layout.mlp]
            experts = RoutedExperts(
                mlp[0] if len(mlp) == 1 else nn.Sequential(*mlp),
                len(settings["experts"]),
                self.routing,
                kind=settings["routing"],
                k=settings["k"],
            )
            _place(block, layout.mlp, [experts, *[nn.Identity() for _ in mlp[1:]]])

    def collapse(self, expert: int) -> dict[str, nn.Module]:
        """Put one expert's MLPs in the place of the experts.

        Args:
            expert: Number of the expert.

        Returns:
            Block -> experts that were taken out, for `restore`.
        """
        parts = Backbone(self.auto_model, LAYOUTS[self.auto_model.config.model_type])
        taken = {}
        for number in self.moe["blocks"]:
            block = parts.blocks[number - 1]
            routed: Any = block.get_submodule(parts.layout.mlp[0])
            chosen = routed.experts[expert]
            single = len(parts.layout.mlp) == 1
            _place(block, parts.layout.mlp, [chosen] if single else list(chosen))
            taken[str(number)] = routed
        return taken

    def restore(self, taken: dict[str, nn.Module]) -> None:
        """Undo `collapse`.

        Args:
            taken: What it returned.
        """
        parts = Backbone(self.auto_model, LAYOUTS[self.auto_model.config.model_type])
        for number, routed in taken.items():
            block = parts.blocks[int(number) - 1]
            rest = [nn.Identity() for _ in parts.layout.mlp[1:]]
            _place(block, parts.layout.mlp, [routed, *rest])

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Take the domain off the texts, and tokenise.

        Args:
            inputs: Texts, with or without a marker.
            prompt: Prompt of `encode`; a domain's marker in it counts for all texts.
            **kwargs: As in `Transformer.preprocess`.

        Returns:
            Model inputs, and "domains", the number of each text's domain or -1, shape (B,).
        """
        general, prompt = self._parted(prompt or "")
        found = [self._parted(text) if isinstance(text, str) else (-1, text) for text in inputs]
        if not found:
            return super().preprocess(inputs, prompt=prompt or None, **kwargs)
        features = super().preprocess([text for _, text in found], prompt=prompt or None, **kwargs)
        domains = torch.tensor([own if own >= 0 else general for own, _ in found])
        tokens = self.moe["domain_tokens"]
        if tokens is not None:
            ids = torch.tensor([*tokens.values(), self.tokenizer.cls_token_id])
            features["input_ids"][:, 0] = ids[domains]
        features["domains"] = domains
        return features

    def _parted(self, text: str) -> tuple[int, str]:
        """Number of the domain that a text's marker names (-1 for none), and the text after it."""
        for number, name in enumerate(self.moe["experts"]):
            marker = domain_marker(name)
            if text.startswith(marker):
                return number, text[len(marker) :].lstrip()
        return -1, text

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Run the backbone.

        Args:
            features: Model inputs, from `preprocess`.
            **kwargs: As in `Transformer.forward`.

        Returns:
            The features with token embeddings; "router_choices", shape (B, blocks, 3, experts),
            where a router decides.

        Raises:
            ModelError: Texts come without padding, in one row.
        """
        if "cu_seq_lens_q" in features:
            raise ModelError("experts need padded batches: load the model without unpad_inputs")
        routing = self.routing
        routing.domains, routing.mask = features.get("domains"), features["attention_mask"].bool()
        routing.choices = []
        passed = {name: value for name, value in features.items() if name != "domains"}
        features.update(super().forward(passed, **kwargs))
        if routing.choices:
            features["router_choices"] = torch.stack(routing.choices, dim=1)
        routing.choices = []
        return features

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the dense model of the first expert, and the experts.

        Args:
            output_path: Folder.
            *args: As in `Transformer.save`.
            **kwargs: As in `Transformer.save`.
        """
        taken = self.collapse(0)
        try:
            super().save(output_path, *args, **kwargs)
        finally:
            self.restore(taken)
        tensors = {
            f"{number}.{name}": tensor.detach().contiguous()
            for number, routed in taken.items()
            for name, tensor in routed.state_dict().items()
        }
        folder = Path(output_path)
        with atomic_path(folder / WEIGHTS) as temporary:
            save_file(tensors, temporary)
        write_json(folder / SETTINGS, self.moe)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> "MoETransformer":
        """Read what `save` wrote.

        Args:
            model_name_or_path: Folder of the model.
            subfolder: Folder of the module within it.
            **kwargs: As in `Transformer.load`.

        Returns:
            The module.

        Raises:
            ModelError: The experts' files are not in the folder.
        """
        folder = Path(model_name_or_path, subfolder)
        if not (folder / SETTINGS).exists() or not (folder / WEIGHTS).exists():
            raise ModelError(
                f"the folder {str(folder)!r} should hold {SETTINGS} and {WEIGHTS}; experts load "
                "from a local folder that save_pretrained wrote"
            )
        module: MoETransformer = super().load(model_name_or_path, subfolder=subfolder, **kwargs)
        module.extend(read_json(folder / SETTINGS))
        tensors, by_block = load_file(folder / WEIGHTS), module.collapse(0)
        module.restore(by_block)
        for number, routed in by_block.items():
            own = {n.split(".", 1)[1]: t for n, t in tensors.items() if n.split(".")[0] == number}
            routed.load_state_dict(own)
        return module


def _place(block: nn.Module, paths: Sequence[str], modules: Sequence[nn.Module]) -> None:
    for path, module in zip(paths, modules, strict=True):
        parent, _, name = path.rpartition(".")
        setattr(block.get_submodule(parent), name, module)


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
