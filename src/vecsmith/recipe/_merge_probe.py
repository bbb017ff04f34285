"""Examples of several tasks: read from a file, split in two, as evaluations and for training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.core import DataError, hash_text
from vecsmith.evaluate import Evaluation, own_queries, text_similarity

Rows = list[dict[str, Any]]
# fewer rows to judge a task by say nothing
_LEAST = 3


def evaluations(rows: Mapping[str, Rows]) -> list[Evaluation]:
    """Make an evaluation of each task's examples.

    Args:
        rows: Task -> rows of `read_probe`.

    Returns:
        Retrieval among the task's own answers, or correlation with the scores.
    """
    made = []
    for task, found in rows.items():
        if _is_scored(found):
            pairs = [(row["first"], row["second"]) for row in found]
            made.append(text_similarity(pairs, [row["score"] for row in found], name=task))
            continue
        right: dict[str, set[str]] = {}
        for row in found:
            right.setdefault(row["query"], set()).add(row["positive"])
        pool = list(dict.fromkeys(row["positive"] for row in found))
        place = {text: number for number, text in enumerate(pool)}
        answers = [sorted(place[text] for text in texts) for texts in right.values()]
        made.append(own_queries(list(right), pool, answers, name=task, metric="mrr@10"))
    return made


def read_probe(path: str | Path) -> dict[str, Rows]:
    """Read examples of several tasks.

    Args:
        path: JSON Lines file; a task's rows are all pairs or all scored.

    Returns:
        Task -> rows.

    Raises:
        DataError: The file is missing or empty, or a line is malformed; the text names the line.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the probe {str(path)!r} cannot be read ({error})") from error
    tasks: dict[str, Rows] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _row(line, f"line {number} of {str(path)!r}")
            tasks.setdefault(row["task"], []).append(row)
    if not tasks:
        raise DataError(f"the probe {str(path)!r} holds no examples")
    for task, rows in tasks.items():
        if len({_is_scored([row]) for row in rows}) > 1:
            raise DataError(
                f"task {task!r} of {str(path)!r} mixes pairs with scored ones; give them two names"
            )
    return tasks


def _row(line: str, place: str) -> dict[str, Any]:
    wanted = (
        'should be {"task": …, "query": …, "positive": …} or {"task": …, "first": …, '
        '"second": …, "score": number}'
    )
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place} {wanted}; it is no JSON ({error})") from error
    texts = (
        ("task", "first", "second")
        if isinstance(row, dict) and "score" in row
        else ("task", "query", "positive")
    )
    if not isinstance(row, dict) or not all(
        isinstance(row.get(key), str) and row[key].strip() for key in texts
    ):
        raise DataError(f"{place} {wanted}; got {line[:80]!r}")
    score = row.get("score", 0.0)
    if isinstance(score, bool) or not isinstance(score, int | float) or not np.isfinite(score):
        raise DataError(f"{place} {wanted}; got the score {score!r}")
    return row


def _is_scored(rows: Rows) -> bool:
    return "score" in rows[0]


def halves(rows: Mapping[str, Rows]) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Split each task's rows; rows with the same first text stay together.

    Args:
        rows: Task -> rows of `read_probe`.

    Returns:
        What may choose, and what judges.

    Raises:
        DataError: A half has too few rows.
    """
    choose: dict[str, Rows] = {}
    judge: dict[str, Rows] = {}
    for task, found in rows.items():
        texts = sorted({_first(row) for row in found}, key=hash_text)
        early = set(texts[: len(texts) // 2])
        choose[task] = [row for row in found if _first(row) in early]
        judge[task] = [row for row in found if _first(row) not in early]
    check_counts(choose)
    return choose, judge


def check_counts(rows: Mapping[str, Rows]) -> None:
    """Refuse tasks of too few examples to say anything.

    Args:
        rows: Task -> rows.

    Raises:
        DataError: There are too few.
    """
    for task, found in rows.items():
        if len({_first(row) for row in found}) < _LEAST:
            raise DataError(
                f"task {task!r} has too few examples in the probe: {_LEAST} with texts of their "
                f"own are the least, twice as many where half of them choose; got {len(found)}"
            )


def _first(row: Mapping[str, Any]) -> str:
    text: str = row["first"] if "score" in row else row["query"]
    return text


def first_texts(rows: Rows) -> list[str]:
    """Return the queries, or the first texts of scored pairs, each once.

    Args:
        rows: Of one task.
    """
    return list(dict.fromkeys(map(_first, rows)))


def training_rows(rows: Mapping[str, Rows]) -> dict[str, Rows]:
    """Return rows as losses of sentence-transformers read them.

    Args:
        rows: Task -> rows.
    """
    keys = {True: ("first", "second", "score"), False: ("query", "positive")}
    return {
        task: [{key: row[key] for key in keys[_is_scored(found)]} for row in found]
        for task, found in rows.items()
    }


def task_losses(rows: Mapping[str, Rows]) -> dict[str, Any]:
    """Return the loss of each task: contrastive for pairs, by rank for scored ones.

    Args:
        rows: Task -> rows.
    """
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    from vecsmith.reshape import EqualTargetLoss

    return {
        task: CoSENTLoss if _is_scored(found) else EqualTargetLoss for task, found in rows.items()
    }
