"""SNIP: one space for formulas and for the points that go through them.

Meidani, Shojaee, Reddy and Farimani 2024, "SNIP: Bridging Mathematical Symbolic and Numeric Realms
with Unified Pre-training". Two Transformers, one over prefix tokens and one over points, each with
attention pooling and a linear layer, are trained so that a formula and its data lie together:
``logits = Zf Zy' / tau``, ``L = (CE(logits, diagonal) + CE(logits', diagonal)) / 2``. Before
training the vectors mean nothing: see `SnipTrainer`.

Use when equations and tables must meet: properties of a curve from its formula, formulas from data,
symbolic regression. Avoid for data with more inputs than `max_dim`, and where the formulas at hand
look unlike those of training. Cost: both encoders are quadratic in tokens, or points.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import PreTrainedModel

from vecsmith.core import DataError, ModelError, numpy_generator
from vecsmith.data.formulas import Expression, FormulaTokenizer, PointSet

from ._snip_config import SnipConfig
from ._towers import FormulaTower, PointTower

TOKENIZER = "formula_tokenizer.json"
Floats = NDArray[np.float32]
Formula = str | Expression | Any


class Snip(PreTrainedModel):
    """Encoders of formulas and of points.

    Args:
        config: Shape; `from_config` takes one by name.

    Attributes:
        tokenizer: Words of formulas and numbers.
        symbolic: Encoder of formulas.
        numeric: Encoder of points.
    """

    config_class: Any = SnipConfig
    base_model_prefix = "snip"
    main_input_name = "formula_ids"

    def __init__(self, config: SnipConfig) -> None:
        super().__init__(config)
        self.tokenizer = FormulaTokenizer(config.max_dim, config.digits, operators=config.operators)
        self.symbolic = FormulaTower(config, len(self.tokenizer))
        self.numeric = PointTower(config, self.tokenizer.number_tokens)
        start = torch.tensor(float(np.log(config.tau)))
        self.log_temperature = nn.Parameter(start, requires_grad=config.learned_tau)
        self.post_init()

    @classmethod
    def from_config(cls, size: str | SnipConfig, *, seed: int = 0, **changes: Any) -> "Snip":
        """Make an untrained model.

        Args:
            size: "tiny" (trains in minutes on two cores), "base" (the paper's) or a configuration.
            seed: Seed of the weights.
            **changes: What differs from the size; see `SnipConfig`.

        Returns:
            The model, in evaluation mode.
        """
        config = SnipConfig.of_size(size, **changes) if isinstance(size, str) else size
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(config).eval()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
            if module.padding_idx is not None:
                with torch.no_grad():
                    module.weight[module.padding_idx].zero_()

    @property
    def temperature(self) -> Tensor:
        """Tau; not below 0.01, as in CLIP."""
        return self.log_temperature.exp().clamp(min=0.01)

    @property
    def latent_scale(self) -> float:
        """Factor that brings a vector's coordinates to about 1; 1 where they are not normalised."""
        return float(self.config.latent**0.5) if self.config.normalise else 1.0

    def forward(
        self, formula_ids: Tensor, point_ids: Tensor, point_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Encode formulas and their points.

        Args:
            formula_ids: Shape (rows, tokens).
            point_ids: Shape (rows, points, 3 * (max_dim + 1)).
            point_mask: Shape (rows, points).

        Returns:
            Vectors of formulas and of points, each of shape (rows, latent).
        """
        formulas, points = self.symbolic(formula_ids), self.numeric(point_ids, point_mask)
        return self.normalised(formulas), self.normalised(points)

    def normalised(self, vectors: Tensor) -> Tensor:
        """Bring vectors to unit length where the configuration says so.

        Args:
            vectors: Shape (…, latent).

        Returns:
            Same shape.
        """
        return F.normalize(vectors, dim=-1) if self.config.normalise else vectors

    def formula_inputs(self, formulas: Sequence[Formula]) -> NDArray[np.int64]:
        """Read and write formulas as tokens.

        Args:
            formulas: Texts, `Expression`s or sympy expressions.

        Returns:
            Ids, shape (formulas, longest).

        Raises:
            DataError: No list, a formula cannot be read, has too many inputs, or is too long.
        """
        if isinstance(formulas, (str, Expression)):
            raise DataError("formulas must be a list; put the one formula into a list")
        rows = [self.tokenizer.encode(as_expression(formula)) for formula in formulas]
        long = [i for i, row in enumerate(rows) if len(row) > self.config.max_tokens]
        if not rows or long:
            came = (
                f"formula {long[0]} has {len(rows[long[0]])} ({formulas[long[0]]})"
                if long
                else "an empty list"
            )
            raise DataError(
                f"formulas must be a list with at most {self.config.max_tokens} tokens each; got "
                f"{came}: shorten it, or take a model of more max_tokens"
            )
        out = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for row, ids in zip(out, rows, strict=True):
            row[: len(ids)] = ids
        return out

    def point_inputs(
        self,
        sets: Sequence[tuple[ArrayLike, ArrayLike]],
        *,
        limit: int | None = None,
        seed: int = 0,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Check, scale and write point sets as tokens.

        Args:
            sets: Pairs of X and y.
            limit: Points to draw from larger sets; None takes `max_points`.
            seed: Seed of the draw.

        Returns:
            Ids of shape (sets, most points, 3 * (max_dim + 1)), and where a point is.

        Raises:
            DataError: A set is empty, holds NaN, or has too many inputs.
        """
        if not len(sets):
            raise DataError("encoding needs at least one set of points; got none")
        dims, taken = self.config.max_dim, []
        limit = limit or self.config.max_points
        for X, y in sets:
            points = PointSet.of(X, y, max_dim=dims)
            if self.config.scale_y == "minmax":
                points = points.scaled()
            if len(points.y) > limit:
                points = points.take(limit, numpy_generator(seed, "bag"))
            taken.append(points)
        most = max(len(points.y) for points in taken)
        values = np.zeros((len(taken), most, dims + 1))
        there = np.zeros((len(taken), most, dims + 1), bool)
        for i, (X, y) in enumerate(taken):
            values[i, : len(y), : X.shape[1]], values[i, : len(y), -1] = X, y
            there[i, : len(y), : X.shape[1]] = there[i, : len(y), -1] = True
        ids = self.tokenizer.encode_numbers(values)
        ids[~there] = 0
        return ids.reshape(len(taken), most, -1), there[:, :, -1]

    @torch.inference_mode()
    def encode_formula(self, formulas: Sequence[Formula], *, batch_size: int = 256) -> Floats:
        """Encode formulas.

        Args:
            formulas: Texts such as "sin(2*x) + x**2", `Expression`s or sympy expressions.
            batch_size: Formulas a step.

        Returns:
            Shape (formulas, latent).

        Raises:
            DataError: A formula cannot be read or is too long.
        """
        ids = torch.from_numpy(self.formula_inputs(formulas))
        return self._encoded(self.symbolic, (ids,), batch_size)

    @torch.inference_mode()
    def encode_points(self, X: Any, y: Any, *, batch_size: int = 256, seed: int = 0) -> Floats:
        """Encode one set of points, or several.

        Args:
            X: Inputs of one set, an array of shape (points,) or (points, dims); or a list of such
                arrays.
            y: Values, shape (points,); or as many arrays as X has.
            batch_size: Sets a step.
            seed: Seed of the draw of `max_points` points from larger sets.

        Returns:
            Shape (sets, latent); one row for one set.

        Raises:
            DataError: X and y do not fit together, hold NaN or too many inputs.
        """
        sets = list(zip(X, y, strict=True)) if several(X, y) else [(X, y)]
        ids, mask = map(torch.from_numpy, self.point_inputs(sets, seed=seed))
        return self._encoded(self.numeric, (ids, mask), batch_size)

    def _encoded(self, tower: nn.Module, inputs: tuple[Tensor, ...], batch_size: int) -> Floats:
        training = self.training
        self.eval()
        device = self.log_temperature.device
        parts = [
            self.normalised(tower(*(part[i : i + batch_size].to(device) for part in inputs)))
            for i in range(0, len(inputs[0]), batch_size)
        ]
        self.train(training)
        return np.asarray(torch.cat(parts).float().cpu().numpy(), np.float32)

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """Save configuration, weights and tokenizer.

        Args:
            save_directory: Folder.
            *args: Of transformers.
            **kwargs: Of transformers.
        """
        super().save_pretrained(save_directory, *args, **kwargs)
        self.tokenizer.save(Path(save_directory) / TOKENIZER)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *args: Any, **kwargs: Any) -> "Snip":
        """Load what `save_pretrained` wrote.

        Args:
            folder: Folder, or id on the hub.
            *args: Of transformers.
            **kwargs: Of transformers.

        Returns:
            The model, in evaluation mode.

        Raises:
            ModelError: The folder holds another kind of model, or none.
        """
        from safetensors import SafetensorError

        try:
            model: Snip = super().from_pretrained(folder, *args, **kwargs)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"{str(folder)!r} should hold a SNIP model ({str(error)[:200]}); give the folder "
                "that save_pretrained wrote"
            ) from error
        path = Path(folder) / TOKENIZER
        if path.exists():
            saved = FormulaTokenizer.load(path)
            if saved.words != model.tokenizer.words:
                raise ModelError(
                    f"the words of {str(path)!r} are not those of its config.json; save it again"
                )
        return model


def as_expression(formula: Formula) -> Expression:
    """Take a formula in any of its forms.

    Args:
        formula: Text, `Expression` or sympy expression.

    Returns:
        The formula.

    Raises:
        DataError: It cannot be read.
    """
    if isinstance(formula, Expression):
        return formula
    return Expression.parse(formula) if isinstance(formula, str) else Expression.from_sympy(formula)


def several(X: Any, y: Any) -> bool:
    """Tell a list of point sets from one set.

    Args:
        X: Inputs.
        y: Values: a list of arrays, or one of more than one axis, are several sets.

    Returns:
        Whether they are several.

    Raises:
        DataError: There are several, and not as many X as y.
    """
    many = (
        len(y) > 0 and np.ndim(y[0]) > 0
        if isinstance(y, (list, tuple))
        else (np.ndim(y) == 2 and np.ndim(X) == 3)
    )
    if many and len(X) != len(y):
        raise DataError(f"X and y must hold the same sets; got {len(X)} and {len(y)}")
    return bool(many)
