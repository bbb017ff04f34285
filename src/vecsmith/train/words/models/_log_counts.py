"""GloVe: products of word vectors are fitted to logarithms of weighted co-occurrence counts.

Paper: GloVe: Global Vectors for Word Representation (J. Pennington, R. Socher and C. Manning,
2014). X_ij adds 1 / distance for each time j stands within k words of i.

    sum over X_ij > 0 of  w(X_ij) (<e_i, o_j> + b_i + c_j - log X_ij)^2
    w(X) = min(1, (X / 100)^0.75)

Only pairs that were seen are stored. The vectors are e, as for the other models, not e + o.

Use on large corpora, where pairs are far fewer than tokens. Avoid on small ones, and where the
corpus grows. Cost: two products of d numbers a pair that was seen.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._counts import CooccurrenceCounter
from .._tokens import Ids

if TYPE_CHECKING:
    from torch import Tensor


class Cells(NamedTuple):
    """Pairs that were seen.

    Attributes:
        rows: i, shape (pairs,).
        columns: j, shape (pairs,).
        values: X_ij, shape (pairs,).
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]

    def take(self, places: Ids) -> "Cells":
        """Pick some.

        Args:
            places: Which, shape (any,).

        Returns:
            These pairs, in this order.
        """
        return Cells(self.rows[places], self.columns[places], self.values[places])


def weighted_cells(counter: CooccurrenceCounter, rows: Ids) -> Cells:
    """Add up counts of both sides, each divided by its distance.

    Args:
        counter: Counts of the offsets 1 … k.
        rows: Places of the words in the counter, in the order wanted.

    Returns:
        X without its zeros.
    """
    total = counter.matrix(1, rows)
    for offset in range(2, counter.radius + 1):
        total = total + counter.matrix(offset, rows) / offset
    both = (total + total.T).tocoo()
    first, second = (np.asarray(ids, np.int32) for ids in both.coords)
    return Cells(first, second, np.asarray(both.data, np.float32))


def log_count_loss(
    products: "Tensor", counts: "Tensor", *, full: float = 100.0, power: float = 0.75
) -> "Tensor":
    """Compare products with logarithms of counts.

    Args:
        products: <e_i, o_j> + b_i + c_j, shape (pairs,).
        counts: X_ij, above 0, shape (pairs,).
        full: Count from which a pair weighs 1.
        power: How the weight falls below it.

    Returns:
        The sum of weighted squares, a scalar.
    """
    weight = (counts / full).clamp(max=1) ** power
    return (weight * (products - counts.log()) ** 2).sum()
