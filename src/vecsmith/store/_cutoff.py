"""A query-dependent relevance cut-off (Cosine Adapter): cosines become comparable probabilities.

Contrastive training orders documents only *within* a query: a cosine of 0.6 is a hit for one query
and noise for the next. A tiny network g reads the query vector alone and gives the parameters of an
increasing function of the cosine, so that one threshold holds for all queries.

Paper: Relevance Filtering for Embedding-based Retrieval (N. Rossi, J. Lin, F. Liu, Z. Yang, T. Lee,
A. Magnani, C. Liao, 2024).

Formula, with c the cosine, x = max(c, 1e-4), (a, b, gamma) = g(q), a > 0, gamma > 0::

    linear a c + b     sqrt a sqrt(x) + b     quadratic a x^2 + b     power a x^gamma + b
    P(relevant) = sigmoid(F(c)),   kept when P >= tau,   i.e. c >= F^-1(logit tau) =: cutoff(q)

g is Linear-ReLU-Dropout-Linear, its last layer starts at zero beside free global offsets, so that
training starts from one global logistic calibration (Platt scaling). Training minimises binary
cross-entropy over labelled top-k lists; the vectors stay as they are.

Use when results are cut by relevance, not by count, and labelled lists of some hundred queries
exist. Avoid when only the order within a query matters: it never changes. Cost: seconds to fit;
one small matrix product a query, nothing a document. Scoring needs NumPy alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import (
    ConfigError,
    DataError,
    Stamp,
    StoreError,
    did_you_mean,
    read_json,
    require,
    write_json,
)

from ._cutoff_families import (
    FAMILIES,
    Floats,
    best_expected_f1,
    cosine_cutoffs,
    family_parameters,
    relevance_logits,
    sigmoid,
)
from ._cutoff_lists import LabelledLists, as_lists, harvest_lists
from ._cutoff_report import choose_threshold

if TYPE_CHECKING:
    from ._cutoff_fit import AdapterOptions

FORMAT = 1


class CosineAdapter:
    """Query-dependent calibration of cosines, with one global threshold.

    Args:
        dim: Dimensions of a query vector.
        family: One of `FAMILIES`, or "auto": all are fitted, the lowest validation loss wins.
        hidden: Width of g.
        stamp: Identity of the embedding space the adapter belongs to, if known.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> vecs = rng.normal(size=(40, 8)); vecs /= np.linalg.norm(vecs, axis=1, keepdims=True)
        >>> cosines = np.sort(rng.uniform(0, 1, (40, 20)))[:, ::-1]
        >>> adapter = CosineAdapter(8).fit(vecs, cosines, cosines > 0.6)
        >>> tau = adapter.calibrate(recall=0.95)
        >>> adapter.cutoff(vecs).shape
        (40,)
    """

    def __init__(
        self, dim: int, *, family: str = "auto", hidden: int = 64, stamp: Stamp | None = None
    ) -> None:
        if family not in {*FAMILIES, "auto"}:
            known = did_you_mean(family, [*FAMILIES, "auto"])
            raise ConfigError(f"no family is called {family!r}; {known}")
        if dim < 1 or hidden < 1:
            raise ConfigError(f"dim and hidden must be at least 1; got {dim} and {hidden}")
        self.dim, self.hidden, self.stamp = dim, hidden, stamp
        self.requested = family
        self.family = "linear" if family == "auto" else family
        self.tau: float | None = None
        self.target = ""
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.history: dict[str, Any] = {}
        self._held_out: LabelledLists | None = None
        self._encoder: Any = None

    def fit(
        self,
        query_vecs: ArrayLike | LabelledLists,
        cosines: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        val: float = 0.2,
        seed: int = 0,
        options: "AdapterOptions | None" = None,
    ) -> "CosineAdapter":
        """Fit g on labelled lists; a share of the queries is held out to stop and to calibrate.

        Args:
            query_vecs: Unit vectors, shape (queries, dim); or `LabelledLists`, which hold all.
            cosines: Shape (queries, k).
            labels: Relevance in [0, 1], shape (queries, k).
            mask: True where there is a pair.
            val: Share of queries held out; equal query vectors stay on one side.
            seed: Seed of split, start and order.
            options: Epochs, rates and the like.

        Returns:
            The adapter itself.

        Raises:
            DataError: Shapes do not fit, or a side of the split holds nothing relevant.
        """
        from ._cutoff_fit import fit_adapter

        lists = as_lists(query_vecs, cosines, labels, mask)
        if lists.query_vecs.shape[1] != self.dim:
            raise DataError(
                f"query_vecs must have {self.dim} dimensions, as the adapter was made for; "
                f"got {lists.query_vecs.shape[1]}"
            )
        families = FAMILIES if self.requested == "auto" else (self.requested,)
        fitted = fit_adapter(
            lists, families, hidden=self.hidden, val=val, seed=seed, options=options
        )
        self.family, self.weights = fitted.family, fitted.weights
        self.history, self._held_out = fitted.history, fitted.validation
        self.tau, self.target = None, ""
        return self

    @property
    def held_out(self) -> LabelledLists:
        """The lists that `fit` kept out of the training."""
        if self._held_out is None:
            raise ConfigError("there are no held-out lists: call fit first, or pass lists=")
        return self._held_out

    def calibrate(
        self,
        *,
        recall: float | None = None,
        precision: float | None = None,
        expected_f1: bool = False,
        lists: LabelledLists | None = None,
    ) -> float:
        """Choose and keep the threshold tau.

        Args:
            recall: Highest tau that keeps this share of the listed relevant pairs.
            precision: Lowest tau above which this share is relevant.
            expected_f1: Take the tau of best expected F1 under the adapter's own probabilities
                (reads no labels).
            lists: What to calibrate on; by default the queries that `fit` held out.

        Returns:
            tau, a probability.

        Raises:
            ConfigError: Not exactly one target, or nothing to calibrate on.
        """
        if (recall is not None) + (precision is not None) + expected_f1 != 1:
            raise ConfigError("calibrate takes exactly one of recall, precision and expected_f1")
        lists = lists or self.held_out
        scores, mask = self.scores(lists.query_vecs, lists.cosines), lists.mask & ~lists.injected
        if expected_f1:
            self.tau, self.target = best_expected_f1(scores[mask]), "expected F1"
        else:
            self.tau = choose_threshold(
                scores, lists.labels, mask, recall=recall, precision=precision
            )
            self.target = f"recall {recall}" if recall is not None else f"precision {precision}"
        return self.tau

    def logits(self, query_vecs: ArrayLike, cosines: ArrayLike) -> Floats:
        """Return F(c; g(q)) for each pair.

        Args:
            query_vecs: Unit vectors, shape (queries, dim).
            cosines: Shape (queries, k).

        Returns:
            Logits, shape (queries, k), in float64.

        Raises:
            DataError: Shapes do not fit.
        """
        values = np.asarray(cosines, np.float64)
        slope, offset, gamma = self._parameters(query_vecs)
        if values.ndim != 2 or len(values) != len(slope):
            raise DataError(
                f"cosines must have shape (queries, k) with {len(slope)} queries; "
                f"got {values.shape}"
            )
        return relevance_logits(values, slope, offset, gamma, family=self.family)

    def scores(self, query_vecs: ArrayLike, cosines: ArrayLike) -> Floats:
        """Return the probability that each document is relevant.

        Args:
            query_vecs: Unit vectors, shape (queries, dim).
            cosines: Shape (queries, k).

        Returns:
            Probabilities, shape (queries, k); along a row they rise with the cosine.
        """
        return sigmoid(self.logits(query_vecs, cosines))

    def cutoff(self, query_vecs: ArrayLike) -> Floats:
        """Return each query's cosine cut-off, the closed-form inverse of the rule P >= tau.

        Args:
            query_vecs: Unit vectors, shape (queries, dim).

        Returns:
            Shape (queries,); -inf where everything passes, above 1 where nothing can.

        Raises:
            ConfigError: `calibrate` was not called.
        """
        if self.tau is None:
            raise ConfigError("the adapter has no threshold yet; call calibrate(recall=0.95)")
        with np.errstate(divide="ignore"):
            logit = float(np.log(self.tau) - np.log1p(-self.tau))
        return cosine_cutoffs(logit, *self._parameters(query_vecs), family=self.family)

    def _parameters(self, query_vecs: ArrayLike) -> tuple[Floats, Floats, Floats]:
        queries = np.asarray(query_vecs, np.float64)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise DataError(
                f"query_vecs must have shape (queries, {self.dim}); got {queries.shape}"
            )
        if not self.weights:
            raise ConfigError("the adapter is not fitted; call fit, or from_pretrained")
        w = self.weights
        hidden = np.maximum(queries @ w["inner"].T.astype(np.float64) + w["inner_bias"], 0.0)
        return family_parameters(hidden @ w["outer"].T.astype(np.float64) + w["offsets"])

    def save_pretrained(self, path: str | Path) -> None:
        """Write ``config.json`` and ``adapter.safetensors``.

        Args:
            path: Folder; made if missing.

        Raises:
            ConfigError: The adapter is not fitted.
        """
        from safetensors.numpy import save_file

        from vecsmith.core import atomic_path

        if not self.weights:
            raise ConfigError("the adapter is not fitted; call fit before save_pretrained")
        with atomic_path(Path(path) / "adapter.safetensors") as temporary:
            save_file(self.weights, temporary)
        config = {
            "format": FORMAT,
            "kind": "cosine-adapter",
            "dim": self.dim,
            "hidden": self.hidden,
            "family": self.family,
            "tau": self.tau,
            "target": self.target,
            "stamp": self.stamp.to_dict() if self.stamp else None,
            "history": self.history,
        }
        write_json(Path(path) / "config.json", config)

    @classmethod
    def from_pretrained(cls, path: str | Path, *, stamp: Stamp | None = None) -> "CosineAdapter":
        """Read what `save_pretrained` wrote; needs no torch.

        Args:
            path: Folder.
            stamp: The embedding space it is to be used with; another one is refused.

        Returns:
            The adapter.

        Raises:
            StoreError: Files are missing or damaged, or belong to another space.
        """
        from safetensors.numpy import load_file

        config = read_json(Path(path) / "config.json")
        try:
            known = Stamp.from_dict(config["stamp"]) if config["stamp"] else None
            adapter = cls(
                config["dim"], family=config["family"], hidden=config["hidden"], stamp=known
            )
            adapter.tau, adapter.target = config["tau"], config["target"]
            adapter.history = config["history"]
            adapter.weights = load_file(Path(path) / "adapter.safetensors")
        except (KeyError, TypeError, OSError, ValueError, ConfigError) as error:
            raise StoreError(
                f"the folder {str(path)!r} should hold a cosine adapter but cannot be read "
                f"({error!r}); fit and save it again"
            ) from error
        if stamp is not None and known is not None:
            known.check(stamp)
        return adapter

    @classmethod
    def from_model(cls, model: Any, *, family: str = "auto", hidden: int = 64) -> "CosineAdapter":
        """Make an adapter for a sentence-transformers model, ready to `harvest`.

        Args:
            model: Hub id, folder or a loaded `SentenceTransformer`.
            family: As in the constructor.
            hidden: As in the constructor.

        Returns:
            An unfitted adapter.
        """
        if isinstance(model, str | Path):
            from vecsmith.encode import resolve_model

            transformers = require("sentence_transformers", "train")
            model = transformers.SentenceTransformer(str(resolve_model(str(model)).path))
        adapter = cls(model.get_embedding_dimension(), family=family, hidden=hidden)
        adapter._encoder = model
        return adapter

    def harvest(
        self,
        queries: Mapping[str, str],
        corpus: Mapping[str, str],
        qrels: Mapping[str, Mapping[str, float]],
        *,
        k: int = 100,
        unjudged: str = "irrelevant",
    ) -> LabelledLists:
        """Encode queries and corpus, search, and label the lists.

        Args:
            queries: Id -> text.
            corpus: Id -> text.
            qrels: Query id -> document id -> relevance in [0, 1].
            k: Length of a list.
            unjudged: What a result without judgement counts as: "irrelevant" or "masked".

        Returns:
            Lists for `fit`, queries in the order given.

        Raises:
            ConfigError: The adapter was not made by `from_model`.
        """
        if self._encoder is None:
            raise ConfigError("harvest needs an encoder: make the adapter with from_model(...)")
        row = {name: place for place, name in enumerate(corpus)}
        relevant: Sequence[Mapping[int, float]] = [
            {row[doc]: grade for doc, grade in qrels.get(query, {}).items() if doc in row}
            for query in queries
        ]
        query_vecs = self._encoder.encode_query(list(queries.values()), normalize_embeddings=True)
        doc_vecs = self._encoder.encode_document(list(corpus.values()), normalize_embeddings=True)
        return harvest_lists(query_vecs, doc_vecs, relevant, k=k, unjudged=unjudged)
