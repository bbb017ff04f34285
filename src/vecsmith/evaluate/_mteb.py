"""MTEB's retrieval and similarity tasks as evaluations with intervals and paired tests.

The mteb package brings names and data (its own, from the hub); the scores are computed here, query
by query, so that chance can be told from progress. Only the default subset and the test split are
taken. Source: MTEB (N. Muennighoff and others, 2023).
"""

from typing import Any

from vecsmith.core import ConfigError, DataError, require

from ._quick import Evaluation, own_queries, text_similarity


def mteb_evaluation(name: str) -> Evaluation:
    """Load a task of MTEB.

    Args:
        name: Name of the task, such as "SciFact" or "STSBenchmark".

    Returns:
        The evaluation: nDCG@10 of each query, or Spearman's correlation.

    Raises:
        ConfigError: No such task, or one of another kind.
        DataError: Its data cannot be reached.
        MissingExtra: mteb is not installed.
    """
    mteb = require("mteb", "mteb")
    try:
        task = mteb.get_task(name)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"MTEB has no task {name!r}: {' '.join(str(error).split())}") from error
    return task_evaluation(task)


def task_evaluation(task: Any) -> Evaluation:
    """Turn a task of MTEB into an evaluation.

    Args:
        task: An `mteb` task of retrieval or similarity (STS) on texts.

    Returns:
        The evaluation.

    Raises:
        ConfigError: A task of another kind.
        DataError: Its data cannot be reached.
    """
    name = f"mteb:{task.metadata.name}"
    kind = task.metadata.type
    if kind not in ("Retrieval", "STS"):
        raise ConfigError(
            f"{name} is a task of kind {kind}; retrieval and STS are scored here, run the others "
            "with mteb itself"
        )
    try:
        task.load_data()
    except (OSError, ValueError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise DataError(f"the data of {name} cannot be reached: {detail}") from error
    parts = _default_part(task)
    if kind == "STS":
        left, right = task.column_names
        pairs = list(zip(parts[left], parts[right], strict=True))
        return text_similarity(pairs, [float(s) for s in parts["score"]], name=name)
    return _retrieval(name, parts)


def _default_part(task: Any) -> Any:
    data = task.dataset
    for key in ("default", *data):
        if key in data and hasattr(data[key], "keys") and "test" in data[key]:
            return data[key]["test"]
    if "test" in data:
        return data["test"]
    raise DataError(f"mteb:{task.metadata.name} has no test split; run it with mteb itself")


def _retrieval(name: str, parts: Any) -> Evaluation:
    documents: list[str] = []
    place: dict[Any, int] = {}
    for row in parts["corpus"]:
        place[row["id"]] = len(documents)
        title = row.get("title") or ""
        documents.append(f"{title} {row['text']}".strip())
    queries, relevant = [], []
    for row in parts["queries"]:
        grades = parts["relevant_docs"].get(row["id"], {})
        found = [place[key] for key, grade in grades.items() if grade > 0 and key in place]
        if found:
            queries.append(row["text"])
            relevant.append(found)
    return own_queries(queries, documents, relevant, name=name)
