"""Personal vectors: what a user adds to the vector of a text, an item or a picture.

The simple way of personalising a space: a table of user vectors beside vectors that all share,

    add      v + p_u            the user moves everything the same way
    concat   [v; p_u]           what follows learns how user and thing meet
    gate     v * (1 + p_u)      the user stretches dimensions

A user that is not known has p_u = 0, so "add" and "gate" give the shared vector. The table is any
embedding: `nn.Embedding`, a `CompressedEmbedding`, or `UnifiedEmbedding` for millions of users in
little memory.

Use where users differ in what they mean or like and have some history each. Avoid for users with
none. Cost: one lookup.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, DataError, StoreError, atomic_path, read_json, write_json

COMBINE = ("add", "concat", "gate")


class UserTable(nn.Module):
    """Joins vectors with those of users.

    Args:
        users: How many; or an embedding layer that takes ids of shape (n,), or (n, 1), and gives
            (n, dim), or (n, 1, dim).
        dim: Dimensions of a user's vector; those of the things for "add" and "gate".
        combine: One of "add", "concat", "gate".
        scale: Standard deviation of the start of a new table; small, so that training starts at
            the shared vectors.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self, users: int | nn.Module, dim: int, *, combine: str = "add", scale: float = 0.01
    ) -> None:
        super().__init__()
        if combine not in COMBINE:
            raise ConfigError(f"combine must be one of {', '.join(COMBINE)}; got {combine!r}")
        if dim < 1 or (isinstance(users, int) and users < 1) or scale < 0:
            raise ConfigError(
                f"users and dim must be at least 1, scale 0 or above; got {users}, {dim}, {scale}"
            )
        if isinstance(users, int):
            table: nn.Module = nn.Embedding(users, dim)
            nn.init.normal_(table.weight, std=scale)  # type: ignore[arg-type]
        else:
            table = users
        self.table, self.dim, self.combine = table, dim, combine

    def vectors(self, users: Tensor) -> Tensor:
        """Look users up.

        Args:
            users: Ids, shape (n,); -1 for one that is not known.

        Returns:
            Shape (n, dim); zeros for -1.

        Raises:
            DataError: Ids of another shape or type, or below -1.
        """
        if users.ndim != 1 or users.is_floating_point() or users.dtype == torch.bool:
            raise DataError(
                f"users must be whole numbers of shape (n,); got {tuple(users.shape)}, "
                f"{users.dtype}"
            )
        if len(users) and int(users.min()) < -1:
            raise DataError(f"users must be ids from 0, or -1; got {int(users.min())}")
        known = users.clamp(min=0)
        if isinstance(self.table, nn.Embedding):
            if len(users) and int(users.max()) >= self.table.num_embeddings:
                raise DataError(
                    f"users must be below {self.table.num_embeddings}; got {int(users.max())}; "
                    "give -1 for one that is new"
                )
            found = self.table(known)
        else:
            found = self.table(known[:, None]).reshape(len(users), -1)
        return torch.as_tensor(found) * (users >= 0)[:, None]

    def forward(self, vectors: Tensor, users: Tensor) -> Tensor:
        """Join.

        Args:
            vectors: Shape (n, dims); dims is `dim` but for "concat".
            users: Ids, shape (n,).

        Returns:
            Shape (n, dims), or (n, dims + dim) for "concat".

        Raises:
            DataError: Shapes that do not fit.
        """
        if vectors.ndim != 2 or len(vectors) != len(users):
            raise DataError(
                f"vectors must have one row a user; got {tuple(vectors.shape)} for {len(users)}"
            )
        if self.combine != "concat" and vectors.shape[1] != self.dim:
            raise DataError(
                f"vectors must have {self.dim} dimensions for {self.combine!r}; got "
                f"{vectors.shape[1]}; take combine='concat'"
            )
        own = self.vectors(users)
        if self.combine == "add":
            return vectors + own
        return vectors * (1 + own) if self.combine == "gate" else torch.cat([vectors, own], 1)

    def save_pretrained(self, folder: str | Path) -> None:
        """Save a table of its own; an embedding that was given is saved by its own method.

        Args:
            folder: Where.

        Raises:
            ConfigError: The table was given.
        """
        from safetensors.torch import save_file

        if not isinstance(self.table, nn.Embedding):
            raise ConfigError("the table was given; save it by its own save_pretrained")
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        with atomic_path(place / "users.safetensors") as temporary:
            save_file({"users": self.table.weight.detach().contiguous()}, temporary)
        write_json(place / "users.json", {"dim": self.dim, "combine": self.combine})

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "UserTable":
        """Load what `save_pretrained` saved.

        Args:
            folder: Where.

        Returns:
            The table.

        Raises:
            StoreError: Missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        place = Path(folder)
        about: dict[str, Any] = read_json(place / "users.json")
        try:
            weight = load_file(place / "users.safetensors")["users"]
            made = cls(len(weight), about["dim"], combine=about["combine"])
            made.table.load_state_dict({"weight": weight})
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            raise StoreError(f"{str(place)!r} holds no whole table of users ({error})") from error
        return made
