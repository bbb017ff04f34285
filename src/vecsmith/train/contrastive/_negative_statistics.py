"""Counts of what a guide struck out, kept on the device so that no step waits for them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ._core import diagonal


class NegativeStatistics:
    """Running sums over batches; `figures` turns them into shares."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def _count(self, name: str, value: Tensor) -> None:
        value = value.detach().double()
        self._sums[name] = self._sums[name] + value if name in self._sums else value

    def add(
        self,
        blocks: Mapping[str, Tensor],
        guide_blocks: Mapping[str, Tensor],
        never: Mapping[str, Tensor],
        relevant: Mapping[str, Tensor],
        offset: int,
    ) -> None:
        """Count one batch.

        Args:
            blocks: Similarity blocks of the student.
            guide_blocks: Of the guide.
            never: Name -> True on the diagonals of qq and pp.
            relevant: Name -> True where the guide struck an entry out.
            offset: Column of the first row.
        """
        target = diagonal(blocks["qp"], offset)
        left = torch.zeros_like(target[:, 0], dtype=torch.long)
        for name in blocks:
            possible = ~never[name] & ~target if name == "qp" else ~never[name]
            self._count(f"masked_{name}", (relevant[name] & possible).sum())
            self._count(f"possible_{name}", possible.sum())
            left = left + (possible & ~relevant[name]).sum(dim=1)
        self._count("rows", torch.tensor(float(len(left)), device=left.device))
        self._count("batches", torch.ones((), device=left.device))
        self._count("rows_without_negatives", (left == 0).sum())
        student, guide = blocks["qp"].detach(), guide_blocks["qp"]
        for name, scores in (("student_top1", student), ("guide_top1", guide)):
            self._count(name, (scores.argmax(dim=1) == target.long().argmax(dim=1)).sum())
        x, y = student[~target].double(), guide[~target].double()
        for name, value in (("x", x), ("y", y), ("xx", x * x), ("yy", y * y), ("xy", x * y)):
            self._count(name, value.sum())

    def figures(self) -> dict[str, float]:
        """Return shares and the correlation; empty before the first batch."""
        sums = {name: float(value) for name, value in self._sums.items()}
        if not sums:
            return {}
        shares = {
            name: value / max(sums[name.replace("masked", "possible")], 1.0)
            for name, value in sums.items()
            if name.startswith("masked")
        }
        for name in ("rows_without_negatives", "student_top1", "guide_top1"):
            shares[name] = sums[name] / sums["rows"]
        n = max(sums["possible_qp"], 1.0)
        covariance = sums["xy"] / n - sums["x"] / n * sums["y"] / n
        spread = (sums["xx"] / n - (sums["x"] / n) ** 2) * (sums["yy"] / n - (sums["y"] / n) ** 2)
        shares["agreement"] = covariance / spread**0.5 if spread > 0 else 0.0
        shares["batches"] = sums["batches"]
        return shares
