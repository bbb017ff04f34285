"""Questions with four choices, like TOEFL's on synonyms: which word means the same?

The choice with the highest cosine is the answer. The 80 questions of TOEFL are not free; questions
like them are made from any thesaurus, and a user's own come from a file. The wrong choices are as
frequent as the right one and no relatives of the word: others would be told by their frequency
alone, for vectors hold it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vecsmith.core import ConfigError, DataError, numpy_generator
from vecsmith.encode.words import WordVectors

from ._protocol import TaskScore, WordTask
from ._tasks import lookup

# words of neighbouring frequency that wrong choices are drawn from, on either side
_NEAR = 40


class ChoiceQuestion(NamedTuple):
    """A question.

    Attributes:
        word: What is asked for.
        answer: The right choice.
        wrong: The other choices.
    """

    word: str
    answer: str
    wrong: tuple[str, ...]


class ChoiceTask(WordTask):
    """Share of questions whose right choice has the highest cosine.

    Args:
        questions: The questions; see `make_choice_questions` and `read_choice_questions`.
        name: Name of the task.

    Raises:
        DataError: There are no questions, or one has no wrong choice.
    """

    metric = "accuracy"

    def __init__(self, questions: Sequence[ChoiceQuestion], *, name: str = "tfl") -> None:
        self.questions = [ChoiceQuestion(q[0], q[1], tuple(q[2])) for q in questions]
        if not self.questions or not all(q.wrong for q in self.questions):
            raise DataError(
                "there must be questions, each with a wrong choice at least; got "
                f"{len(self.questions)} questions"
            )
        self.name = name

    def score(self, vectors: WordVectors) -> TaskScore:
        """Answer the questions.

        Args:
            vectors: Word vectors.

        Returns:
            Accuracy over the questions whose words all have vectors; where n choices have the
            highest cosine together, the right one among them counts 1/n.

        Raises:
            DataError: No question has vectors for all its words.
        """
        points = []
        for question in self.questions:
            words = [question.word, question.answer, *question.wrong]
            rows = lookup(vectors, words, fold_case=True)
            if (rows < 0).any():
                continue
            table = vectors.vectors[rows].astype(np.float64)
            lengths = np.linalg.norm(table, axis=1)
            cosines = table[1:] @ table[0] / np.where(lengths[1:] == 0, 1, lengths[1:])
            best = cosines >= cosines.max() - 1e-12
            points.append(best[0] / best.sum())
        if not points:
            raise DataError(
                f"none of the {len(self.questions)} questions has vectors for all its words in "
                f"{vectors.name!r}; make questions from its words"
            )
        covered = len(points) / len(self.questions)
        return TaskScore(self.name, self.metric, float(np.mean(points)), len(points), covered)


def make_choice_questions(
    synonyms: Mapping[str, Iterable[str]],
    counts: Mapping[str, int],
    number: int = 500,
    *,
    related: Mapping[str, Iterable[str]] | None = None,
    choices: int = 4,
    seed: int = 0,
) -> list[ChoiceQuestion]:
    """Make questions from synonyms.

    Args:
        synonyms: Word -> words that mean the same.
        counts: Word -> how often it comes in a text; only these words are used.
        number: How many questions; fewer where the words give fewer.
        related: Word -> further words that must not be wrong choices (more general, opposite, …).
        choices: Choices of a question.
        seed: Seed of the draw.

    Returns:
        Questions, each word asked for once. The wrong choices are among the 80 words that are
        nearest to the right one by frequency.

    Raises:
        ConfigError: `number` or `choices` is too small.
        DataError: The words give no question.
    """
    if number < 1 or choices < 2:
        raise ConfigError(
            f"number must be at least 1 and choices at least 2; got {number} and {choices}"
        )
    relatives = _relatives(synonyms, related or {})
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    place = {word: rank for rank, word in enumerate(ranked)}
    rng = numpy_generator(seed, "choice questions")
    asked = sorted(word for word in synonyms if word in place)
    found: list[ChoiceQuestion] = []
    for i in rng.permutation(len(asked)):
        word = asked[i]
        right = sorted({s for s in synonyms[word] if s in place and not _alike(s, word)})
        if not right:
            continue
        answer = right[int(rng.integers(len(right)))]
        near = ranked[max(0, place[answer] - _NEAR) : place[answer] + _NEAR + 1]
        barred = relatives.get(word, set()) | relatives.get(answer, set()) | {word, answer}
        pool = [other for other in near if other not in barred and other in relatives]
        if len(pool) >= choices - 1:
            picked = rng.choice(len(pool), choices - 1, replace=False)
            found.append(ChoiceQuestion(word, answer, tuple(pool[j] for j in picked)))
        if len(found) == number:
            break
    if not found:
        raise DataError(
            f"{len(asked)} of the {len(synonyms)} words with synonyms are counted, and none gives "
            "a question; give counts of more text"
        )
    return found


def _alike(one: str, other: str) -> bool:
    """Whether two words are forms of one, which the spelling alone would tell."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short[: max(4, len(short) - 2)])


def _relatives(*tables: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Words that stand beside each word in some table, in both directions."""
    found: dict[str, set[str]] = {}
    for table in tables:
        for word, others in table.items():
            for other in others:
                found.setdefault(word, set()).add(other)
                found.setdefault(other, set()).add(word)
    return found


def read_choice_questions(path: str | Path) -> list[ChoiceQuestion]:
    """Read a user's own questions.

    Args:
        path: A text file; a line holds the word, the right choice and the wrong ones, tabs between.
            Empty lines, and lines that start with "#", are left out.

    Returns:
        The questions.

    Raises:
        DataError: The file is missing or empty, or a line has fewer than three words.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"questions {str(path)!r} cannot be read ({error}); give a text file in UTF-8"
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        word, *rest = (field.strip() for field in line.split("\t"))
        if len(rest) < 2 or not word or not all(rest):
            raise DataError(
                f"line {number} of {str(path)!r} must hold a word, its right choice and a wrong "
                f"one at least, tabs between; got {line[:60]!r}"
            )
        found.append(ChoiceQuestion(word, rest[0], tuple(rest[1:])))
    if not found:
        raise DataError(f"{str(path)!r} holds no question; write one a line")
    return found
