"""Texts as counts of words or n-grams: one-hot, bag of words, TF-IDF; always sparse.

The vector space model (G. Salton, A. Wong and C. Yang, 1975) with inverse document frequency (K.
Sparck Jones, 1972), on scikit-learn's vectorisers. With n texts, df(t) of which hold term t,

    binary   1 if t is in the text          counts   how often, tf
    tfidf    f(tf) (1 + log((1 + n) / (1 + df(t)))),    f(tf) = 1 + log tf (sublinear), or tf

Use as the floor that every learned encoder must beat, for exact words and names, and as the ground
of `FactorEncoder`. Avoid where texts say the same in other words. Cost: one pass over the texts; a
row holds its terms alone, never the whole vocabulary.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, require

from .._state import read_state, reading, write_state
from .._texts import checked_texts, unit_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WEIGHTINGS = ("binary", "counts", "tfidf")
UNITS = ("word", "char", "char_wb")
NORMS = ("l1", "l2", None)
KIND = "lexical encoder"


@dataclass(frozen=True)
class LexicalOptions:
    """What counts as a term.

    Attributes:
        ngrams: Shortest and longest n-gram.
        unit: What n-grams are of: "word", "char", or "char_wb" (within words).
        stop_words: "english", words to leave out, or None to keep all.
        lower_case: Whether texts are lowered first.
        min_df: Leave out terms of fewer texts: a number of texts, or a share of them if a float.
        max_df: Leave out terms of more texts, likewise.
        max_terms: Keep at most so many, the most frequent.
        sublinear: Take 1 + log tf, for "tfidf".
        norm: "l2", "l1", or None to leave "tfidf" rows as they are; others are never scaled.
    """

    ngrams: tuple[int, int] = (1, 1)
    unit: str = "word"
    stop_words: str | tuple[str, ...] | None = "english"
    lower_case: bool = True
    min_df: float = 1
    max_df: float = 1.0
    max_terms: int | None = None
    sublinear: bool = True
    norm: str | None = "l2"

    def __post_init__(self) -> None:
        # JSON and users bring lists
        object.__setattr__(self, "ngrams", tuple(self.ngrams))
        if self.stop_words is not None and not isinstance(self.stop_words, str):
            object.__setattr__(self, "stop_words", tuple(self.stop_words))
        if len(self.ngrams) != 2 or not 1 <= self.ngrams[0] <= self.ngrams[1]:
            raise ConfigError(f"ngrams must be (shortest, longest), from 1; got {self.ngrams}")
        if self.unit not in UNITS:
            raise ConfigError(f"unit cannot be {self.unit!r}; {did_you_mean(self.unit, UNITS)}")
        if isinstance(self.stop_words, str) and self.stop_words != "english":
            raise ConfigError(
                f"stop_words must be 'english', words, or None; got {self.stop_words!r}: give "
                "the list of that language"
            )
        if self.norm not in NORMS:
            raise ConfigError(f"norm must be one of {NORMS}; got {self.norm!r}")
        for name, value in (("min_df", self.min_df), ("max_df", self.max_df)):
            if not (value >= 1 if isinstance(value, int) else 0.0 <= value <= 1.0):
                raise ConfigError(
                    f"{name} must be a number of texts from 1, or a share of them from 0.0 to 1.0; "
                    f"got {value!r}"
                )
        if self.max_terms is not None and self.max_terms < 1:
            raise ConfigError(f"max_terms must be at least 1, or None; got {self.max_terms}")


class LexicalEncoder:
    """Count the terms of texts.

    Args:
        weighting: "binary", "counts" or "tfidf".
        options: What counts as a term.

    Attributes:
        terms: The vocabulary, in the order of the columns.

    Raises:
        ConfigError: Unknown weighting.
    """

    def __init__(self, weighting: str = "tfidf", *, options: LexicalOptions | None = None) -> None:
        if weighting not in WEIGHTINGS:
            hint = did_you_mean(weighting, WEIGHTINGS)
            raise ConfigError(f"weighting cannot be {weighting!r}; {hint}")
        self.weighting = weighting
        self.options = LexicalOptions() if options is None else options
        self.terms: list[str] = []
        self._vectoriser: Any = None
        self._weights: Any = None

    def fit(self, texts: Sequence[str]) -> "LexicalEncoder":
        """Take the vocabulary, and for "tfidf" the frequencies, from texts.

        Args:
            texts: Texts.

        Returns:
            Itself.

        Raises:
            DataError: No texts, or no term is left.
        """
        found = checked_texts(texts, some=True)
        vectoriser = self._make(None)
        try:
            counts = vectoriser.fit_transform(found)
        except ValueError as error:
            raise DataError(
                f"no term of {len(found)} texts is left ({error}); check min_df, max_df, "
                "stop_words and the texts"
            ) from error
        self._vectoriser = vectoriser
        self.terms = vectoriser.get_feature_names_out().tolist()
        if self.weighting == "tfidf":
            self._weights = self._transformer().fit(counts)
        return self

    def _make(self, vocabulary: list[str] | None) -> Any:
        text = require("sklearn.feature_extraction.text", "train")
        o = self.options
        stop = list(o.stop_words) if isinstance(o.stop_words, tuple) else o.stop_words
        return text.CountVectorizer(
            ngram_range=o.ngrams,
            analyzer=o.unit,
            # sklearn warns of stop words that it would not use
            stop_words=stop if o.unit == "word" else None,
            lowercase=o.lower_case,
            min_df=o.min_df,
            max_df=o.max_df,
            max_features=o.max_terms,
            binary=self.weighting == "binary",
            vocabulary=vocabulary,
            dtype=np.float32,
        )

    def _transformer(self) -> Any:
        text = require("sklearn.feature_extraction.text", "train")
        return text.TfidfTransformer(norm=self.options.norm, sublinear_tf=self.options.sublinear)

    @property
    def dims(self) -> int:
        """Number of terms."""
        return len(self.terms)

    @property
    def idf(self) -> NDArray[np.float32]:
        """Weight of each term, shape (terms,); ones but for "tfidf"."""
        if self._weights is None:
            return np.ones(self.dims, np.float32)
        return np.asarray(self._weights.idf_, np.float32)

    def encode(
        self,
        texts: Sequence[str],
        *,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> "csr_array":
        """Encode texts.

        Args:
            texts: Texts; terms that `fit` did not see are left out.
            normalize_embeddings: Scale rows to length 1.
            show_progress_bar: Not used; hosts give it.

        Returns:
            Sparse float32, shape (texts, terms).

        Raises:
            DataError: Not fitted, or a text is no string.
        """
        from scipy.sparse import csr_array

        found = checked_texts(texts)
        if self._vectoriser is None:
            raise DataError("the encoder has no vocabulary yet; call fit with texts, or load one")
        if not found:
            return csr_array((0, self.dims), dtype=np.float32)
        rows = self._vectoriser.transform(found)
        if self._weights is not None:
            rows = self._weights.transform(rows)
        rows = csr_array(rows, dtype=np.float32)
        return unit_rows(rows) if normalize_embeddings else rows

    def save(self, folder: str | Path) -> None:
        """Save settings, terms and weights.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
            DataError: Not fitted.
        """
        if not self.terms:
            raise DataError("the encoder has no vocabulary to save; call fit with texts first")
        values = {
            "weighting": self.weighting,
            "options": asdict(self.options),
            "terms": self.terms,
        }
        idf = None if self._weights is None else np.asarray(self._weights.idf_)
        write_state(folder, KIND, values, {} if idf is None else {"idf": idf})

    @classmethod
    def load(cls, folder: str | Path) -> "LexicalEncoder":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The fitted encoder.

        Raises:
            StoreError: Missing or damaged.
        """
        values, arrays = read_state(folder, KIND)
        with reading(folder):
            made = cls(values["weighting"], options=LexicalOptions(**values["options"]))
            made.terms = list(values["terms"])
            made._vectoriser = made._make(made.terms)
            if made.weighting == "tfidf":
                made._weights = made._transformer()
                if arrays["idf"].shape != (made.dims,):
                    raise ValueError(f"{len(arrays['idf'])} weights for {made.dims} terms")
                made._weights.idf_ = arrays["idf"]
        return made
