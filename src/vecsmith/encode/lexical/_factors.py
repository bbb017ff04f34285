"""Texts as mixtures of topics: counts of words factored into few dimensions.

    lsa   latent semantic analysis, X ~ U S V^T truncated; encode = X V  (S. Deerwester and others,
          1990)
    nmf   X ~ W H, both not negative; encode = argmin_W |X - W H|  (D. Lee and H. Seung, 1999)
    lda   latent Dirichlet allocation: theta of each text, topics that are distributions over words
          (D. Blei, A. Ng and M. Jordan, 2003), by variational Bayes

over a `LexicalEncoder` (TF-IDF for lsa and nmf, counts for lda), on scikit-learn's decompositions.

Use lsa for similarity of texts without any training data, nmf and lda for topics that people read.
Avoid lda under a few thousand texts. Each text is encoded by itself: batches do not matter. Cost:
lsa one randomised SVD; lda and nmf tens of passes over the counts; texts are never densified.
"""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, fresh_dir, require

from .._state import read_state, reading, write_state_into
from .._texts import checked_texts, unit_rows
from ._lexical import LexicalEncoder

Floats = NDArray[np.float32]

logger = logging.getLogger(__name__)

METHODS = {"lda": "counts", "lsa": "tfidf", "nmf": "tfidf"}
KIND, LEXICAL = "factor encoder", "lexical"
# steps of coordinate descent a text: a fixed number, so that a row does not hang on its batch
_NMF_STEPS = 100


