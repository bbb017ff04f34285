"""The simple cut-off rules that a learned one must beat, behind the interface of `CosineAdapter`.

Each turns a list of cosines into scores that one threshold cuts. `GlobalCosine` and `Platt` read
each cosine alone; the others read the whole list, so none of those can run inside a range search.

Use to see what an adapter buys on your own data. Cost: nothing worth naming. On lists with few
relevant documents `MinusListMean` is a strong rival that needs no labels at all.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError

from ._cutoff_families import Floats, sigmoid
from ._cutoff_lists import LabelledLists
from ._cutoff_report import choose_threshold


class CutoffRule:
    """Base of the rules: scores from lists, one threshold chosen on validation lists."""

    tau: float | None = None

    def fit(self, lists: LabelledLists) -> "CutoffRule":
        """Learn from labelled lists; most rules have nothing to learn.

        Args:
            lists: Training lists.

        Returns:
            The rule itself.
        """
        return self

    def scores(
        self, query_vecs: ArrayLike, cosines: ArrayLike, mask: ArrayLike | None = None
    ) -> Floats:
        """Score every pair.

        Args:
            query_vecs: Taken for the sake of one interface; not read.
            cosines: Shape (queries, k).
            mask: True where there is a pair.

        Returns:
            Scores, shape (queries, k); they never fall as the cosine rises within a row.

        Raises:
            DataError: Cosines are not two-dimensional, or the mask has another shape.
        """
        values = np.asarray(cosines, np.float64)
        keep = np.ones(values.shape, bool) if mask is None else np.asarray(mask, bool)
        if values.ndim != 2 or keep.shape != values.shape:
            raise DataError(
                f"cosines must have shape (queries, k) and mask the same; got {values.shape} "
                f"and {keep.shape}"
            )
        return self._score(values, keep)

    def _score(self, cosines: Floats, mask: NDArray[np.bool_]) -> Floats:
        raise NotImplementedError

    def calibrate(
        self,
        lists: LabelledLists,
        *,
        recall: float | None = None,
        precision: float | None = None,
    ) -> float:
        """Choose and keep the threshold.

        Args:
            lists: Validation lists.
            recall: Highest threshold that keeps this share of the listed relevant pairs.
            precision: Lowest threshold above which this share is relevant.

        Returns:
            The threshold.
        """
        mask = lists.mask & ~lists.injected
        scores = self.scores(lists.query_vecs, lists.cosines, mask)
        self.tau = choose_threshold(scores, lists.labels, mask, recall=recall, precision=precision)
        return self.tau

    def keep(
        self, query_vecs: ArrayLike, cosines: ArrayLike, mask: ArrayLike | None = None
    ) -> NDArray[np.bool_]:
        """Tell which pairs pass.

        Args:
            query_vecs: Taken for the sake of one interface.
            cosines: Shape (queries, k).
            mask: True where there is a pair.

        Returns:
            Shape (queries, k).

        Raises:
            ConfigError: `calibrate` was not called.
        """
        if self.tau is None:
            raise ConfigError("the rule has no threshold yet; call calibrate(lists, recall=0.95)")
        passed = self.scores(query_vecs, cosines, mask) >= self.tau
        return passed if mask is None else passed & np.asarray(mask, bool)


class FixedK(CutoffRule):
    """Keep the first k of every list: the score is minus the rank (the best has -1)."""

    def _score(self, cosines: Floats, mask: NDArray[np.bool_]) -> Floats:
        order = np.argsort(-np.where(mask, cosines, -np.inf), axis=1, kind="stable")
        ranks = np.empty(cosines.shape)
        places = np.broadcast_to(np.arange(1.0, cosines.shape[1] + 1.0), cosines.shape)
        np.put_along_axis(ranks, order, places, axis=1)
        return -ranks


class GlobalCosine(CutoffRule):
    """One cosine threshold for all queries."""

    def _score(self, cosines: Floats, mask: NDArray[np.bool_]) -> Floats:
        return cosines


class RatioToTop1(CutoffRule):
    """The cosine divided by the best one of the list (where that one is positive)."""

    def _score(self, cosines: Floats, mask: NDArray[np.bool_]) -> Floats:
        best = np.max(cosines, axis=1, keepdims=True, where=mask, initial=-1.0)
        # a list whose best cosine is not positive has no ratio; it sinks below all others
        return np.where(best > 0.0, cosines / np.maximum(best, 1e-12), cosines - 2.0)


class MinusListMean(CutoffRule):
    """The cosine minus the mean of its list."""

    def _score(self, cosines: Floats, mask: NDArray[np.bool_]) -> Floats:
        return cosines - _mean(cosines, mask)


class ZScore(CutoffRule):
    """The cosine minus the mean of its list, divided by the list's standard deviation."""

    def _score(self, cosines: Floats, mask: NDArray[np.bool_]) -> Floats:
        centred = cosines - _mean(cosines, mask)
        return centred / np.sqrt(_mean(centred**2, mask) + 1e-12)


class Platt(CutoffRule):
    """One logistic calibration sigmoid(a c + b) for all queries.

    It makes probabilities of cosines but keeps their pooled order, so its PR AUC is the raw one.
    """

    slope: float = 1.0
    offset: float = 0.0

    def fit(self, lists: LabelledLists) -> "Platt":
        """Fit slope and offset by maximum likelihood.

        Args:
            lists: Training lists.

        Returns:
            The rule itself.
        """
        import torch

        from ._cutoff_fit import platt

        self.slope, self.offset = platt(
            torch.from_numpy(lists.cosines[lists.mask]), torch.from_numpy(lists.labels[lists.mask])
        )
        return self

    def _score(self, cosines: Floats, mask: NDArray[np.bool_]) -> Floats:
        return sigmoid(self.slope * cosines + self.offset)


def _mean(values: Floats, mask: NDArray[np.bool_]) -> Floats:
    count = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    return np.sum(values, axis=1, keepdims=True, where=mask) / count


# name -> rule, as reports list them
CUTOFF_RULES: dict[str, type[CutoffRule]] = {
    "fixed_k": FixedK,
    "global_cosine": GlobalCosine,
    "ratio_to_top1": RatioToTop1,
    "minus_list_mean": MinusListMean,
    "z_score": ZScore,
    "platt": Platt,
}
