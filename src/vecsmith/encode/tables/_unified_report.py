"""Which values share rows of a unified embedding, and in which directions features are read.

In a single layer with logit sum_t <theta_t, e_t>, the gradient of a row is the sum over its values
of theta_t times their errors. A value of another feature pulls along another theta; what it adds
vanishes under <theta_t, .> as far as the two are orthogonal. So angles between features' readers
grow where rows are shared more, and norms of rows grow with the number of values that write there.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vecsmith.core import DataError

from ._hashing import to_keys

if TYPE_CHECKING:
    from ._unified import UnifiedEmbedding


@dataclass(frozen=True)
class UnifiedReport:
    """What is shared and how it is told apart.

    Attributes:
        row_norms: Squared norm of each row, all tables in turn, shape (rows,); empty for storages
            other than "full".
        angles: Angle in degrees between two features' readers, mean over their chunks.
        mean_angle: Mean over all pairs; NaN without readers.
        load: Values (times chunks) that write into each row, shape (rows,); empty without values.
        within: Part of each feature's values that share every row with some value of it.
        across: Part of each feature's values that share a row with a value of another feature.
    """

    row_norms: Tensor
    angles: dict[tuple[str, str], float]
    mean_angle: float
    load: Tensor
    within: dict[str, float]
    across: dict[str, float]


def unified_report(
    table: "UnifiedEmbedding", readers: Tensor | None, values: Mapping[str, Any] | None
) -> UnifiedReport:
    """Look at a unified embedding; see `UnifiedEmbedding.diagnostics`."""
    norms = torch.empty(0)
    if table.spec.storage == "full":
        tables: list[Any] = list(table.stores)
        norms = torch.cat([store.weight.detach().square().sum(1) for store in tables])
    angles = {} if readers is None else _angles(table, readers.detach())
    mean = sum(angles.values()) / len(angles) if angles else math.nan
    shared = (torch.empty(0), {}, {}) if values is None else _collisions(table, values)
    return UnifiedReport(norms, angles, mean, *shared)


def _angles(table: "UnifiedEmbedding", readers: Tensor) -> dict[tuple[str, str], float]:
    """Angles between features: the readers of a chunk are its columns of the first layer."""
    width, dim = sum(table.field_widths), table.spec.dim
    if readers.shape[-1] < width or readers.ndim > 2:
        raise DataError(
            f"readers must have a column for each of the {width} numbers that the table gives; "
            f"got shape {tuple(readers.shape)}"
        )
    flat = readers.reshape(-1, readers.shape[-1])[:, :width]
    # (chunks, outputs, dim): each output reads a chunk in a direction of its own
    chunks = flat.reshape(len(flat), -1, dim).transpose(0, 1)
    unit = torch.nn.functional.normalize(chunks.double(), dim=-1)
    owner = table._column.tolist()
    names = list(table.spec.features)
    found = {}
    for a, b in itertools.combinations(range(len(names)), 2):
        pairs = [
            unit[i] * unit[j]
            for i, j in itertools.product(range(len(owner)), repeat=2)
            if (owner[i], owner[j]) == (a, b)
        ]
        cosines = torch.stack(pairs).sum(-1).clamp(-1, 1)
        found[names[a], names[b]] = float(torch.rad2deg(cosines.acos()).mean())
    return found


def _collisions(
    table: "UnifiedEmbedding", values: Mapping[str, Any]
) -> tuple[Tensor, dict[str, float], dict[str, float]]:
    spec = table.spec
    if set(values) != set(spec.features):
        raise DataError(f"values must hold the features {sorted(spec.features)}")
    places, first = {}, 0
    for name, feature in spec.features.items():
        keys = to_keys(values[name]).reshape(-1).unique()
        chunks = slice(first, first + feature.chunks)
        rows = table.rows(keys.to(table._salts.device)[:, None], chunks).cpu()
        owner = torch.arange(first, first + feature.chunks) % spec.tables
        places[name] = rows + owner * spec.hashed_rows
        first += feature.chunks
    total = spec.hashed_rows * spec.tables
    loads = {name: torch.bincount(rows.flatten(), minlength=total) for name, rows in places.items()}
    load = torch.stack(list(loads.values())).sum(0)
    within, across = {}, {}
    for name, rows in places.items():
        _, back, counts = rows.unique(dim=0, return_inverse=True, return_counts=True)
        within[name] = float((counts[back] > 1).double().mean())
        others = load - loads[name]
        across[name] = float((others[rows] > 0).any(1).double().mean())
    return load, within, across
