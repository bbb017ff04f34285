"""Cast labelled data as (query, positive, negatives), so that one loss trains on all of it.

Paper: NV-Embed (C. Lee and others, 2024). Retrieval data come as pairs already. Others are cast::

    classification, clustering   "label": text -> its label's text, other labels as negatives
                                 "example": text -> a text of its class, texts of others
    sts                          pairs scored at least 4 in both directions; negatives are texts
                                 scored below 2.5 with the query, then what BM25 ranks second or
                                 lower, unless it is scored 2.5 or more with it

Train such rows with ``ContrastiveLoss(in_batch=False)``: other rows of a batch are often of the
same class, and would be false negatives.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, numpy_generator

if TYPE_CHECKING:
    from datasets import Dataset

KINDS = ("classification", "clustering", "sts")
POSITIVES = ("label", "example")
SAME, OTHER = 4.0, 2.5


def bm25_scores(
    queries: Sequence[str], documents: Sequence[str], *, k1: float = 1.2, b: float = 0.75
) -> NDArray[np.float64]:
    """Score documents by BM25 on lower-case words.

    Args:
        queries: Texts.
        documents: Texts.
        k1: Saturation of counts.
        b: How much length counts.

    Returns:
        Shape (queries, documents). Cost: the postings of each query's words.
    """
    bags = [Counter(_words(text)) for text in documents]
    lengths = np.array([sum(bag.values()) for bag in bags], np.float64)
    postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, bag in enumerate(bags):
        for word, count in bag.items():
            postings[word].append((place, count))
    damped = k1 * (1 - b + b * lengths / max(lengths.mean(), 1e-9)) if len(bags) else lengths
    scores = np.zeros((len(queries), len(documents)))
    for row, query in enumerate(queries):
        for word in set(_words(query)) & postings.keys():
            found = postings[word]
            rare = math.log(1 + (len(bags) - len(found) + 0.5) / (len(found) + 0.5))
            for place, count in found:
                scores[row, place] += rare * count * (k1 + 1) / (count + damped[place])
    return scores


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def to_contrastive(
    dataset: "Dataset",
    *,
    kind: str,
    negatives: int = 7,
    positives: str = "example",
    label_texts: Mapping[object, str] | None = None,
    seed: int = 0,
) -> "Dataset":
    """Cast a data set.

    Args:
        dataset: Columns "text" and "label" (classification, clustering), or "sentence1",
            "sentence2" and "score" from 0 to 5 (sts).
        kind: "classification", "clustering" or "sts".
        negatives: Negatives a row.
        positives: "example" (a text of the same class) or "label" (the label's text).
        label_texts: Label -> its text; by default its name where the column is a `ClassLabel`, or
            else the label as text.
        seed: Seed of what is drawn.

    Returns:
        Columns "query", "positive", "negative_1" and so on.

    Raises:
        ConfigError: Unknown kind or positives, or no negatives asked for.
        DataError: Columns are missing, or there is too little to draw from.
    """
    from datasets import Dataset as Table

    if kind not in KINDS:
        raise ConfigError(f"kind cannot be {kind!r}; {did_you_mean(kind, KINDS)}")
    if positives not in POSITIVES or negatives < 1:
        raise ConfigError(
            f"positives must be one of {POSITIVES} and negatives at least 1; "
            f"got {positives!r} and {negatives}"
        )
    wanted = ("sentence1", "sentence2", "score") if kind == "sts" else ("text", "label")
    if absent := [name for name in wanted if name not in dataset.column_names]:
        raise DataError(
            f"{kind} data need the columns {wanted}; {absent} are missing among "
            f"{dataset.column_names}: rename them"
        )
    rng = numpy_generator(seed, "contrastive-rows")
    columns = [list(dataset[name]) for name in wanted]
    if kind == "sts":
        rows = _sts_rows(columns[0], columns[1], columns[2], negatives)
    elif positives == "label":
        names = {**_class_names(dataset), **(label_texts or {})}
        rows = _label_rows(columns[0], columns[1], negatives, names, rng)
    else:
        rows = _example_rows(columns[0], columns[1], negatives, rng)
    header = ["query", "positive", *(f"negative_{i + 1}" for i in range(negatives))]
    return Table.from_dict({name: [row[i] for row in rows] for i, name in enumerate(header)})


def _class_names(dataset: "Dataset") -> dict[object, str]:
    from datasets import ClassLabel

    feature = dataset.features["label"]
    return dict(enumerate(feature.names)) if isinstance(feature, ClassLabel) else {}


def _labels_of(texts: list[str], labels: list[object]) -> dict[str, set[object]]:
    """Collect the labels of each text: the same text can stand in several rows and classes."""
    found: dict[str, set[object]] = defaultdict(set)
    for text, label in zip(texts, labels, strict=True):
        found[text].add(label)
    if len(set(labels)) < 2:
        raise DataError(f"classes must be two at least, for negatives; got {[*set(labels)]}")
    return found


def _label_rows(
    texts: list[str],
    labels: list[object],
    count: int,
    label_texts: Mapping[object, str],
    rng: np.random.Generator,
) -> list[list[str]]:
    names = {label: label_texts.get(label, str(label)) for label in dict.fromkeys(labels)}
    own = _labels_of(texts, labels)
    rows = []
    for text, label in zip(texts, labels, strict=True):
        right = {names[one] for one in own[text]}
        pool = [name for name in dict.fromkeys(names.values()) if name not in right]
        if pool:
            # few classes: labels repeat, which only weighs them
            drawn = rng.permutation(len(pool))[np.arange(count) % len(pool)]
            rows.append([text, names[label], *(pool[i] for i in drawn)])
    if not rows:
        raise DataError("every text has every label, so that nothing is left as negative")
    return rows


def _example_rows(
    texts: list[str], labels: list[object], count: int, rng: np.random.Generator
) -> list[list[str]]:
    own = _labels_of(texts, labels)
    alike: dict[object, list[str]] = defaultdict(list)
    for text, kinds in own.items():
        for label in kinds:
            alike[label].append(text)
    place = {label: {text: i for i, text in enumerate(members)} for label, members in alike.items()}
    outside: dict[frozenset[object], list[str]] = {}
    rows = []
    for text, label in zip(texts, labels, strict=True):
        members, right = alike[label], frozenset(own[text])
        if right not in outside:
            outside[right] = [other for other, found in own.items() if not found & right]
        pool = outside[right]
        if len(members) < 2 or not pool:
            continue
        # draw among the others: the last one stands in for the text itself
        drawn = int(rng.integers(len(members) - 1))
        positive = members[-1 if drawn == place[label][text] else drawn]
        wrong = rng.choice(len(pool), count, replace=len(pool) < count)
        rows.append([text, positive, *(pool[i] for i in wrong)])
    if not rows:
        raise DataError(
            "nothing can be drawn: a text needs another text of its class, and one that shares no "
            "class with it; give more texts, or take positives='label'"
        )
    return rows


def _sts_rows(
    first: list[str], second: list[str], scores: list[float], count: int
) -> list[list[str]]:
    known: dict[str, dict[str, float]] = defaultdict(dict)
    for a, b, score in zip(first, second, scores, strict=True):
        known[a][b] = max(score, known[a].get(b, score))
        known[b][a] = max(score, known[b].get(a, score))
    texts = list(known)
    pairs = [
        (query, positive)
        for a, b, score in zip(first, second, scores, strict=True)
        if score >= SAME
        for query, positive in ((a, b), (b, a))
    ]
    if not pairs:
        raise DataError(f"no pair is scored {SAME} or more; scores must run from 0 to 5")
    ranked = bm25_scores([query for query, _ in pairs], texts)
    rows = []
    for row, (query, positive) in enumerate(pairs):
        scored = sorted((s, t) for t, s in known[query].items() if s < OTHER)
        wrong = [text for _, text in scored]
        order = np.argsort(-ranked[row], kind="stable")
        candidates = [texts[i] for i in order if texts[i] not in {query, positive}]
        # the best of BM25 is left out: too often it says the same
        wrong += [t for t in candidates[1:] if known[query].get(t, 0.0) < OTHER and t not in wrong]
        if len(wrong) < count:
            raise DataError(
                f"{len(wrong)} negatives can be found for {query!r}, fewer than {count}; "
                "give more pairs, or ask for fewer negatives"
            )
        rows.append([query, positive, *wrong[:count]])
    return rows
