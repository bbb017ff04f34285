"""DARE: drop numbers of the task vectors at random, rescale the rest, then merge as usual.

Yu et al. (2024), *Language Models are Super Mario*::

    tau'_t = m_t * tau_t / density,   m_t ~ Bernoulli(density) for every number
    theta  = theta_0 + scale * sum_t w_t tau'_t         (elect="sum")
    theta  = theta_0 + scale * TIES' elected mean       (elect="sign")

Use to make many experts interfere less where their task vectors are redundant (long fine-tuning of
a large model). Avoid for small models: it adds noise. Cost: one pass over the tensors.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from vecsmith.core import ConfigError, torch_generator

from ._average import combine, shares
from ._set import Mergeable, Merged
from ._ties import elect_and_average


def drop_and_rescale(deltas: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Zero numbers at random and divide the others by the part that is kept.

    Args:
        deltas: Any shape.
        density: Probability that a number is kept.
        generator: CPU generator.

    Returns:
        The same shape, with the same expectation.
    """
    kept = torch.rand(deltas.shape, generator=generator) < density
    return deltas * kept.to(deltas.device) / density


def dare(
    ms: Mergeable,
    *,
    density: float = 0.1,
    scale: float = 1.0,
    elect: str = "sum",
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Merged:
    """Merge by DARE.

    Args:
        ms: Base and experts.
        density: Part of each task vector that is kept.
        scale: Factor on the merged task vector (for "sum": the weighted mean).
        elect: "sum" (task arithmetic) or "sign" (the elected mean of TIES).
        weights: Expert -> weight; None counts all alike.
        seed: Seed of the dropping.

    Yields:
        Name and merged tensor.

    Raises:
        ConfigError: `density` or `elect` is out of range.
    """
    if not 0.0 < density <= 1.0:
        raise ConfigError(f"density must be above 0 and at most 1; got {density!r}")
    if elect not in {"sum", "sign"}:
        raise ConfigError(f"elect must be 'sum' or 'sign'; got {elect!r}")
    share = shares(ms.tasks, weights)
    for name, start, deltas in ms.tensors():
        generator = torch_generator(seed, "dare", name)
        kept = drop_and_rescale(deltas, density, generator)
        if elect == "sign":
            yield name, start + scale * elect_and_average(kept, share)
        else:
            yield name, combine(start, kept, scale * share)
