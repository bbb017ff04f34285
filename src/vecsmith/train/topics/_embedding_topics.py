"""Topics as clusters of text vectors, named by the words that are theirs alone.

Topic modelling by clustering (S. Sia, A. Dalmia and S. Mielke, 2020; M. Grootendorst, 2022,
BERTopic). Any encoder's vectors are scaled to length 1 and clustered, by k-means, or by HDBSCAN
(L. McInnes, J. Healy and S. Astels, 2017), which finds the number of topics and leaves texts out;
words are weighed by class TF-IDF,

    weight(w, c) = tf(w, c) log(1 + A / f(w))

tf(w, c) the share of word w among the words of topic c, f(w) its count in all, A the mean number of
words of a topic. HDBSCAN runs on the first principal components: density means little in hundreds
of dimensions.

Use for short texts and few documents, where LDA has too little to count. Avoid where a text has
several topics: it gets one. Cost: encoding, and texts x topics x dims x iterations for k-means;
square in texts for HDBSCAN.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, fresh_dir, require
from vecsmith.encode import LexicalEncoder, LexicalOptions, TextEncoder
from vecsmith.encode._state import read_state, reading, write_state_into
from vecsmith.encode._texts import checked_texts, unit_rows

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]

METHODS = ("hdbscan", "kmeans")
KIND, LEXICAL = "embedding topics", "lexical"


@dataclass(frozen=True)
class ClusterOptions:
    """Settings of clustering.

    Attributes:
        restarts: Starts of k-means, of which the best counts.
        components: Principal components that HDBSCAN runs on.
        min_texts: Texts of the smallest topic that HDBSCAN finds.
        temperature: Of `encode`: cosines are divided by it before the softmax.
    """

    restarts: int = 4
    components: int = 10
    min_texts: int = 10
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.components < 1 or self.min_texts < 2:
            raise ConfigError(
                "restarts and components must be at least 1, min_texts at least 2; got "
                f"{self.restarts}, {self.components} and {self.min_texts}"
            )
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be above 0; got {self.temperature}")


def class_tfidf(counts: ArrayLike) -> Doubles:
    """Weigh the words of topics.

    Args:
        counts: How often each word stands in the texts of each topic, shape (topics, words).

    Returns:
        Weights, shape (topics, words); zeros for a topic without words.
    """
    found = np.asarray(counts, np.float64)
    sizes = found.sum(1, keepdims=True)
    shares = found / np.where(sizes > 0, sizes, 1)
    whole = found.sum(0)
    rarity = np.log1p(sizes.mean() / np.where(whole > 0, whole, 1))
    return np.asarray(shares * rarity)


class EmbeddingTopics:
    """Cluster texts, and name the clusters.

    Args:
        encoder: What encodes texts; a `SentenceTransformer` or any other `TextEncoder`.
        topics: Number of topics, for k-means.
        method: "kmeans" or "hdbscan".
        lexical: What counts words; None takes single words, English stop words out.
        options: Further settings.
        seed: Seed of the starts.

    Attributes:
        labels: Topic of each text of `fit`, -1 for texts that HDBSCAN leaves out.
        centres: Unit vectors of the topics, shape (topics, dims).
        weights: Class TF-IDF, shape (topics, words).

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        topics: int = 20,
        *,
        method: str = "kmeans",
        lexical: LexicalOptions | None = None,
        options: ClusterOptions | None = None,
        seed: int = 0,
    ) -> None:
        if method not in METHODS:
            raise ConfigError(f"method cannot be {method!r}; {did_you_mean(method, METHODS)}")
        if topics < 2:
            raise ConfigError(f"topics must be at least 2; got {topics}")
        self.encoder, self.wanted, self.method, self.seed = encoder, topics, method, seed
        self.options = ClusterOptions() if options is None else options
        self.lexical = LexicalEncoder("counts", options=lexical)
        self.labels: Ids = np.zeros(0, np.int64)
        self.centres: Floats = np.zeros((0, 0), np.float32)
        self.weights: Doubles = np.zeros((0, 0))

    def fit(self, texts: Sequence[str], *, vectors: ArrayLike | None = None) -> "EmbeddingTopics":
        """Find topics.

        Args:
            texts: Texts.
            vectors: Their vectors, where they are there already, shape (texts, dims).

        Returns:
            Itself.

        Raises:
            DataError: Fewer texts than topics, no words, vectors that are not finite, or no cluster
                found.
        """
        found = checked_texts(texts, some=True)
        counts = self.lexical.fit(found).encode(found)
        rows = self._vectors(found, vectors)
        self.labels = self._kmeans(rows) if self.method == "kmeans" else self._hdbscan(rows)
        number = int(self.labels.max()) + 1
        kept = np.flatnonzero(self.labels >= 0)
        from scipy.sparse import csr_array

        members = csr_array(
            (np.ones(len(kept)), (self.labels[kept], kept)), shape=(number, len(found))
        )
        self.weights = class_tfidf((members @ counts).toarray())
        self.centres = np.asarray(unit_rows(np.asarray(members @ rows, np.float32)))
        return self

    def _vectors(self, texts: list[str], vectors: ArrayLike | None) -> Floats:
        made = self.encoder.encode(texts) if vectors is None else vectors
        if hasattr(made, "toarray"):
            raise DataError(
                "clusters need dense vectors and the encoder gives sparse ones; use a FactorEncoder"
            )
        rows = np.asarray(made, np.float32)
        if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():
            raise DataError(
                f"{len(texts)} texts need finite vectors of shape ({len(texts)}, dims); got "
                f"{rows.shape}: check the encoder, or the vectors given"
            )
        return np.asarray(unit_rows(rows))

    def _kmeans(self, rows: Floats) -> Ids:
        cluster = require("sklearn.cluster", "train")
        different = len(np.unique(rows, axis=0))
        if different < self.wanted:
            raise DataError(
                f"{self.wanted} topics need as many different texts; got {different}: lower topics"
            )
        model = cluster.KMeans(self.wanted, n_init=self.options.restarts, random_state=self.seed)
        return np.asarray(model.fit_predict(rows), np.int64)

    def _hdbscan(self, rows: Floats) -> Ids:
        cluster = require("sklearn.cluster", "train")
        decomposition = require("sklearn.decomposition", "train")
        if len(rows) < self.options.min_texts:
            raise DataError(
                f"topics of {self.options.min_texts} texts cannot be found in {len(rows)}; lower "
                "min_texts, or give more"
            )
        components = min(self.options.components, *rows.shape)
        low = decomposition.PCA(components, random_state=self.seed).fit_transform(rows)
        model = cluster.HDBSCAN(min_cluster_size=self.options.min_texts, copy=True)
        labels = np.asarray(model.fit_predict(low), np.int64)
        if labels.max() < 0:
            raise DataError(
                f"no topic of {self.options.min_texts} texts stands out; lower min_texts, or use "
                "method='kmeans'"
            )
        return labels

    def _fitted(self) -> None:
        if not len(self.centres):
            raise DataError("there are no topics yet; call fit with texts, or load some")

    def topics(self, top_k: int = 10) -> list[list[str]]:
        """Name the heaviest words of each topic.

        Args:
            top_k: How many; fewer for a topic of fewer words.

        Returns:
            Words, falling.

        Raises:
            DataError: Not fitted.
        """
        self._fitted()
        order = np.argsort(-self.weights, axis=1, kind="stable")[:, :top_k]
        return [
            [self.lexical.terms[i] for i in row if self.weights[topic, i] > 0]
            for topic, row in enumerate(order)
        ]

    def predict(self, texts: Sequence[str], *, vectors: ArrayLike | None = None) -> Ids:
        """Find the nearest topic.

        Args:
            texts: Texts.
            vectors: Their vectors, where they are there already.

        Returns:
            Topics, shape (texts,).

        Raises:
            DataError: Not fitted, or vectors that do not fit.
        """
        return np.asarray(self._cosines(texts, vectors).argmax(1), np.int64)

    def _cosines(self, texts: Sequence[str], vectors: ArrayLike | None) -> Floats:
        self._fitted()
        found = checked_texts(texts)
        if not found:
            return np.zeros((0, len(self.centres)), np.float32)
        rows = self._vectors(found, vectors)
        if rows.shape[1] != self.centres.shape[1]:
            raise DataError(
                f"topics were found with vectors of {self.centres.shape[1]} dimensions; got "
                f"{rows.shape[1]}: give the same encoder"
            )
        # row by row the same, whatever stands beside it
        return np.einsum("nd,kd->nk", rows, self.centres)

    def encode(
        self,
        texts: Sequence[str],
        *,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> Floats:
        """Encode texts by their nearness to the topics.

        Args:
            texts: Texts.
            normalize_embeddings: Scale rows to length 1.
            show_progress_bar: Not used; hosts give it.

        Returns:
            Softmax of cosine / temperature, float32, shape (texts, topics); rows sum to 1.

        Raises:
            DataError: Not fitted.
        """
        scores = self._cosines(texts, None) / self.options.temperature
        shares = np.exp(scores - scores.max(1, keepdims=True, initial=-np.inf))
        made = np.asarray(shares / shares.sum(1, keepdims=True), np.float32)
        return np.asarray(unit_rows(made)) if normalize_embeddings else made

    def save(self, folder: str | Path) -> None:
        """Save topics and settings; not the encoder.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
            DataError: Not fitted.
        """
        self._fitted()
        values: dict[str, Any] = {
            "topics": self.wanted,
            "method": self.method,
            "seed": self.seed,
            "options": asdict(self.options),
        }
        arrays: dict[str, NDArray[Any]] = {
            "labels": self.labels,
            "centres": self.centres,
            "weights": self.weights,
        }
        with fresh_dir(folder) as fresh:
            self.lexical.save(fresh / LEXICAL)
            write_state_into(fresh, KIND, values, arrays)

    @classmethod
    def load(cls, folder: str | Path, encoder: TextEncoder) -> "EmbeddingTopics":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.
            encoder: The one that was used.

        Returns:
            The topics.

        Raises:
            StoreError: Missing or damaged.
        """
        values, arrays = read_state(folder, KIND)
        lexical = LexicalEncoder.load(Path(folder) / LEXICAL)
        with reading(folder):
            made = cls(
                encoder,
                values["topics"],
                method=values["method"],
                options=ClusterOptions(**values["options"]),
                seed=values["seed"],
            )
            made.lexical, made.labels = lexical, arrays["labels"]
            made.centres, made.weights = arrays["centres"], arrays["weights"]
            if made.weights.shape != (len(made.centres), lexical.dims):
                raise ValueError(f"weights of shape {made.weights.shape}")
        return made
