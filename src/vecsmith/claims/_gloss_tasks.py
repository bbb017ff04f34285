"""Two tasks that conflict: one query, two right answers, one pool of candidates.

From WordNet's nouns. Task "lemma": definition -> the word defined. Task "hypernym": definition ->
the word for its kind. Both answers of every definition are in the pool, so what serves one task
harms the other; and one task has ten times the training pairs of the other.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vecsmith.core import numpy_generator

TASKS = ("lemma", "hypernym")
# definitions for: training of each task, probe, test
FULL = (2000, 200, 200, 500)
QUICK = (400, 60, 60, 80)


@dataclass(frozen=True)
class GlossTasks:
    """Texts, and which pool entry answers which definition.

    Attributes:
        glosses: Definitions.
        pool: Distinct answers of both tasks.
        answers: Task -> number of the right answer in the pool, shape (definitions,).
        train: Task -> numbers of its training definitions.
        probe: Numbers of the definitions that merges are fitted to.
        test: Numbers of the test definitions.
    """

    glosses: list[str]
    pool: list[str]
    answers: dict[str, NDArray[np.int64]]
    train: dict[str, NDArray[np.int64]]
    probe: NDArray[np.int64]
    test: NDArray[np.int64]


def gloss_tasks(seed: int, *, quick: bool = False) -> GlossTasks:
    """Draw the tasks: the definitions are the same for every seed, their parts are not.

    Args:
        seed: Seed of the split.
        quick: A fifth of the size.

    Returns:
        The tasks; no definition is in two parts.
    """
    sizes = QUICK if quick else FULL
    glosses, lemmas, kinds = _definitions(sum(FULL))
    glosses, lemmas, kinds = (rows[: sum(sizes)] for rows in (glosses, lemmas, kinds))
    pool = sorted({*lemmas, *kinds})
    number = {text: index for index, text in enumerate(pool)}
    order = numpy_generator(seed, "gloss-tasks").permutation(len(glosses))
    first, second, probe, test = np.split(order, np.cumsum(sizes)[:-1])
    return GlossTasks(
        glosses=glosses,
        pool=pool,
        answers={
            "lemma": np.array([number[text] for text in lemmas]),
            "hypernym": np.array([number[text] for text in kinds]),
        },
        train={"lemma": first, "hypernym": second},
        probe=probe,
        test=test,
    )


def overlaps(tasks: GlossTasks) -> dict[str, float]:
    """Count what the parts share, so that a leak into the test would show.

    Args:
        tasks: From `gloss_tasks`.

    Returns:
        Number of probe definitions; and for "probe" and for "train" (either task's), how many of
        the test's distinct definitions, words (answers of the lemma task) and kinds (answers of
        the hypernym task) stand there too. Kinds are shared by nature: many words are of one kind.
    """
    parts = {"probe": tasks.probe, "train": np.concatenate(list(tasks.train.values()))}

    def texts(numbers: NDArray[np.int64]) -> dict[str, set[str]]:
        return {
            "definitions": {tasks.glosses[i] for i in numbers},
            "words": {tasks.pool[i] for i in tasks.answers["lemma"][numbers]},
            "kinds": {tasks.pool[i] for i in tasks.answers["hypernym"][numbers]},
        }

    figures, test = {"probe definitions": float(len(tasks.probe))}, texts(tasks.test)
    for part, numbers in parts.items():
        for name, found in texts(numbers).items():
            figures[f"overlap of {part} and test, {name}"] = float(len(found & test[name]))
    return figures


@functools.lru_cache(maxsize=1)
def _definitions(count: int) -> tuple[list[str], list[str], list[str]]:
    from vecsmith.data.samples import load_wordnet

    # read whole: walking the columns of a `datasets.Dataset` takes seconds
    nouns = load_wordnet()[:]
    names = dict(zip(nouns["id"], (lemmas[0] for lemmas in nouns["lemmas"]), strict=True))
    rows, seen = [], set()
    columns = zip(nouns["gloss"], nouns["lemmas"], nouns["hypernyms"], strict=True)
    for gloss, lemmas, parents in columns:
        kind = names[parents[0]] if parents else lemmas[0]
        if kind != lemmas[0] and lemmas[0] not in seen:
            seen.add(lemmas[0])
            rows.append((gloss, lemmas[0], kind))
    picked = numpy_generator(0, "definitions").choice(len(rows), count, replace=False)
    glosses, words, kinds = zip(*(rows[index] for index in picked), strict=True)
    return list(glosses), list(words), list(kinds)


def reciprocal_ranks(queries: Tensor, pool: Tensor, answers: NDArray[np.int64]) -> Tensor:
    """Return 1 / rank of each right answer among the whole pool.

    Args:
        queries: Unit vectors, shape (queries, dims).
        pool: Unit vectors, shape (candidates, dims).
        answers: Number of the right candidate, shape (queries,).

    Returns:
        Shape (queries,); a tie counts as lost.
    """
    scores = queries @ pool.T
    right = scores.gather(1, torch.as_tensor(answers)[:, None])
    return 1.0 / (scores >= right).sum(1)
