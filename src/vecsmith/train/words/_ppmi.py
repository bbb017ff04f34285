"""Count vectors: positive pointwise mutual information of words and contexts, factored by an SVD.

PMI (K. Church and P. Hanks, 1990), kept where positive, factored (J. Bullinaria and J. Levy, 2012),
with the settings that bring it level with skip-gram (O. Levy, Y. Goldberg and I. Dagan, 2015). With
#(w, c) the weighted counts of a symmetric window,

    PMI(w, c)  = log #(w, c) #(.) / (#(w) #_a(c)),    #_a(c) = #(c)^a, rescaled to the sum #(.)
    PPMI(w, c) = max(0, PMI(w, c) - log k)
    vectors    = U S^p of the truncated SVD U S V^T

a below 1 keeps rare contexts from ruling, k is the "number of negatives", p below 1 flattens the
spectrum; V S^p added to it stands for skip-gram's words plus contexts.

Use for good vectors of a small corpus without gradients. Avoid where a billion pairs must be
factored: the SVD holds them all. Cost: the counter's pass, 12 bytes a pair, and dims times pairs
times about ten for the SVD.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    ConfigError,
    DataError,
    StoreError,
    did_you_mean,
    fresh_dir,
    numpy_generator,
    read_json,
    write_json,
)
from vecsmith.encode.words import WordVectors

from ._counts import CooccurrenceCounter, Ranking
from ._tokens import Text, Tokenizer, split_words

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Doubles = NDArray[np.float64]

WINDOWS = ("flat", "harmonic", "linear")
SETTINGS, COUNTS, VECTORS = "ppmi.json", "counts", "vectors"


@dataclass(frozen=True)
class PPMIOptions:
    """Further settings of count vectors.

    Attributes:
        window: Weight of a pair d places apart, r the radius: "flat" 1, "harmonic" 1 / d, or
            "linear" (r + 1 - d) / r, which is what word2vec's random windows come to.
        smoothing: a, from 0 to 1.
        negatives: k, at least 1.
        power: p, of the singular values.
        add_contexts: Add the contexts' vectors to the words'.
        min_count: Leave out words that were seen less often.
        max_words: Keep at most so many.
    """

    window: str = "linear"
    smoothing: float = 0.75
    negatives: float = 1.0
    power: float = 0.5
    add_contexts: bool = False
    min_count: int = 1
    max_words: int | None = None

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            hint = did_you_mean(self.window, WINDOWS)
            raise ConfigError(f"window cannot be {self.window!r}; {hint}")
        if not 0 <= self.smoothing <= 1 or not self.negatives >= 1 or not 0 <= self.power <= 2:
            raise ConfigError(
                "smoothing must be from 0 to 1, negatives at least 1, power from 0 to 2; "
                f"got {self.smoothing}, {self.negatives} and {self.power}"
            )


def window_weight(window: str, offset: int, radius: int) -> float:
    """Weigh a distance.

    Args:
        window: One of `WINDOWS`.
        offset: d, from 1.
        radius: r.

    Returns:
        Above 0.
    """
    if window == "harmonic":
        return 1 / offset
    return 1.0 if window == "flat" else (radius + 1 - offset) / radius


def windowed_counts(
    counter: CooccurrenceCounter, ranking: Ranking, window: str = "linear"
) -> "csr_array":
    """Sum up the pairs of a symmetric window.

    Args:
        counter: Counts.
        ranking: Words that are kept.
        window: One of `WINDOWS`.

    Returns:
        Symmetric counts, shape (words, words).
    """
    from scipy.sparse import csr_array

    shape = (len(ranking.words),) * 2
    total = csr_array(shape, dtype=np.float64)
    for offset in range(1, counter.radius + 1):
        pairs = counter.matrix(offset, ranking.rows)
        total = total + window_weight(window, offset, counter.radius) * pairs
    return csr_array(total + total.T)


def ppmi(counts: "csr_array", *, smoothing: float = 1.0, negatives: float = 1.0) -> "csr_array":
    """Turn counts into positive pointwise mutual information.

    Args:
        counts: Not below 0, words by contexts.
        smoothing: a.
        negatives: k.

    Returns:
        Sparse, of the same shape; pairs without a positive value are left out.
    """
    from scipy.sparse import coo_array, csr_array

    pairs = coo_array(counts)
    words, contexts = (np.asarray(counts.sum(axis=axis)).ravel() for axis in (1, 0))
    total = contexts.sum()
    smooth = np.power(contexts, smoothing, where=contexts > 0, out=np.zeros_like(contexts))
    if total > 0:
        smooth *= total / smooth.sum()
    kept = pairs.data > 0
    row, column = pairs.row[kept], pairs.col[kept]
    values = np.log(pairs.data[kept]) + np.log(total if total > 0 else 1)
    values -= np.log(words[row]) + np.log(smooth[column]) + np.log(negatives)
    positive = values > 0
    places = (row[positive], column[positive])
    return csr_array((values[positive], places), shape=counts.shape)


def truncated_svd(
    matrix: "csr_array", dims: int, *, seed: int = 0
) -> tuple[Doubles, Doubles, Doubles]:
    """Factor a sparse matrix.

    Args:
        matrix: Shape (rows, columns).
        dims: How many singular values.
        seed: Seed of the start.

    Returns:
        U (rows, dims), S (dims,) falling, V (columns, dims); of each pair of vectors the largest
        number of U is positive.

    Raises:
        DataError: The matrix is too small for so many.
    """
    from scipy.sparse.linalg import svds

    most = min(matrix.shape) - 1
    if dims > most:
        raise DataError(
            f"{matrix.shape[0]} words by {matrix.shape[1]} contexts give at most {max(most, 0)} "
            f"dimensions; got {dims}: lower dims, or give more text"
        )
    start = numpy_generator(seed, "svd").standard_normal(min(matrix.shape))
    left, values, right = svds(matrix, k=dims, v0=start)
    order = np.argsort(-values, kind="stable")
    left, values, right = left[:, order], values[order], right[order].T
    signs = np.sign(left[np.abs(left).argmax(0), np.arange(dims)])
    signs[signs == 0] = 1
    return left * signs, values, right * signs


class PPMIVectors:
    """Count a corpus, and factor its mutual information.

    Args:
        dims: Dimensions of a vector.
        radius: Largest distance of a context.
        options: Further settings.
        seed: Seed of the SVD's start.
        tokenizer: How texts that are strings are split.

    Attributes:
        counter: All counts.
        vectors: The word vectors, most frequent words first.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        dims: int = 100,
        radius: int = 5,
        *,
        options: PPMIOptions | None = None,
        seed: int = 0,
        tokenizer: Tokenizer = split_words,
    ) -> None:
        if dims < 1 or radius < 1:
            raise ConfigError(f"dims and radius must be at least 1; got {dims} and {radius}")
        self.dims, self.radius, self.seed = dims, radius, seed
        self.options = PPMIOptions() if options is None else options
        self.counter = CooccurrenceCounter(radius, tokenizer=tokenizer)
        self._vectors: WordVectors | None = None

    def fit(self, texts: Iterable[Text]) -> "PPMIVectors":
        """Count a corpus; what was counted before is forgotten.

        Args:
            texts: Each a string, which is split, or a list of words; read once, as they come.

        Returns:
            Itself.

        Raises:
            DataError: A text is something else, or there are too few words.
        """
        self.counter = CooccurrenceCounter(self.radius, tokenizer=self.counter.tokenizer)
        return self.partial_fit(texts)

    def partial_fit(self, texts: Iterable[Text]) -> "PPMIVectors":
        """Count more texts: the vectors are those of all together.

        Args:
            texts: As for `fit`.

        Returns:
            Itself.

        Raises:
            DataError: As for `fit`.
        """
        self.counter.add(texts)
        self._vectors = self._build()
        return self

    @property
    def vectors(self) -> WordVectors:
        """The word vectors."""
        if self._vectors is None:
            raise DataError("nothing was counted yet; call fit with texts")
        return self._vectors

    def _build(self) -> WordVectors:
        o = self.options
        ranking = self.counter.ranking(min_count=o.min_count, max_words=o.max_words)
        counts = windowed_counts(self.counter, ranking, o.window)
        information = ppmi(counts, smoothing=o.smoothing, negatives=o.negatives)
        if not information.nnz:
            raise DataError(
                "no pair of words stands together more often than by chance; give more text, or "
                "lower min_count or negatives"
            )
        left, values, right = truncated_svd(information, self.dims, seed=self.seed)
        made = (left + right if o.add_contexts else left) * values**o.power
        return WordVectors(ranking.words, made, name=f"PPMI {self.dims} radius {self.radius}")

    def save(self, folder: str | Path) -> None:
        """Save settings, counts and vectors; more can be counted after loading.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
            DataError: Nothing was counted.
        """
        vectors = self.vectors
        settings = {
            "format": 1,
            "dims": self.dims,
            "radius": self.radius,
            "seed": self.seed,
            "options": asdict(self.options),
        }
        with fresh_dir(folder) as fresh:
            self.counter.save(fresh / COUNTS)
            vectors.save(fresh / VECTORS)
            write_json(fresh / SETTINGS, settings)

    @classmethod
    def load(cls, folder: str | Path, *, tokenizer: Tokenizer = split_words) -> "PPMIVectors":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.
            tokenizer: The one that was used.

        Returns:
            The fitted vectors, with their counts.

        Raises:
            StoreError: Missing or damaged.
        """
        place = Path(folder)
        settings = read_json(place / SETTINGS)
        try:
            if settings["format"] != 1:
                raise ValueError(f"format {settings['format']!r}")
            made = cls(
                settings["dims"],
                settings["radius"],
                options=PPMIOptions(**settings["options"]),
                seed=settings["seed"],
                tokenizer=tokenizer,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{str(place / SETTINGS)!r} should hold settings of format 1 but does not "
                f"({error!r}); load it with a later vecsmith, or count again"
            ) from error
        made.counter = CooccurrenceCounter.load(place / COUNTS, tokenizer=tokenizer)
        made._vectors = WordVectors.load(place / VECTORS)
        return made
