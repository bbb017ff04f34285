"""PyKEEN's models, loaded and called without its notes; its cache stays in ours."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from vecsmith.core import ConfigError, cache_dir, did_you_mean, require

# unit vectors would cap the score of a product at 1
MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "distmult": {"entity_constrainer": None, "regularizer": None},
    "complex": {"regularizer": None},
    "transe": {"entity_constrainer": None, "scoring_fct_norm": 2},
}
# PyKEEN's start is so small for large graphs that products of three hardly move, or so large that
# they begin far off
STARTS = {"distmult": 0.3, "complex": 0.2, "transe": 0.3}
# distances are below 0, so that the loss needs a margin
MARGINS = {"transe": 6.0, "rotate": 6.0, "transh": 6.0, "transr": 6.0, "transd": 6.0, "pairre": 6.0}


@contextlib.contextmanager
def quiet_pykeen() -> Iterator[None]:
    """Keep PyKEEN's warnings and log lines to itself.

    Yields:
        Nothing.
    """
    logger = logging.getLogger("pykeen")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def load_pykeen(module: str) -> Any:
    """Import a module of PyKEEN.

    Args:
        module: Its name.

    Returns:
        The module.

    Raises:
        MissingExtra: PyKEEN is not installed.
    """
    before = os.environ.get("PYKEEN_HOME")
    os.environ.setdefault("PYKEEN_HOME", str(cache_dir("pykeen")))
    try:
        with quiet_pykeen():
            return require(module, "graphs")
    finally:
        if before is None:
            del os.environ["PYKEEN_HOME"]


def make_model(
    name: str, *, sizes: tuple[int, int], dim: int, seed: int, settings: Mapping[str, Any]
) -> Any:
    """Make a PyKEEN model.

    Args:
        name: As PyKEEN calls it, in lower case.
        sizes: How many entities and relations.
        dim: Of the vectors (complex dimensions, where the model's are complex).
        seed: Seed of the start.
        settings: Further arguments of the model.

    Returns:
        The model, on the CPU.

    Raises:
        ConfigError: PyKEEN has no such model, or it does not take the settings.
    """
    import torch

    models = load_pykeen("pykeen.models")
    triples = load_pykeen("pykeen.triples")
    if name not in models.model_resolver.options:
        hint = did_you_mean(name, models.model_resolver.options)
        raise ConfigError(f"model {name!r} is none of PyKEEN's; {hint}")
    shape = triples.CoreTriplesFactory(
        torch.zeros((1, 3), dtype=torch.long), num_entities=sizes[0], num_relations=sizes[1]
    )
    start = {}
    if name in STARTS:
        start["entity_initializer"] = partial(torch.nn.init.normal_, std=STARTS[name])
    wanted = {"embedding_dim": dim, **MODEL_DEFAULTS.get(name, {}), **start, **settings}
    try:
        with quiet_pykeen():
            made = models.model_resolver.make(name, wanted, triples_factory=shape, random_seed=seed)
            return made.cpu()
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"PyKEEN's model {name!r} cannot be made with {sorted(wanted)} and no literals or "
            f"descriptions ({error}); change the settings, or take another model"
        ) from error


def entity_table(model: Any) -> Any:
    """Read the vectors of all entities off a model.

    Args:
        model: A PyKEEN model.

    Returns:
        Real numbers, shape (entities, width); complex vectors as real parts, then imaginary ones.
    """
    import torch

    parts = []
    with torch.no_grad(), quiet_pykeen():
        for representation in model.entity_representations:
            found = representation(None).detach().cpu()
            if found.is_complex():
                found = torch.cat([found.real, found.imag], dim=-1)
            parts.append(found.reshape(len(found), -1).float())
    return np.ascontiguousarray(torch.cat(parts, dim=1).numpy())
