"""Pairs of texts that a third text cites together, and pairs of the same domain that none does.

Two papers that are cited by one paper are about related things; within a narrow domain this is the
only label that comes for free (the same holds for two definitions that one publication supports).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from vecsmith.core import ConfigError, DataError, numpy_generator

TRIES = 50


@dataclass(frozen=True)
class CitedPair:
    """Two texts of one domain.

    Attributes:
        first: Key of a text.
        second: Key of another text.
        domain: Their domain.
        together: Whether some text cites both.
    """

    first: str
    second: str
    domain: str
    together: bool


def cocitation_pairs(
    citations: Mapping[str, Sequence[str]],
    domains: Mapping[str, str],
    *,
    per_domain: int,
    negatives: int = 1,
    seed: int = 0,
) -> list[CitedPair]:
    """Draw pairs of texts that are cited together, and as many negatives as asked for.

    A negative is a random pair of the same domain that no text cites together. The order within a
    pair is drawn, so that place tells nothing.

    Args:
        citations: Text that cites -> keys of the texts it cites; those without a domain are
            ignored.
        domains: Key of a text -> its domain.
        per_domain: Most positive pairs of a domain.
        negatives: Negative pairs for each positive one.
        seed: Seed of all draws.

    Returns:
        Positive and negative pairs of each domain, in random order within it; domains in order of
        their names. No pair comes twice.

    Raises:
        ConfigError: `per_domain` below 1 or `negatives` below 0.
        DataError: No two texts of a domain are cited together, or too many are to leave negatives.
    """
    if per_domain < 1 or negatives < 0:
        raise ConfigError(
            f"per_domain must be at least 1 and negatives at least 0; got {per_domain}, {negatives}"
        )
    together = _together(citations, domains)
    members: dict[str, list[str]] = {}
    for key in sorted(domains):
        members.setdefault(domains[key], []).append(key)
    by_domain: dict[str, list[tuple[str, str]]] = {}
    for pair in sorted(together):
        by_domain.setdefault(domains[pair[0]], []).append(pair)
    if not by_domain:
        raise DataError(
            "no two texts of one domain are cited by a third; check that the keys in citations are "
            "those of domains"
        )
    found = []
    for domain in sorted(by_domain):
        rng = numpy_generator(seed, "cocitation", domain)
        pairs = by_domain[domain]
        count = min(per_domain, len(pairs))
        right = [pairs[i] for i in rng.choice(len(pairs), count, replace=False)]
        wrong = _negatives(members[domain], together, negatives * count, rng, domain)
        rows = [(pair, True) for pair in right] + [(pair, False) for pair in wrong]
        for place in rng.permutation(len(rows)):
            (first, second), label = rows[place]
            if rng.random() < 0.5:
                first, second = second, first
            found.append(CitedPair(first, second, domain, label))
    return found


def _together(
    citations: Mapping[str, Sequence[str]], domains: Mapping[str, str]
) -> set[tuple[str, str]]:
    """All pairs of one domain that some text cites together, each in the order of its keys."""
    found = set()
    for cited in citations.values():
        known = sorted({key for key in cited if key in domains})
        found |= {(a, b) for a, b in combinations(known, 2) if domains[a] == domains[b]}
    return found


def _negatives(
    keys: Sequence[str], together: set[tuple[str, str]], count: int, rng: object, domain: str
) -> list[tuple[str, str]]:
    import numpy as np

    assert isinstance(rng, np.random.Generator)
    found: dict[tuple[str, str], None] = {}
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        a, b = sorted(int(i) for i in rng.choice(len(keys), 2, replace=False))
        if (keys[a], keys[b]) not in together:
            found[keys[a], keys[b]] = None
    if len(found) < count:
        raise DataError(
            f"domain {domain!r} has {len(keys)} texts, of which too many are cited together to "
            f"draw {count} pairs that are not; lower negatives or per_domain, or give more texts"
        )
    return list(found)
