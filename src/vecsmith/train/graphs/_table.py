"""The node embedders by name."""

from typing import Any

from vecsmith.core import ConfigError, did_you_mean

from ._base import GraphEmbedder
from ._deepwalk import DeepWalk
from ._factorization import GraphFactorization
from ._hope import HOPE
from ._laplacian import LaplacianEigenmaps
from ._linear import LocallyLinearEmbedding
from ._node2vec import Node2Vec
from ._sdne import SDNE

EMBEDDERS: dict[str, type[GraphEmbedder]] = {
    "deepwalk": DeepWalk,
    "gf": GraphFactorization,
    "hope": HOPE,
    "lap": LaplacianEigenmaps,
    "lle": LocallyLinearEmbedding,
    "node2vec": Node2Vec,
    "sdne": SDNE,
}


def NodeEmbedder(name: str, dim: int = 128, **settings: Any) -> GraphEmbedder:  # noqa: N802 - reads as a class
    """Make a node embedder by name.

    Args:
        name: A key of `EMBEDDERS`.
        dim: Dimensions.
        **settings: Of that embedder.

    Returns:
        It, not yet fitted.

    Raises:
        ConfigError: Unknown name or setting.
    """
    if name not in EMBEDDERS:
        raise ConfigError(f"no node embedder is called {name!r}; {did_you_mean(name, EMBEDDERS)}")
    kind: Any = EMBEDDERS[name]
    known = kind._get_param_names()
    for setting in settings:
        if setting not in known:
            raise ConfigError(
                f"{name!r} has no setting {setting!r}; {did_you_mean(setting, known)}"
            )
    made: GraphEmbedder = kind(dim=dim, **settings)
    return made
