"""Cut a sentence encoder to fewer blocks and fewer dimensions.

What comes out is a plain `SentenceTransformer`: its folder loads without vecsmith, really has fewer
blocks, and gives unit vectors of the size asked for. The size is cut by a `Dense` whose matrix is a
piece of the identity, followed by `Normalize`. sentence-transformers' own `truncate_dim` is not
enough: it acts in `encode` alone, after `Normalize`, so that vectors are not of length 1, and
neither further training nor an export sees it.

Cutting pays where training prepared for it (`TwoDMatryoshkaLoss`, `StarbucksLoss`,
`MatryoshkaLoss`); an untrained cut loses most of the quality.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from torch import nn

from vecsmith.core import ConfigError, ModelError

from ._layers import Backbone, backbone_of, check_layers, tail_modules, unwrapped

# key of the backbone's config under which a cut model says what it was cut from
RECORD = "vecsmith_cut"


def cut(model: Any, layers: int | None = None, *, dim: int | None = None) -> SentenceTransformer:
    """Make a smaller model of the first blocks and the leading dimensions.

    Args:
        model: A `SentenceTransformer`; left as it is.
        layers: How many blocks to keep; None keeps all.
        dim: How many leading dimensions to keep; None keeps all.

    Returns:
        A model with weights of its own that gives unit vectors of `dim` dimensions. The config of
        its backbone holds, under "vecsmith_cut", what it was cut from (parent, layers of how many,
        dims of how many).

    Raises:
        ConfigError: No such number of layers or dimensions.
        ModelError: The backbone's blocks are not known, or the model has no embedding size.
    """
    return _smaller(unwrapped(model), layers, dim, share=False)


def elastic_view(
    model: Any, layers: int | None = None, *, dim: int | None = None
) -> SentenceTransformer:
    """Make a smaller model that shares the weights of the whole one.

    Args:
        model: A `SentenceTransformer`; left as it is.
        layers: How many blocks to keep; None keeps all.
        dim: How many leading dimensions to keep; None keeps all.

    Returns:
        As `cut`, in evaluation mode, but its parameters are the parent's: it costs no memory, and
        what changes the parent changes it.

    Raises:
        ConfigError: No such number of layers or dimensions.
        ModelError: The backbone's blocks are not known, or the model has no embedding size.
    """
    return _smaller(unwrapped(model), layers, dim, share=True)


def encode_at(
    model: Any,
    texts: Sequence[str],
    *,
    layers: int | None = None,
    dim: int | None = None,
    **options: Any,
) -> Any:
    """Encode texts with the first blocks and the leading dimensions; later blocks do not run.

    Args:
        model: A `SentenceTransformer`.
        texts: The texts.
        layers: How many blocks to run; None runs all.
        dim: How many leading dimensions to keep; None keeps all.
        **options: Further settings of `SentenceTransformer.encode`.

    Returns:
        Unit vectors, shape (texts, dim), as `SentenceTransformer.encode` gives them.

    Raises:
        ConfigError: No such number of layers or dimensions.
        ModelError: The backbone's blocks are not known.

    Cost:
        Milliseconds for the view, then `layers` blocks; take `elastic_view` once for many calls.
    """
    options.setdefault("show_progress_bar", False)
    return elastic_view(model, layers, dim=dim).encode(list(texts), **options)


def _smaller(
    plain: Any, layers: int | None, dim: int | None, *, share: bool
) -> SentenceTransformer:
    parts = backbone_of(plain)
    layers = check_layers([parts.depth if layers is None else layers], parts.depth)[0]
    smaller = _fewer_blocks(plain, parts, layers, share=share)
    dim, smaller.truncate_dim = smaller.truncate_dim if dim is None else dim, None
    width = smaller.get_embedding_dimension()
    if width is None:
        raise ModelError("the model does not say how many dimensions its embeddings have")
    dim = width if dim is None else int(dim)
    if not 1 <= dim <= width:
        raise ConfigError(f"dim must be from 1 to {width}, the size of the embeddings; got {dim}")
    tail = tail_modules(smaller)
    if dim < width:
        tail.append(_identity_slice(width, dim, next(plain.parameters())))
    del smaller[1:]
    for module in (*tail, Normalize()):
        smaller.append(module)
    _record(smaller, parts, layers, (dim, width))
    return smaller.eval()


def _fewer_blocks(plain: Any, parts: Backbone, layers: int, *, share: bool) -> Any:
    """Copy a model without its last blocks; `share` keeps the same tensors and tokenizer."""
    shared = [*plain.parameters(), *plain.buffers(), plain.tokenizer] if share else []
    memo: dict[int, Any] = {id(item): item for item in shared}
    for block in parts.blocks[layers:]:
        # never used, so not worth copying
        memo[id(block)] = None
    smaller = copy.deepcopy(plain, memo)
    blocks = backbone_of(smaller).blocks
    del blocks[layers:]
    experts = getattr(smaller[0], "moe", None)
    if experts is not None:
        experts["blocks"] = [block for block in experts["blocks"] if block <= layers]
    config, depth = smaller[0].auto_model.config, parts.depth
    config.num_hidden_layers = layers
    for name, value in list(vars(config).items()):
        # one entry a layer: layer_types and the like
        if "layer" in name and isinstance(value, list) and len(value) == depth:
            setattr(config, name, value[:layers])
    return smaller


def _identity_slice(width: int, dim: int, like: torch.Tensor) -> Dense:
    weight = torch.eye(dim, width, dtype=like.dtype, device=like.device)
    return Dense(width, dim, bias=False, activation_function=nn.Identity(), init_weight=weight)


def _record(smaller: Any, parts: Backbone, layers: int, dims: tuple[int, int]) -> None:
    config = smaller[0].auto_model.config
    before = getattr(parts.model.config, RECORD, None) or {}
    parent = before.get("parent") or smaller.model_card_data.base_model
    setattr(
        config,
        RECORD,
        {
            "parent": parent or str(parts.model.config.name_or_path),
            "layers": layers,
            "of_layers": before.get("of_layers", parts.depth),
            "dims": dims[0],
            "of_dims": before.get("of_dims", dims[1]),
        },
    )
