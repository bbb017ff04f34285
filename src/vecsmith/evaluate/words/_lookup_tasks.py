"""Tasks that look vectors up: agreement with human similarity, and analogies of two kinds."""

from collections.abc import Sequence

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import WordVectors

from ._protocol import TaskScore, WordTask
from ._tasks import Question, word_analogies, word_similarity

CORRELATIONS = ("pearson", "spearman")
PARTS = ("all", "semantic", "syntactic")


class SimilarityTask(WordTask):
    """Correlation of cosines with human similarity.

    Args:
        data: A name that `load_word_similarity` knows ("wordsim353", "men", …), or pairs with
            scores.
        name: Name of the task; None takes that of the data.
        metric: "pearson" (as the study has it) or "spearman"; the other one is a detail.

    Raises:
        ConfigError: Unknown metric.
    """

    def __init__(
        self,
        data: str | Sequence[tuple[str, str, float]] = "wordsim353",
        *,
        name: str | None = None,
        metric: str = "pearson",
    ) -> None:
        if metric not in CORRELATIONS:
            raise ConfigError(f"metric must be one of {CORRELATIONS}; got {metric!r}")
        self.data, self.metric = data, metric
        self.name = name or (data if isinstance(data, str) else "similarity")

    def score(self, vectors: WordVectors) -> TaskScore:
        """Correlate.

        Args:
            vectors: Word vectors.

        Returns:
            The correlation over the pairs that have vectors.

        Raises:
            DataError: Fewer than three pairs have vectors.
        """
        found = word_similarity(vectors, self.data, fold_case=True)
        both = {"pearson": found.pearson, "spearman": found.spearman}
        covered = found.pairs / (found.pairs + found.missing)
        return TaskScore(self.name, self.metric, both[self.metric], found.pairs, covered, both)


class AnalogyTask(WordTask):
    """Analogies a : b = c : x, answered by argmax cos(b - a + c, x).

    Args:
        part: "semantic" (sections not named "gram…"), "syntactic" (the others), or "all".
        data: A name that `load_analogies` knows, or questions (section, a, b, c, d).
        name: Name of the task; None takes "sem", "syn" or "analogies".

    Raises:
        ConfigError: Unknown part.
    """

    metric = "accuracy"

    def __init__(
        self,
        part: str = "all",
        data: str | Sequence[Question] = "google",
        *,
        name: str | None = None,
    ) -> None:
        if part not in PARTS:
            raise ConfigError(f"part must be one of {PARTS}; got {part!r}")
        self.part, self.data = part, data
        self.name = name or {"semantic": "sem", "syntactic": "syn", "all": "analogies"}[part]
        self._rows: list[Question] | None = None

    def score(self, vectors: WordVectors) -> TaskScore:
        """Answer the questions.

        Args:
            vectors: Word vectors.

        Returns:
            Share of right answers among the questions whose four words have vectors.

        Raises:
            DataError: There is no such question.
        """
        rows = self.questions()
        found = word_analogies(vectors, rows, fold_case=True)
        covered = found.questions / len(rows)
        details = {name: share for name, (share, _) in found.sections.items()}
        return TaskScore(self.name, self.metric, found.accuracy, found.questions, covered, details)

    def questions(self) -> list[Question]:
        """Return the questions of this part.

        Raises:
            DataError: The data has none.
        """
        if self._rows is None:
            rows = _named(self.data) if isinstance(self.data, str) else list(self.data)
            wanted = {"semantic": (False,), "syntactic": (True,), "all": (False, True)}[self.part]
            self._rows = [row for row in rows if row[0].startswith("gram") in wanted]
        if not self._rows:
            raise DataError(
                f"the analogies hold no {self.part} question; syntactic sections are those whose "
                "names start with 'gram'"
            )
        return self._rows


def _named(name: str) -> list[Question]:
    from vecsmith.data.samples import load_analogies

    rows = load_analogies(name)[:]
    columns = [rows[column] for column in ("section", "a", "b", "c", "d")]
    return list(zip(*columns, strict=True))