class FactorEncoder:
    """Factor the counts of texts.

    Args:
        method: "lsa", "lda" or "nmf".
        dims: Number of dimensions, or topics.
        lexical: What counts terms; None takes TF-IDF for lsa and nmf, counts for lda, English stop
            words out.
        max_iter: Passes over the texts; None takes 5 for lsa, 20 for lda, 500 for nmf.
        seed: Seed of the start.

    Attributes:
        components: Shape (dims, terms).

    Raises:
        ConfigError: Unknown method, a number below 1, or TF-IDF for lda.
    """

    def __init__(
        self,
        method: str = "lsa",
        dims: int = 50,
        *,
        lexical: LexicalEncoder | None = None,
        max_iter: int | None = None,
        seed: int = 0,
    ) -> None:
        if method not in METHODS:
            raise ConfigError(f"method cannot be {method!r}; {did_you_mean(method, METHODS)}")
        if dims < 1 or (max_iter is not None and max_iter < 1):
            raise ConfigError(f"dims and max_iter must be at least 1; got {dims} and {max_iter}")
        self.lexical = LexicalEncoder(METHODS[method]) if lexical is None else lexical
        if method == "lda" and self.lexical.weighting == "tfidf":
            raise ConfigError(
                "lda counts words, and TF-IDF weights are no counts; give "
                "lexical=LexicalEncoder('counts')"
            )
        self.method, self.dims, self.max_iter, self.seed = method, dims, max_iter, seed
        self._model: Any = None

    def fit(self, texts: Sequence[str]) -> "FactorEncoder":
        """Learn vocabulary and factors.

        Args:
            texts: Texts.

        Returns:
            Itself.

        Raises:
            DataError: No texts, no terms, or fewer terms than lsa needs.
        """
        found = checked_texts(texts, some=True)
        self.lexical.fit(found)
        rows = self.lexical.encode(found)
        if self.method == "lsa" and self.dims > min(rows.shape):
            raise DataError(
                f"lsa gives at most {min(rows.shape)} dimensions for {rows.shape[0]} texts with "
                f"{rows.shape[1]} terms; got dims={self.dims}: lower it, or give more texts"
            )
        model = self._make()
        errors = require("sklearn.exceptions", "train")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", errors.ConvergenceWarning)
            model.fit(_matrix(rows))
        for warning in caught:
            if issubclass(warning.category, errors.ConvergenceWarning):
                logger.warning("%s is not converged: raise max_iter", self.method)
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )
        self._model = _steady(model)
        return self

    def _make(self) -> Any:
        decomposition = require("sklearn.decomposition", "train")
        if self.method == "lsa":
            return decomposition.TruncatedSVD(
                self.dims, n_iter=self.max_iter or 5, random_state=self.seed
            )
        if self.method == "lda":
            return decomposition.LatentDirichletAllocation(
                self.dims, max_iter=self.max_iter or 20, random_state=self.seed
            )
        return decomposition.NMF(
            self.dims, init="nndsvda", max_iter=self.max_iter or 500, random_state=self.seed
        )

    @property
    def components(self) -> NDArray[np.float64]:
        """Weight of each term in each dimension, shape (dims, terms)."""
        return np.asarray(self._fitted().components_, np.float64)

    def _fitted(self) -> Any:
        if self._model is None:
            raise DataError("the encoder has no factors yet; call fit with texts, or load one")
        return self._model

    def topics(self, top_k: int = 10) -> list[list[str]]:
        """Name the heaviest terms of each dimension.

        Args:
            top_k: How many.

        Returns:
            Terms, falling.
        """
        order = np.argsort(-self.components, axis=1, kind="stable")[:, :top_k]
        return [[self.lexical.terms[i] for i in row] for row in order]

    def encode(
        self,
        texts: Sequence[str],
        *,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> Floats:
        """Encode texts.

        Args:
            texts: Texts.
            normalize_embeddings: Scale rows to length 1.
            show_progress_bar: Not used; hosts give it.

        Returns:
            Float32, shape (texts, dims); for lda rows sum to 1.

        Raises:
            DataError: Not fitted, or a text is no string.
        """
        model, found = self._fitted(), checked_texts(texts)
        if not found:
            return np.zeros((0, self.dims), np.float32)
        made = self._transform(model, _matrix(self.lexical.encode(found)))
        return np.asarray(unit_rows(made)) if normalize_embeddings else made

    def _transform(self, model: Any, rows: Any) -> Floats:
        if self.method == "nmf":
            # all-zero rows stop sklearn's checks; their answer is zero
            made = np.zeros((rows.shape[0], self.dims), np.float32)
            some = np.flatnonzero(np.diff(rows.indptr))
            if len(some):
                made[some] = model.transform(rows[some])
            return made
        return np.asarray(model.transform(rows), np.float32)

    def save(self, folder: str | Path) -> None:
        """Save settings, vocabulary and factors.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
            DataError: Not fitted.
        """
        values = {
            "method": self.method,
            "dims": self.dims,
            "max_iter": self.max_iter,
            "seed": self.seed,
        }
        model = self._fitted()
        arrays = {"components": np.asarray(model.components_)}
        if self.method == "lda":
            arrays["expected"] = np.asarray(model.exp_dirichlet_component_)
        with fresh_dir(folder) as fresh:
            self.lexical.save(fresh / LEXICAL)
            write_state_into(fresh, KIND, values, arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "FactorEncoder":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The fitted encoder.

        Raises:
            StoreError: Missing or damaged.
        """
        values, arrays = read_state(folder, KIND)
        lexical = LexicalEncoder.load(Path(folder) / LEXICAL)
        with reading(folder):
            made = cls(
                values["method"],
                values["dims"],
                lexical=lexical,
                max_iter=values["max_iter"],
                seed=values["seed"],
            )
            made._model = made._restored(arrays)
        return made

    def _restored(self, arrays: dict[str, NDArray[Any]]) -> Any:
        """Give scikit-learn's model what its `transform` reads."""
        model, shape = self._make(), (self.dims, self.lexical.dims)
        if any(array.shape != shape for array in arrays.values()):
            raise ValueError(f"factors are not of shape {shape}")
        model.components_, model.n_features_in_ = arrays["components"], shape[1]
        if self.method == "lda":
            model.exp_dirichlet_component_ = arrays["expected"]
            model.doc_topic_prior_ = model.topic_word_prior_ = 1 / self.dims
        return _steady(model)


def _steady(model: Any) -> Any:
    """Let NMF stop after so many steps and not by the mean of a batch."""
    if "tol" in model.get_params() and hasattr(model, "solver"):
        model.set_params(tol=0.0, max_iter=_NMF_STEPS)
    return model


def _matrix(rows: Any) -> Any:
    """Some of scikit-learn takes the older class of sparse matrices alone."""
    from scipy.sparse import csr_matrix

    return csr_matrix(rows)
