"""Tables of word vectors side by side: every task, one vocabulary, scores and gain ratios."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vecsmith.core import ConfigError, progress
from vecsmith.encode.words import WordVectors

from ._protocol import (
    TaskScore,
    WordTask,
    performance_gain_ratio,
    random_vectors,
    share_vocabulary,
)


@dataclass(frozen=True)
class WordComparison:
    """What several tables scored.

    Attributes:
        scores: Task -> table -> score.
        random: Task -> table -> score of random vectors of the same shape.
        gains: Task -> table -> performance gain ratio; NaN where no table beats random.
        words: Words of the shared vocabulary.
    """

    scores: dict[str, dict[str, TaskScore]]
    random: dict[str, dict[str, float]]
    gains: dict[str, dict[str, float]]
    words: int

    def table(self) -> str:
        """Write the scores, with gain ratios in brackets, as a Markdown table."""
        names = list(next(iter(self.scores.values())))
        lines = [
            f"| task | items, covered | {' | '.join(names)} | random |",
            "|---" * (len(names) + 3) + "|",
        ]
        for task, row in self.scores.items():
            first = row[names[0]]
            cells = [f"{row[n].value:.3f} ({self.gains[task][n]:.2f})" for n in names]
            chance = max(self.random[task].values())
            lines.append(
                f"| {task} ({first.metric}) | {first.items}, {first.covered:.0%} | "
                f"{' | '.join(cells)} | {chance:.3f} |"
            )
        return "\n".join([*lines, "", f"{self.words} shared words; gain ratio in brackets."])


def compare_word_vectors(
    tables: Mapping[str, WordVectors],
    tasks: Mapping[str, WordTask] | Sequence[WordTask],
    *,
    seed: int = 0,
    draws: int = 1,
) -> WordComparison:
    """Judge tables on the same words.

    Args:
        tables: Name -> word vectors, of any dimensions.
        tasks: Tasks, for example `study_tasks()`.
        seed: Seed of the random vectors.
        draws: How many random tables are averaged, for each number of dimensions. One is enough for
            tasks of thousands of items; correlations over a few hundred pairs scatter by .05.

    Returns:
        Scores and gain ratios; random vectors are drawn for each number of dimensions.

    Raises:
        ConfigError: There are no tables or no tasks, or `draws` is below 1.
        DataError: The tables share no word, or a task has no item in the shared vocabulary.
    """
    named = dict(tasks) if isinstance(tasks, Mapping) else {task.name: task for task in tasks}
    if not tables or not named or draws < 1:
        raise ConfigError(
            f"there must be tables and tasks, and one draw at least; got {len(tables)} tables, "
            f"{len(named)} tasks and draws={draws}"
        )
    shared = dict(zip(tables, share_vocabulary(list(tables.values())), strict=True))
    chance_of = {
        table.dims: [random_vectors(table, seed + i) for i in range(draws)]
        for table in shared.values()
    }
    scores: dict[str, dict[str, TaskScore]] = {}
    random: dict[str, dict[str, float]] = {}
    gains: dict[str, dict[str, float]] = {}
    for name, task in progress(list(named.items()), "word tasks", unit="task"):
        scores[name] = {run: task.score(table) for run, table in shared.items()}
        chance = {
            dims: sum(task.run(table) for table in some) / draws for dims, some in chance_of.items()
        }
        random[name] = {run: chance[table.dims] for run, table in shared.items()}
        best = max(score.value for score in scores[name].values())
        gains[name] = {
            run: performance_gain_ratio({run: score.value}, random[name][run], best)[run]
            for run, score in scores[name].items()
        }
    return WordComparison(scores, random, gains, len(next(iter(shared.values()))))
