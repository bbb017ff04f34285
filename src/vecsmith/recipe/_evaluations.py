"""Evaluations by name, for before and after a training run.

``lee``, ``wordsim353``, ``simlex999``: human similarity. ``hpo-terms``: synonyms find the names of
their terms. ``queries:FILE``: one's own queries (JSONL rows with "query", "document" or
"documents" of texts). ``mteb:TASK``: a retrieval or similarity task of MTEB, where its data is
reachable.
"""

import json
from collections.abc import Callable
from pathlib import Path

from vecsmith.core import ConfigError, DataError, did_you_mean
from vecsmith.evaluate import Evaluation, mteb_evaluation, own_queries, text_similarity


def _lee() -> Evaluation:
    from vecsmith.data.samples import load_lee

    rows = load_lee()
    pairs = list(zip(rows["text_a"], rows["text_b"], strict=True))
    return text_similarity(pairs, list(rows["score"]), name="lee")


def _words(name: str) -> Evaluation:
    from vecsmith.data.samples import load_word_similarity

    rows = load_word_similarity(name)
    pairs = list(zip(rows["text_a"], rows["text_b"], strict=True))
    return text_similarity(pairs, list(rows["score"]), name=name)


def _hpo_terms() -> Evaluation:
    from vecsmith.data.samples import load_hpo

    whole = load_hpo()
    rows = whole.select(range(0, len(whole), 5))
    names = list(rows["name"])
    known = [(exact[0], place) for place, exact in enumerate(rows["exact"]) if exact]
    queries = [query for query, _ in known]
    relevant = [place for _, place in known]
    return own_queries(queries, names, relevant, name="hpo-terms", metric="mrr@10")


NAMED: dict[str, Callable[[], Evaluation]] = {
    "hpo-terms": _hpo_terms,
    "lee": _lee,
    "simlex999": lambda: _words("simlex999"),
    "wordsim353": lambda: _words("wordsim353"),
}


def read_own_queries(path: str | Path) -> Evaluation:
    """Read queries with their documents from a file.

    Args:
        path: JSONL; each row {"query": text, "document": text} or {"query": ..., "documents":
            [texts]}. All documents of the file are searched.

    Returns:
        The evaluation.

    Raises:
        DataError: It cannot be read, or a row lacks something.
    """
    queries: list[str] = []
    places: dict[str, int] = {}
    relevant: list[list[int]] = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"queries {str(path)!r} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found = row.get("documents", row.get("document"))
            texts = [found] if isinstance(found, str) else list(found)
            query = row["query"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f'line {number} of {path} must be {{"query": text, "documents": [texts]}}; '
                f"got {line[:80]!r}"
            ) from error
        if not texts or not all(isinstance(text, str) and text for text in (query, *texts)):
            raise DataError(f"line {number} of {path} has an empty query, or no documents")
        queries.append(query)
        relevant.append([places.setdefault(text, len(places)) for text in texts])
    return own_queries(queries, list(places), relevant, name=f"queries:{Path(path).name}")


def evaluation(name: str) -> Evaluation:
    """Find an evaluation by name.

    Args:
        name: See the module.

    Returns:
        The evaluation.

    Raises:
        ConfigError: There is none of that name.
    """
    kind, colon, rest = name.partition(":")
    if colon and kind == "queries":
        return read_own_queries(rest)
    if colon and kind == "mteb":
        return mteb_evaluation(rest)
    if name not in NAMED:
        known = (*NAMED, "queries:FILE", "mteb:TASK")
        raise ConfigError(f"no evaluation is called {name!r}; {did_you_mean(name, known)}")
    return NAMED[name]()
