"""Concepts without any training phrase: can phrases be mapped to what no one has named yet?

Of the concepts that test phrases map to, a part is drawn; all their phrases leave the training
data, the nodes stay in the graph and among the answers. A control shuffles the node vectors among
the concepts: seen concepts can still be learned by heart, unseen ones must fall to chance.
"""

import copy
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from vecsmith.core import ConfigError, DataError, numpy_generator
from vecsmith.data.taxonomy import Taxonomy
from vecsmith.train.taxonomy import Text2Node

from ._measures import MappingReport, evaluate_mapping

Pair = tuple[str, Hashable]
Test = tuple[str, Collection[Hashable]]


@dataclass(frozen=True)
class ZeroShotSplit:
    """Training data without some concepts.

    Attributes:
        pairs: (phrase, concept) to train on.
        seen: Test phrases of which a right concept has training phrases.
        unseen: Test phrases of which none has.
        dropped: The concepts that lost their phrases.
    """

    pairs: list[Pair]
    seen: list[Test]
    unseen: list[Test]
    dropped: frozenset[Hashable]


@dataclass(frozen=True)
class ZeroShotReport:
    """Measures with and without the dropped phrases.

    Attributes:
        unseen: Of the unseen phrases, trained without their concepts.
        seen: Of the others, by the same map.
        full: Of the unseen phrases, by a map that was trained on all pairs.
    """

    unseen: MappingReport
    seen: MappingReport | None
    full: MappingReport


def zero_shot_split(
    pairs: Sequence[Pair], tests: Sequence[Test], *, drop: float = 0.3, seed: int = 0
) -> ZeroShotSplit:
    """Take all phrases of some concepts out of the training data.

    Args:
        pairs: (phrase, concept) to train on.
        tests: (phrase, right concepts).
        drop: Part of the right concepts that lose their phrases.
        seed: Seed of the draw.

    Returns:
        The split.

    Raises:
        ConfigError: `drop` is not between 0 and 1.
        DataError: No test phrase, or none is left on a side that needs one.
    """
    if not 0 < drop < 1:
        raise ConfigError(f"drop must be between 0 and 1; got {drop!r}")
    # in the order of the tests, so that a seed draws the same concepts everywhere
    gold = list(dict.fromkeys(node for _, right in tests for node in right))
    if not gold:
        raise DataError("tests must hold (phrase, right concepts), one at least; give some")
    order = numpy_generator(seed, "text2node", "zero shot").permutation(len(gold))
    dropped = frozenset(gold[row] for row in order[: max(round(drop * len(gold)), 1)])
    kept = [pair for pair in pairs if pair[1] not in dropped]
    named = {node for _, node in kept}
    unseen = [test for test in tests if not named.intersection(test[1])]
    seen = [test for test in tests if named.intersection(test[1])]
    if not kept or not unseen:
        raise DataError(
            f"with drop={drop} {len(kept)} training pairs and {len(unseen)} unseen test phrases "
            "are left, and both need one at least; give another drop, or more data"
        )
    return ZeroShotSplit(kept, seen, unseen, dropped)


def zero_shot_report(
    make: Callable[[], Text2Node],
    pairs: Sequence[Pair],
    tests: Sequence[Test],
    taxonomy: Taxonomy,
    *,
    drop: float = 0.3,
    seed: int = 0,
    lexical: float | None = 0.0,
) -> ZeroShotReport:
    """Run the protocol: train twice, map the same phrases.

    Args:
        make: Makes an estimator that is not fitted.
        pairs: (phrase, concept) to train on.
        tests: (phrase, right concepts).
        taxonomy: Graph that distances are counted in.
        drop: Part of the right concepts that lose their phrases.
        seed: Seed of the draw.
        lexical: Weight of TF-IDF; 0 measures the map alone, None takes the options'.

    Returns:
        The measures.

    Raises:
        ConfigError: `drop` is not between 0 and 1.
        DataError: As for `zero_shot_split`, or the data does not fit the estimator.
    """
    split = zero_shot_split(pairs, tests, drop=drop, seed=seed)
    part = make().fit(split.pairs)
    whole = make().fit(list(pairs))

    def measure(model: Text2Node, rows: list[Test]) -> MappingReport:
        found = model.predict([phrase for phrase, _ in rows], 10, lexical=lexical)
        return evaluate_mapping([m.ids for m in found], [right for _, right in rows], taxonomy)

    return ZeroShotReport(
        measure(part, split.unseen),
        measure(part, split.seen) if split.seen else None,
        measure(whole, split.unseen),
    )


def shuffle_nodes(nodes: Any, *, seed: int = 0) -> Any:
    """Give concepts each other's node vectors, as a control.

    Args:
        nodes: A fitted node embedder.
        seed: Seed of the shuffling.

    Returns:
        A copy whose vectors are permuted.
    """
    made = copy.copy(nodes)
    order = numpy_generator(seed, "text2node", "shuffled").permutation(len(nodes.embedding_))
    made.embedding_ = nodes.embedding_[order]
    return made
