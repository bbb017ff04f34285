"""The stamp: which model, prompt, pooling, dimensions and reshape steps made a set of vectors."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ._errors import StoreError


@dataclass(frozen=True)
class Stamp:
    """Identity of an embedding space; vectors compare only within one.

    Attributes:
        model: Hub id or folder name, for people.
        weights: Content hash of weights, tokenizer and module settings.
        dims: Number of dimensions of a vector.
        pooling: Pooling of the model ("mean", "cls", …).
        query_prompt: Text put before queries.
        document_prompt: Text put before documents.
        max_tokens: Length at which texts are cut.
        reshape: Steps applied after the model, in order (for example ``["truncate:128"]``).
    """

    model: str
    weights: str
    dims: int
    pooling: str = "mean"
    query_prompt: str = ""
    document_prompt: str = ""
    max_tokens: int = 256
    reshape: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the stamp as JSON-ready values."""
        return {**asdict(self), "reshape": list(self.reshape)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Stamp":
        """Read a stamp from `to_dict`'s values; unknown keys of later versions are left out.

        Args:
            values: Mapping as `to_dict` made it.

        Returns:
            The stamp.

        Raises:
            StoreError: A needed key is missing.
        """
        known = {item.name for item in fields(cls)}
        kept = {key: value for key, value in values.items() if key in known}
        try:
            return cls(**{**kept, "reshape": tuple(kept.get("reshape", ()))})
        except TypeError as error:
            raise StoreError(f"the stamp of this index is incomplete: {error}") from error

    def check(self, other: "Stamp") -> None:
        """Refuse vectors of another space.

        Args:
            other: Stamp of the vectors or the encoder that is about to be used.

        Raises:
            StoreError: The two differ; the text says in what.
        """
        names = ("weights", "dims", "pooling", "query_prompt", "document_prompt", "reshape")
        differ = [name for name in names if getattr(self, name) != getattr(other, name)]
        if not differ:
            return
        detail = "; ".join(
            f"{name} {getattr(self, name)!r} here, {getattr(other, name)!r} there"
            for name in differ
        )
        raise StoreError(
            f"the index holds vectors of {self.model!r} but the encoder is {other.model!r} "
            f"({detail}): their similarities would mean nothing; "
            "use the model of the index, or build the index again with this one"
        )
