"""A chain of changes to a finished encoder, recorded with it, replayed by it, undone where it can.

Each step is either a module of sentence-transformers behind the encoder (truncate, whiten, debias,
quantise) or a change of the encoder itself (merge, context). The saved folder is an ordinary model:
whoever loads it encodes through the whole chain. ``reshape.json`` beside it says what was done, and
the stamp of every index made with it lists the steps.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsmith.core import ConfigError, DataError, ModelError, read_json
from vecsmith.encode import RESHAPE_RECORD, load_sentence_transformer, resolve_model

from .._modules import appended, linear_layer, with_modules
from .._records import attach_record
from ..debias import BiasSubspace
from ..merge import MergeSet
from ..merge._set import model_name, state_hash
from ._quantise import Quantise

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class ReshapeStep:
    """One change.

    Attributes:
        name: "merge", "truncate", "whiten", "debias", "quantise" or "context".
        label: Short form, as the stamp lists it.
        settings: What it was made with.
        modules: How many modules it put behind the encoder.
        before: What undoing needs.
    """

    name: str
    label: str
    settings: dict[str, Any] = field(default_factory=dict)
    modules: int = 0
    before: dict[str, Any] = field(default_factory=dict)


class ReshapeChain:
    """An encoder and what was done to it.

    Args:
        model: A SentenceTransformer, or its hub id or folder; steps on record there are taken up.
            It is left as it is: steps work on a new encoder that shares modules which they do not
            change.

    Raises:
        ModelError: The model is not found, or its record does not fit its modules.
    """

    def __init__(self, model: "SentenceTransformer | str | Path") -> None:
        given = isinstance(model, str | Path)
        self.model: Any = (
            load_sentence_transformer(model) if isinstance(model, str | Path) else model
        )
        record = getattr(self.model, "records", {}).get(RESHAPE_RECORD)
        if given:
            path = resolve_model(model).path / RESHAPE_RECORD
            record = read_json(path) if path.is_file() else None
        try:
            self.steps = tuple(ReshapeStep(**row) for row in (record or {}).get("steps", []))
        except TypeError as error:
            raise ModelError(
                f"{RESHAPE_RECORD} of {model!r} is damaged ({error}); save the chain again"
            ) from error
        if sum(step.modules for step in self.steps) >= len(list(self.model)):
            raise ModelError(f"{RESHAPE_RECORD} lists more modules than the model has")

    @property
    def labels(self) -> tuple[str, ...]:
        """The steps as the stamp lists them."""
        return tuple(step.label for step in self.steps)

    def merge(
        self,
        experts: Mapping[str, "SentenceTransformer | str | Path"],
        method: str = "task_arithmetic",
        **settings: Any,
    ) -> "ReshapeChain":
        """Merge experts of the encoder into it; only as the first step.

        Args:
            experts: Name -> model fine-tuned from it.
            method: Rule; see `vecsmith.reshape.merge.RULES`.
            **settings: The rule's settings.

        Returns:
            The chain.

        Raises:
            ConfigError: There are steps before it, which experts do not have.
        """
        if any(step.modules for step in self.steps):
            raise ConfigError(
                f"experts do not have the steps {', '.join(self.labels)}; merge first, then "
                "truncate, whiten, debias or quantise"
            )
        ms = MergeSet(self.model, experts)
        merged = ms.merge(method, **settings)
        before = {"model": model_name(self.model), "weights": state_hash(self.model)}
        return self._step(
            merged, ReshapeStep("merge", f"merge:{method}", merged.merge_recipe, before=before)
        )

    def truncate(self, dims: int) -> "ReshapeChain":
        """Keep the leading dimensions, at unit length where the encoder gives it.

        Args:
            dims: How many.

        Returns:
            The chain.

        Raises:
            ConfigError: `dims` is not below the encoder's.
        """
        have = self._dims()
        if not 1 <= dims < have:
            raise ConfigError(f"dims must lie from 1 to below the encoder's {have}; got {dims}")
        model, added = appended(self.model, linear_layer(np.eye(dims, have)))
        return self._step(model, ReshapeStep("truncate", f"truncate:{dims}", {"dims": dims}, added))

    def whiten(
        self, texts: Sequence[str], *, dims: int | None = None, floor: float = 1e-5
    ) -> "ReshapeChain":
        """Centre vectors and give all directions one variance, as measured on texts.

        Args:
            texts: Of the kind to be encoded, more than the encoder has dimensions.
            dims: Keep that many directions of the largest variance; None keeps all.
            floor: Least variance of a direction, as a part of the largest.

        Returns:
            The chain.

        Raises:
            DataError: There are too few texts.
            ConfigError: `dims` is out of range.
        """
        have = self._dims()
        kept = have if dims is None else dims
        if not 1 <= kept <= have:
            raise ConfigError(f"dims must lie from 1 to the encoder's {have}; got {dims}")
        vectors = self._vectors(texts, have + 1, "whitening")
        mean = vectors.mean(0)
        variances, directions = np.linalg.eigh(np.cov(vectors.T))
        order = np.argsort(-variances, kind="stable")[:kept]
        scale = np.sqrt(np.maximum(variances[order], floor * variances[order[0]]))
        matrix = (directions[:, order] / scale).T
        model, added = appended(self.model, linear_layer(matrix, -matrix @ mean))
        settings = {"dims": kept, "texts": len(texts), "floor": floor}
        return self._step(model, ReshapeStep("whiten", f"whiten:{kept}", settings, added))

    def debias(self, subspace: BiasSubspace) -> "ReshapeChain":
        """Take a subspace out of the vectors.

        Args:
            subspace: Of the encoder's vectors; see `vecsmith.reshape.BiasSubspace`.

        Returns:
            The chain.

        Raises:
            ModelError: The subspace is of other dimensions.
        """
        have = self._dims()
        if subspace.dims != have:
            raise ModelError(
                f"the encoder gives {have} dimensions, the subspace has {subspace.dims}; find it "
                "in vectors of this encoder"
            )
        matrix = np.eye(have) - subspace.basis.T @ subspace.basis
        model, added = appended(self.model, linear_layer(matrix))
        directions = len(subspace.basis)
        step = ReshapeStep("debias", f"debias:{directions}", {"directions": directions}, added)
        return self._step(model, step)

    def quantise(
        self, texts: Sequence[str], *, bits: int = 8, tail: float = 0.001
    ) -> "ReshapeChain":
        """Round vectors to integers' grid, found on texts.

        Args:
            texts: Of the kind to be encoded.
            bits: Of an integer, 1 to 16.
            tail: Part of the numbers that may lie beyond the grid, on each side.

        Returns:
            The chain. Vectors are no longer of exact unit length; cosine does not mind.

        Raises:
            ConfigError: `bits` or `tail` is out of range.
            DataError: There are too few texts.
        """
        import torch

        if not 1 <= bits <= 16 or not 0.0 <= tail < 0.5:
            raise ConfigError(
                f"bits must be from 1 to 16 and tail from 0 to below 0.5; got {bits} and {tail}"
            )
        vectors = self._vectors(texts, 2, "the grid")
        layer = Quantise(self._dims(), bits)
        for name, part in (("low", tail), ("high", 1.0 - tail)):
            edge = np.quantile(vectors, part, axis=0).astype(np.float32)
            getattr(layer, name).copy_(torch.from_numpy(edge))
        model = with_modules(self.model, [*self.model, layer])
        settings = {"bits": bits, "texts": len(texts), "tail": tail}
        return self._step(model, ReshapeStep("quantise", f"quantise:{bits}", settings, 1))

    def context(self, tokens: int) -> "ReshapeChain":
        """Set how many tokens are read of a text.

        Args:
            tokens: At most as many as the encoder has positions.

        Returns:
            The chain.

        Raises:
            ConfigError: The encoder's positions end before.
        """
        inner: Any = self.model[0]
        most = getattr(getattr(inner, "auto_model", None), "config", None)
        limit = getattr(most, "max_position_embeddings", None)
        if tokens < 1 or (limit is not None and tokens > limit):
            raise ConfigError(
                f"tokens must lie from 1 to the encoder's {limit} positions; got {tokens}"
            )
        model = copy.deepcopy(self.model)
        before = {"tokens": int(self.model.max_seq_length or 0)}
        model.max_seq_length = tokens
        return self._step(
            model, ReshapeStep("context", f"context:{tokens}", {"tokens": tokens}, before=before)
        )

    def undo(self) -> "ReshapeChain":
        """Take the last step back.

        Returns:
            The chain.

        Raises:
            ConfigError: There is no step.
            ModelError: The last step is a merge whose base is no longer where it was.
        """
        if not self.steps:
            raise ConfigError("the chain has no step to undo")
        last = self.steps[-1]
        if last.modules:
            self.model = with_modules(self.model, list(self.model)[: -last.modules])
        elif last.name == "context":
            self.model = copy.deepcopy(self.model)
            self.model.max_seq_length = last.before["tokens"]
        else:
            self.model = self._base_of(last)
        self.steps = self.steps[:-1]
        self._record()
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the encoder with its record.

        Args:
            folder: Where to.
        """
        self._record()
        self.model.save_pretrained(str(folder), create_model_card=False)

    def _base_of(self, step: ReshapeStep) -> Any:
        name = step.before["model"]
        try:
            base = load_sentence_transformer(name)
        except ModelError as error:
            raise ModelError(
                f"the merge cannot be undone: its base {name!r} is not found ({error})"
            ) from error
        base.max_seq_length = self.model.max_seq_length
        if state_hash(base) != step.before["weights"]:
            raise ModelError(
                f"the merge cannot be undone: {name!r} holds other weights than the base had"
            )
        return base

    def _dims(self) -> int:
        return int(self.model.get_embedding_dimension() or 0)

    def _vectors(self, texts: Sequence[str], least: int, what: str) -> Any:
        if isinstance(texts, str) or len(texts) < least:
            got = "one string" if isinstance(texts, str) else f"{len(texts)}"
            raise DataError(f"{what} needs at least {least} texts; got {got}: give more")
        found = self.model.encode(list(texts), show_progress_bar=False)
        return np.asarray(found, np.float64)

    def _step(self, model: Any, step: ReshapeStep) -> "ReshapeChain":
        self.model = model
        self.steps = (*self.steps, step)
        self._record()
        return self

    def _record(self) -> None:
        rows = [asdict(step) for step in self.steps]
        attach_record(self.model, RESHAPE_RECORD, {"format": 1, "steps": rows})
