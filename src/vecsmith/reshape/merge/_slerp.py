"""Spherical interpolation: go from one expert to the next along the arc instead of the chord.

Shoemake (1985), *Animating rotation with quaternion curves*, applied to weights as is the custom::

    slerp(u, v, t) = sin((1 - t) w) / sin(w) * u + sin(t w) / sin(w) * v,   cos(w) = <u, v> / |u||v|

Here u and v are task vectors (``around="base"``) or the weights themselves (``around="zero"``), the
angle is that of one tensor or of the whole model, and more than two experts are folded in one after
the other with t = 1/2, 1/3, … The arc keeps the length that averaging nearly orthogonal vectors
loses. Use for two experts; with more, the order counts. Cost: two passes over the tensors.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from ._average import combine
from ._set import Mergeable, Merged

_PARALLEL = 1e-6


def arc_factors(cosine: float, t: float) -> tuple[float, float]:
    """Return the factors of slerp on both ends; those of the chord where the two are parallel.

    Args:
        cosine: Cosine between the ends.
        t: Position, 0 to 1.

    Returns:
        Factor of the first end, factor of the second.
    """
    angle = torch.arccos(torch.tensor(cosine, dtype=torch.float64).clamp(-1.0, 1.0))
    sine = torch.sin(angle)
    if float(sine) < _PARALLEL:
        return 1.0 - t, t
    return float(torch.sin((1.0 - t) * angle) / sine), float(torch.sin(t * angle) / sine)


def arc_shares(gram: Tensor, positions: Sequence[float]) -> Tensor:
    """Return what each vector counts when they are folded in one after the other.

    Every step is a sum of the vectors so far, so that their inner products tell its angle.

    Args:
        gram: Inner products of the vectors, shape (vectors, vectors).
        positions: Where on each arc to stop, one fewer than vectors.

    Returns:
        Shape (vectors,), float64.
    """
    gram = gram.double()
    factors = torch.eye(len(gram), dtype=torch.float64)[0]
    for index, position in enumerate(positions, 1):
        norm = float((factors @ gram @ factors * gram[index, index]).clamp_min(0.0).sqrt())
        cosine = float(factors @ gram[index]) / norm if norm else 1.0
        one, two = arc_factors(cosine, position)
        factors = one * factors
        factors[index] += two
    return factors


def slerp(
    ms: Mergeable, *, t: float | None = None, around: str = "base", per_tensor: bool = False
) -> Merged:
    """Interpolate between the experts on the sphere.

    Args:
        ms: Base and experts.
        t: Position between two experts; None is the middle, and the only choice with more.
        around: "base": the arc of the task vectors; "zero": the arc of the weights.
        per_tensor: One angle a tensor in place of one a model.

    Yields:
        Name and merged tensor.

    Raises:
        ConfigError: `t` with other than two experts or outside 0 to 1, or an unknown `around`.
    """
    if around not in {"base", "zero"}:
        raise ConfigError(f"around must be 'base' or 'zero'; got {around!r}")
    if t is not None and (len(ms) != 2 or not 0.0 <= t <= 1.0):
        raise ConfigError(
            f"t must be from 0 to 1 and needs exactly two experts; got {t!r} with {len(ms)}: "
            "leave it out to fold in all experts evenly"
        )
    steps = [t] if t is not None else [1.0 / (k + 1) for k in range(1, len(ms))]
    zero = around == "zero"
    factors = None if per_tensor else arc_shares(_gram(ms.tensors(), zero), steps)
    for name, start, deltas in ms.tensors():
        own = (
            factors
            if factors is not None
            else arc_shares(_gram([(name, start, deltas)], zero), steps)
        )
        ends = deltas + start if zero else deltas
        yield name, combine(torch.zeros_like(start) if zero else start, ends, own)


def _gram(tensors: Iterable[tuple[str, Tensor, Tensor]], zero: bool) -> Tensor:
    """Inner products of the ends of the arcs, over all tensors given."""
    total: Tensor | None = None
    for _, start, deltas in tensors:
        flat = (deltas + start if zero else deltas).double().flatten(1)
        part = flat @ flat.T
        total = part if total is None else total + part
    assert total is not None
    return total.cpu()
