"""A sentence-transformers `Transformer` with experts in the place of its MLPs.

Its folder holds the dense model of the first expert, and beside it all experts; see `MoEExtension`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules import Transformer
from torch import nn

from vecsmith.core import ModelError, atomic_path, read_json, write_json

from ._layers import LAYOUTS, Backbone
from ._routing import RoutedExperts, Routing

WEIGHTS, SETTINGS = "experts.safetensors", "experts.json"


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
