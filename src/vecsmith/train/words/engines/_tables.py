"""The numbers of a word model: its tables, and what AdaGrad has summed up for each of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import numpy_generator

from ..models._table import WINDOW_MODELS
from ..models._window_model import Shape

Floats = NDArray[np.float32]

SQUARES = 1e-8


@dataclass
class Tables:
    """Parameters, changed in place.

    Attributes:
        values: Name -> table. "embeddings" are the word vectors, shape (words + 1, d).
        squares: Name -> sums of squared gradients, of the same shapes; from `SQUARES`.
    """

    values: dict[str, Floats]
    squares: dict[str, Floats]

    def arrays(self) -> dict[str, Floats]:
        """Give all arrays under names that differ."""
        return {**self.values, **{f"{name} squares": a for name, a in self.squares.items()}}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Floats]) -> "Tables":
        """Take back what `arrays` gave.

        Args:
            arrays: Name -> array.

        Returns:
            The tables.

        Raises:
            KeyError: A table has no squares.
        """
        names = [name for name in arrays if not name.endswith(" squares")]
        return cls({n: arrays[n] for n in names}, {n: arrays[f"{n} squares"] for n in names})


def table_shapes(model: str, shape: Shape) -> dict[str, tuple[int, ...]]:
    """Say which tables a model has.

    Args:
        model: Its name.
        shape: Sizes.

    Returns:
        Name -> shape.
    """
    shapes: dict[str, tuple[int, ...]] = {"embeddings": (shape.words + 1, shape.dim)}
    if model == "glove":
        shapes["outputs"] = (shape.words, shape.dim)
        return shapes | {"biases": (shape.words,), "output_biases": (shape.words,)}
    kind = WINDOW_MODELS[model]
    if not kind.joint:
        shapes["outputs"] = (shape.words, kind.output_width(shape))
    return shapes | kind.weights(shape)


def new_tables(model: str, shape: Shape, seed: int) -> Tables:
    """Start a model.

    Word vectors lie within 0.5 / d of zero, output vectors at zero (but for GloVe, where all would
    stay alike), layers within the square root of 1 over their inputs.

    Args:
        model: Its name.
        shape: Sizes.
        seed: Seed.

    Returns:
        Fresh tables.
    """
    values = {}
    for name, size in table_shapes(model, shape).items():
        rng = numpy_generator(seed, "words", "start", name)
        if name == "embeddings" or (name == "outputs" and model == "glove"):
            reach = 0.5 / shape.dim
        elif name in {"hidden", "top"}:
            reach = size[-1] ** -0.5
        else:
            reach = 0.0
        values[name] = np.zeros(size, np.float32)
        if reach:
            rng.random(dtype=np.float32, out=values[name])
            values[name] -= 0.5
            values[name] *= 2 * reach
    return Tables(values, {n: np.full(a.shape, SQUARES, np.float32) for n, a in values.items()})
