"""Spherical interpolation: go from one expert to the next along the arc instead of the chord.

Shoemake (1985), *Animating rotation with quaternion curves*, applied to weights as is the custom::

    slerp(u, v, t) = sin((1 - t) w) / sin(w) * u + sin(t w) / sin(w) * v,   cos(w) = <u, v> / |u||v|

Here u and v are task vectors (``around="base"``) or the weights themselves (``around="zero"``), the
angle is that of one tensor or of the whole model, and more than two experts are folded in one after
the other with t = 1/2, 1/3, … The arc keeps the length that averaging nearly orthogonal vectors
loses. Use for two experts; with more, the order counts. Cost: one pass over the tensors.
"""

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from ._set import MergeSet, State

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


def arc(first: Tensor, second: Tensor, t: float) -> Tensor:
    """Return the point at `t` on the arc between two tensors.

    Args:
        first: Shape (…).
        second: Shape (…).
        t: Position, 0 to 1.

    Returns:
        Shape (…).
    """
    a, b = first.double().flatten(), second.double().flatten()
    norm = float(a.norm() * b.norm())
    one, two = arc_factors(float(a @ b) / norm if norm else 1.0, t)
    return one * first + two * second


def slerp(
    ms: MergeSet, *, t: float | None = None, around: str = "base", per_tensor: bool = False
) -> State:
    """Interpolate between the experts on the sphere.

    Args:
        ms: Base and experts.
        t: Position between two experts; None is the middle, and the only choice with more.
        around: "base": the arc of the task vectors; "zero": the arc of the weights.
        per_tensor: One angle a tensor in place of one a model.

    Returns:
        Merged tensors.

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
    rows = _ends(ms, around)
    merged = {name: ends[0] for name, ends in rows.items()}
    for index, position in enumerate(steps, 1):
        second = {name: ends[index] for name, ends in rows.items()}
        if per_tensor:
            merged = {name: arc(merged[name], second[name], position) for name in merged}
            continue
        one, two = arc_factors(_cosine(merged, second), position)
        merged = {name: one * merged[name] + two * second[name] for name in merged}
    if around == "zero":
        return merged
    return {name: ms.start(name) + value for name, value in merged.items()}


def _ends(ms: MergeSet, around: str) -> dict[str, Tensor]:
    return {
        name: deltas if around == "base" else deltas + start for name, start, deltas in ms.tensors()
    }


def _cosine(first: State, second: State) -> float:
    def dot(a: State, b: State) -> float:
        return sum(float((a[k].double() * b[k].double()).sum()) for k in a)

    norm = (dot(first, first) * dot(second, second)) ** 0.5
    return dot(first, second) / norm if norm else 1.0
