"""What trained and frozen tables share: the lookup of `nn.Embedding`, with ids that are checked."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, DataError

from ._shape import TableShape

_WHOLE = (torch.int64, torch.int32, torch.int16, torch.uint8)


class TableBase(nn.Module):
    """Lookup of ids by field.

    Args:
        shape: The fields.
        padding_idx: Id (within its field) whose vector is zero and never learns; None for none.
    """

    _limits: Tensor

    def __init__(self, shape: TableShape, padding_idx: int | None = None) -> None:
        super().__init__()
        if padding_idx is not None and not 0 <= padding_idx < min(shape.sizes):
            raise ConfigError(
                f"padding_idx must be an id of every field, below {min(shape.sizes)}; "
                f"got {padding_idx}"
            )
        self.shape, self.padding_idx = shape, padding_idx
        self.register_buffer("_limits", torch.tensor(shape.sizes), persistent=False)

    @property
    def num_embeddings(self) -> int:
        """Number of values of all fields."""
        return self.shape.total

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return self.shape.dim

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up.

        Args:
            ids: int64, shape (rows, fields).

        Returns:
            Shape (rows, fields, dim).
        """
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """Look ids up.

        Args:
            ids: Whole numbers from 0 within each field; the last axis holds the fields, or any
                shape where there is one field.

        Returns:
            The shape of `ids` and `dim`.

        Raises:
            DataError: An id is out of its field's range, or not a whole number.
        """
        self._check(ids)
        rows = ids.reshape(-1, self.shape.fields).long()
        found = self.vectors(rows)
        if self.padding_idx is not None:
            found = found.masked_fill((rows == self.padding_idx)[..., None], 0.0)
        return found.reshape(*ids.shape, self.shape.dim)

    def _check(self, ids: Tensor) -> None:
        if not isinstance(ids, Tensor) or ids.dtype not in _WHOLE:
            kind = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
            raise DataError(f"ids must be a tensor of whole numbers (int64); got {kind}")
        fields = self.shape.fields
        if fields > 1 and (ids.ndim == 0 or ids.shape[-1] != fields):
            raise DataError(
                f"ids must have one column for each of the {fields} fields in the last axis; "
                f"got shape {tuple(ids.shape)}"
            )
        wrong = (ids < 0) | (ids >= (self._limits if fields > 1 else self.shape.sizes[0]))
        if wrong.any():
            place = tuple(int(i) for i in wrong.nonzero()[0])
            field = place[-1] if fields > 1 else 0
            raise DataError(
                f"ids of field {field} must be from 0 to {self.shape.sizes[field] - 1}; "
                f"got {int(ids[place])} at {place}"
            )

    @property
    def weight(self) -> Tensor:
        """The whole table, shape (values of all fields, dim), put together with gradients."""
        return torch.cat(list(self.pieces()))

    def pieces(self, size: int = 65536) -> Iterator[Tensor]:
        """Decode the whole table piece by piece, field after field.

        Args:
            size: Rows a piece at most.

        Yields:
            Shape (rows, dim).
        """
        for field, count in enumerate(self.shape.sizes):
            for start in range(0, count, size):
                stop = min(start + size, count)
                ids = self._limits.new_zeros(stop - start, self.shape.fields)
                ids[:, field] = torch.arange(start, stop, device=ids.device)
                found = self.vectors(ids)[:, field]
                if self.padding_idx is not None and start <= self.padding_idx < stop:
                    keep = ids[:, field : field + 1] != self.padding_idx
                    found = found * keep
                yield found

    def extra_repr(self) -> str:
        """Say fields and width."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.shape.total}, {self.shape.dim}, fields={self.shape.fields}{padding}"
