"""How well cosines follow distances in a taxonomy, on pairs of terms at 1, 2, 3, ... steps and far.

Near against random is easy for any encoder; the degrees between are what counts. So pairs are drawn
evenly over the distances, and each pair of distances has an area under the curve of its own.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, numpy_generator
from vecsmith.data import Hierarchy

from ._quick import spearman

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HierarchyResult:
    """What a model gets.

    Attributes:
        spearman: Rank correlation of cosine with closeness (minus distance), over all pairs.
        auc: (near, far) -> probability that a pair at the near distance has the higher cosine.
        mean_cosine: Distance -> mean cosine.
        synonym_accuracy: Share of synonyms whose nearest preferred name is that of their term.
    """

    spearman: float
    auc: dict[tuple[int, int], float]
    mean_cosine: dict[int, float]
    synonym_accuracy: float


@dataclass(frozen=True)
class HierarchyProbe:
    """Pairs of terms and queries, the same for every model that is compared.

    Attributes:
        texts: All names that must be encoded.
        left: Places in `texts`, one a pair.
        right: Places in `texts`.
        distances: Steps between the terms of a pair; `cap` is far.
        cap: Distance of far pairs.
        candidates: Places of the preferred names among which synonyms are looked up.
        queries: Places of synonyms.
        answers: Place among the candidates of each query's term.
    """

    texts: list[str]
    left: Numbers
    right: Numbers
    distances: Numbers
    cap: int
    candidates: Numbers
    queries: Numbers
    answers: Numbers

    @classmethod
    def draw(
        cls,
        hierarchy: Hierarchy,
        held_out: Numbers,
        *,
        pairs: int = 300,
        queries: int = 300,
        cap: int = 5,
        seed: int = 0,
    ) -> "HierarchyProbe":
        """Draw pairs of held-out terms evenly over distances, and synonyms of these terms.

        Args:
            hierarchy: Where from.
            held_out: Numbers of the terms.
            pairs: At most so many a distance.
            queries: At most so many synonyms, one a term.
            cap: What is this far or farther is one class.
            seed: Seed of the draw.

        Returns:
            The probe.

        Raises:
            DataError: Fewer than two distances have pairs.
        """
        rng = numpy_generator(seed, "hierarchy probe")
        terms = np.intersect1d(held_out, hierarchy.drawn)
        found = hierarchy.distances(terms, cap=cap)
        chosen = []
        for steps in range(1, cap + 1):
            rows, columns = np.nonzero(np.triu(found == steps, 1))
            kept = rng.permutation(len(rows))[:pairs]
            chosen.append(np.stack([rows[kept], columns[kept], np.full(len(kept), steps)], axis=1))
        table = np.concatenate(chosen)
        if len(np.unique(table[:, 2])) < 2:
            raise DataError(
                f"{len(terms)} held-out terms have pairs at fewer than two distances; hold out more"
            )
        used = np.unique(table[:, :2])
        place = {int(term): row for row, term in enumerate(used)}
        texts = [hierarchy.names[terms[term]][0] for term in used]
        shared = Counter(name.casefold() for term in used for name in hierarchy.names[terms[term]])
        asked: list[str] = []
        answers: list[int] = []
        for term in rng.permutation(used):
            # a name that two terms share has no right answer
            further = [n for n in hierarchy.names[terms[term]][1:] if shared[n.casefold()] == 1]
            if further and len(asked) < queries:
                asked.append(further[rng.integers(len(further))])
                answers.append(place[int(term)])
        return cls(
            texts=[*texts, *asked],
            left=np.array([place[int(term)] for term in table[:, 0]]),
            right=np.array([place[int(term)] for term in table[:, 1]]),
            distances=table[:, 2],
            cap=cap,
            candidates=np.arange(len(texts)),
            queries=np.arange(len(texts), len(texts) + len(asked)),
            answers=np.array(answers, np.int64),
        )

    def score(self, vectors: NDArray[Any]) -> HierarchyResult:
        """Score the vectors of `texts`.

        Args:
            vectors: Shape (texts, dims).

        Returns:
            Correlation, areas, means and synonym accuracy.
        """
        rows = np.asarray(vectors, np.float64)
        unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        cosines = (unit[self.left] * unit[self.right]).sum(axis=1)
        present = [int(steps) for steps in np.unique(self.distances)]
        at = {steps: cosines[self.distances == steps] for steps in present}
        nearest = np.argmax(unit[self.queries] @ unit[self.candidates].T, axis=1)
        return HierarchyResult(
            spearman=spearman(cosines, -self.distances.astype(np.float64)),
            auc={
                (near, far): area_under_curve(at[near], at[far])
                for near in present
                for far in present
                if near < far
            },
            mean_cosine={steps: float(values.mean()) for steps, values in at.items()},
            synonym_accuracy=float((nearest == self.answers).mean()) if len(nearest) else 0.0,
        )


def area_under_curve(higher: Floats, lower: Floats) -> float:
    """Probability that a value of one side is above one of the other; ties count half.

    Args:
        higher: Values that should be higher.
        lower: Values that should be lower.

    Returns:
        In [0, 1].
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([higher, lower]))[: len(higher)]
    above = ranks.sum() - len(higher) * (len(higher) + 1) / 2
    return float(above / (len(higher) * len(lower)))


def evaluate_hierarchy(
    model: Any, hierarchy: Hierarchy, held_out: Numbers, **options: Any
) -> HierarchyResult:
    """Judge a model on held-out terms of a taxonomy.

    Args:
        model: A `SentenceTransformer`, or a function of texts that returns vectors.
        hierarchy: The taxonomy.
        held_out: Numbers of the terms.
        **options: pairs, queries, cap, seed: see `HierarchyProbe.draw`.

    Returns:
        The same pairs for every model, as long as the options are the same.
    """
    probe = HierarchyProbe.draw(hierarchy, held_out, **options)
    encode: Callable[[Sequence[str]], Any] = getattr(model, "encode", model)
    return probe.score(np.asarray(encode(probe.texts)))


def word_overlap(texts: Sequence[str]) -> Floats:
    """Embed texts as bags of words: the control that shows what shared words alone give.

    Args:
        texts: Names.

    Returns:
        Unit vectors of square-root word counts, shape (texts, words).
    """
    words = [Counter(text.casefold().split()) for text in texts]
    column = {word: place for place, word in enumerate(sorted({w for bag in words for w in bag}))}
    found = np.zeros((len(texts), max(len(column), 1)))
    for row, bag in enumerate(words):
        for word, count in bag.items():
            found[row, column[word]] = count**0.5
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
