"""Five ways to write a number as a vector.

    digits    mean of a random vector for each character: order and length are lost (as in the mean
              of the pieces of a tokenizer)
    log       sign, log10|x|, exponent and mantissa by themselves (scientific notation)
    dice      x in [low, high] is an angle in a random plane of growing powers of its sine, so that
              distances of vectors follow distances of numbers (D. Sundararaman and others, 2020)
    fourier   sine and cosine of x at the periods 10^p, each digit a phase (T. Zhou and others,
              2025); a pair of a period is exact, whatever the size of x
    value     one direction scaled by the squashed value, with one that is constant (S. Golkar and
              others, 2023: a token for all numbers, times its value)

Use "log" where size counts over many magnitudes, "dice" for a known range, "fourier" where digits
count. Avoid "digits" for anything but names of things. Cost: dims a number.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator

SCHEMES = ("digits", "log", "dice", "fourier", "value")
_CHARACTERS = "0123456789-."


class NumericEncoder:
    """Vectors of numbers; no training.

    Args:
        scheme: One of `SCHEMES`.
        dims: Dimensions; "log" has 5 and "value" 2 that carry something, turned at random into all.
        low: Least number of "dice", of the range that "value" maps to [-1, 1].
        high: Largest one.
        seed: Seed of all that is random.

    Raises:
        ConfigError: Unknown scheme, or a range or dimensions that do not do.
    """

    def __init__(
        self,
        scheme: str = "log",
        *,
        dims: int = 64,
        low: float = 0.0,
        high: float = 1000.0,
        seed: int = 0,
    ) -> None:
        if scheme not in SCHEMES:
            raise ConfigError(f"scheme must be one of {', '.join(SCHEMES)}; got {scheme!r}")
        if dims < 5 or not (np.isfinite([low, high]).all() and low < high):
            raise ConfigError(
                f"dims must be at least 5 and low below high; got {dims}, {low}, {high}"
            )
        self.scheme, self.dims, self.low, self.high = scheme, dims, float(low), float(high)
        rng = numpy_generator(seed, "numbers", scheme)
        # orthonormal: what is turned can be turned back
        self._turn: NDArray[np.float64] = np.linalg.qr(rng.normal(size=(dims, dims)))[0]
        self._letters = rng.normal(size=(len(_CHARACTERS), dims)) / dims**0.5

    def encode(self, numbers: Iterable[float] | ArrayLike) -> NDArray[np.float32]:
        """Write numbers as vectors.

        Args:
            numbers: Finite numbers, n of them.

        Returns:
            Shape (n, dims).

        Raises:
            DataError: A number is not finite, or out of the range of "dice".
        """
        values = np.asarray(
            numbers if isinstance(numbers, np.ndarray) else list(numbers),  # type: ignore[arg-type]
            np.float64,
        )
        if values.ndim != 1 or not np.isfinite(values).all():
            raise DataError(f"numbers must be a flat list of finite ones; got shape {values.shape}")
        made: NDArray[np.float64] = getattr(self, f"_{self.scheme}")(values)
        return made.astype(np.float32)

    def decode(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """Read numbers off vectors, in closed form.

        Args:
            vectors: Shape (n, dims).

        Returns:
            Shape (n,).

        Raises:
            ConfigError: The scheme cannot be inverted; fit a probe.
            DataError: Other dimensions.
        """
        rows = np.asarray(vectors, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.dims:
            raise DataError(f"vectors must have {self.dims} dimensions; got shape {rows.shape}")
        back = rows @ self._turn.T
        if self.scheme == "log":
            return np.sign(back[:, 0]) * (10 ** (5 * back[:, 1]) - 1)
        if self.scheme == "value":
            middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
            inside = np.clip(back[:, 0], -1 + 1e-9, 1 - 1e-9)
            return middle + half * np.arctanh(inside)
        if self.scheme == "dice":
            angle = np.arctan2(np.linalg.norm(back[:, 1:], axis=1), back[:, 0])
            return self.low + angle / np.pi * (self.high - self.low)
        raise ConfigError(
            f"scheme {self.scheme!r} has no inverse in closed form; fit a regression, as "
            "vecsmith.evaluate.probing.numeracy does"
        )

    def _digits(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        texts = [np.format_float_positional(value, trim="-") for value in values]
        rows = [[_CHARACTERS.index(letter) for letter in text] for text in texts]
        return np.array([self._letters[row].mean(0) for row in rows]).reshape(-1, self.dims)

    def _log(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        size = np.log10(np.abs(values) + 1)
        exponent = np.floor(np.log10(np.maximum(np.abs(values), 1e-300)))
        exponent[values == 0] = 0
        mantissa = np.abs(values) / 10**exponent
        # scaled so that common sizes lie near the unit ball
        parts = [np.sign(values), size / 5, exponent / 5, mantissa / 10, np.ones_like(values)]
        return np.stack(parts, 1) @ self._turn[:5]

    def _dice(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if len(values) and not (self.low <= values.min() and values.max() <= self.high):
            raise DataError(
                f"numbers must be from {self.low:g} to {self.high:g} for 'dice'; got "
                f"{values.min():g} to {values.max():g}; set low and high"
            )
        angle = np.pi * (values - self.low) / (self.high - self.low)
        powers = np.sin(angle)[:, None] ** np.arange(self.dims)
        powers[:, :-1] *= np.cos(angle)[:, None]
        return np.asarray(powers @ self._turn)

    def _fourier(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        pairs = self.dims // 2
        # two places behind the point, the rest before it
        periods = 10.0 ** (np.arange(pairs) - 1)
        phase = 2 * np.pi * (values[:, None] % periods) / periods
        made = np.zeros((len(values), self.dims))
        made[:, 0 : 2 * pairs : 2], made[:, 1 : 2 * pairs : 2] = np.cos(phase), np.sin(phase)
        return made / max(pairs, 1) ** 0.5

    def _value(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        squashed = np.tanh((values - middle) / half)
        return np.stack([squashed, np.ones_like(values)], 1) @ self._turn[:2]
