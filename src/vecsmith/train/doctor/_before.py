"""Before training: duplicates, likely false negatives, truncation, and whether the loss can learn.

Looks at all rows for what costs nothing, and at a sample, with the model's own vectors, for the
rest. Cost: one encoding of the sample's texts.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, numpy_generator

from ._findings import Finding, graded
from ._space import space_findings, space_health

if TYPE_CHECKING:
    from datasets import Dataset

# Two positives as near as this say the same.
SAME = 0.95


def examine_data(
    rows: "Dataset",
    model: Any,
    *,
    batch_size: int = 64,
    temperature: float = 0.05,
    sample: int = 1000,
    seed: int = 0,
) -> list[Finding]:
    """Look at a data set with the eyes of the model that will be trained on it.

    Args:
        rows: Columns of texts: anchor, positive, negatives; or a single column.
        model: A `SentenceTransformer`.
        batch_size: Rows of a step.
        temperature: What cosines will be divided by.
        sample: Rows that are encoded at most.
        seed: Seed of the sample.

    Returns:
        Findings.

    Raises:
        DataError: Fewer than two rows.
    """
    if len(rows) < 2:
        raise DataError(f"a data set needs 2 rows or more; got {len(rows)}")
    texts = {name: [str(text) for text in rows[name]] for name in rows.column_names}
    names = list(texts)
    found = [_size(len(rows), batch_size), *_duplicates(texts, names, batch_size)]
    picked = numpy_generator(seed, "doctor").permutation(len(rows))[:sample]
    some = {name: [column[row] for row in picked] for name, column in texts.items()}
    found.append(_truncation(model, some))
    options: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
    vectors = {name: np.asarray(model.encode(column, **options)) for name, column in some.items()}
    distinct = np.unique(vectors[names[0]], axis=0)
    if len(distinct) > 1:
        found += space_findings(space_health(distinct))
    if len(names) > 1:
        query, positive = vectors[names[0]], vectors[names[1]]
        found.append(_false_negatives(positive, some[names[1]], batch_size))
        found += _first_loss(query, positive, batch_size, temperature)
    return found


def _size(rows: int, batch_size: int) -> Finding:
    return graded(
        "size",
        batch_size / rows,
        (0.5, 1.0 + 1e-9),
        f"{rows} rows, {rows // batch_size} whole batches of {batch_size}",
        "too few rows for the batch: lower batch_size, or get more pairs (vecsmith build makes "
        "them from documents)",
    )


def _duplicates(texts: dict[str, list[str]], names: Sequence[str], batch: int) -> list[Finding]:
    whole = list(zip(*texts.values(), strict=True))
    repeated = 1.0 - len(set(whole)) / len(whole)
    found = [
        graded(
            "repeated rows",
            repeated,
            (0.02, 0.2),
            f"{repeated:.1%} of the rows are repetitions",
            "remove repetitions, or they weigh more than the rest",
        )
    ]
    if len(names) < 2:
        return found
    counts = Counter(texts[names[1]])
    rows = len(whole)
    # chance that one of the other rows of a batch has the row's own positive
    chance = float(
        np.mean([1.0 - (1.0 - (counts[t] - 1) / rows) ** (batch - 1) for t in texts[names[1]]])
    )
    found.append(
        graded(
            "duplicate positives",
            chance,
            (0.02, 0.1, 0.5),
            f"{chance:.1%} of the rows of a batch meet their own positive as a negative",
            'leave equal texts out: add "duplicates" to the objective, or use the no_duplicates '
            "batch sampler; where positives are labels of classes, train with the rows' own "
            'negatives only ("own-negatives")',
        )
    )
    return found


def _truncation(model: Any, texts: dict[str, list[str]]) -> Finding:
    limit = getattr(model, "max_seq_length", None)
    tokenizer = getattr(model, "tokenizer", None)
    if not limit or tokenizer is None:
        return Finding("truncation", "fine", 0.0, "the model has no limit of length")
    shares, lost = {}, 0.0
    for name, column in texts.items():
        lengths = _lengths(tokenizer, column)
        shares[name] = float((lengths > limit).mean())
        lost = max(lost, 1.0 - float(np.minimum(lengths, limit).sum() / max(lengths.sum(), 1)))
    worst, share = max(shares.items(), key=lambda item: item[1])
    return graded(
        "truncation",
        lost,
        (0.02, 0.2, 0.5),
        f"{share:.1%} of column {worst!r} are longer than {limit} tokens; up to {lost:.1%} of a "
        "column's tokens are cut off",
        "raise max_tokens, or split long texts into passages",
    )


def _lengths(tokenizer: Any, texts: list[str]) -> NDArray[np.int64]:
    inner = getattr(tokenizer, "encode_batch", None)
    if inner is not None:
        return np.array([len(row.ids) for row in inner(texts)])
    found = tokenizer(texts, truncation=False, add_special_tokens=True, verbose=False)
    return np.array([len(ids) for ids in found["input_ids"]])


def _false_negatives(positive: NDArray[np.float32], texts: list[str], batch: int) -> Finding:
    """Likely false negatives: other rows' positives that say the same as the row's own."""
    near = positive @ positive.T >= SAME
    different = np.asarray(texts)[:, None] != np.asarray(texts)[None, :]
    pairs = near & different
    share = pairs.sum(axis=1) / max(len(texts) - 1, 1)
    chance = float(np.mean(1.0 - (1.0 - share) ** (batch - 1)))
    return graded(
        "likely false negatives",
        chance,
        (0.05, 0.2, 0.6),
        f"{chance:.1%} of the rows of a batch meet a negative that nearly equals their positive "
        f"(cosine of {SAME} or more)",
        'filter them: objective "gist" with a guide that is good on this data, or a margin',
    )


def _first_loss(
    query: NDArray[np.float32], positive: NDArray[np.float32], batch: int, temperature: float
) -> list[Finding]:
    """The loss of the first batches, and what the temperature makes of the cosines."""
    size = min(batch, len(query))
    losses, spread = [], []
    for start in range(0, len(query) - size + 1, size):
        cosines = (query[start : start + size] @ positive[start : start + size].T).astype(float)
        logits = cosines / temperature
        own = np.diagonal(logits)
        top = logits.max(axis=1)
        losses.append(np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - own)
        spread.append(logits.std(axis=1))
    loss, chance = float(np.mean(losses)), math.log(size)
    found = [
        graded(
            "first loss",
            -loss,
            (-0.05, -0.005),
            f"the untrained model has a loss of {loss:.3f} (chance: {chance:.2f})",
            "the negatives are too easy to learn from: mine hard ones (MinedNegatives), enlarge "
            "the batch (mini_batch bounds the memory), or lower the temperature",
        )
    ]
    width = float(np.mean(spread))
    found.append(
        graded(
            "temperature",
            max(0.5 / max(width, 1e-9), width / 40.0),
            (1.0, 4.0),
            f"cosines divided by {temperature:g} spread by {width:.1f} within a row",
            "the temperature is too high, so that all candidates look alike: try 0.05"
            if width < 0.5
            else "the temperature is too low, so that only the nearest negative counts: try 0.05",
        )
    )
    return found
