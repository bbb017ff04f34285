"""One task and one student for the claims about elastic encoders.

From the Human Phenotype Ontology: an exact synonym asks for the preferred name of its term, among
the names of all held-out terms. The student is the first four blocks of MiniLM-L6, mean pooled:
states of half depth, so that no size is a finished sentence encoder beforehand.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vecsmith.claims._gloss_tasks import reciprocal_ranks
from vecsmith.claims._small_backbone import cached_backbone
from vecsmith.core import numpy_generator

MENU = ((1, 24), (2, 48), (3, 96), (4, 384))
SMALL = MENU[:-1]
BATCH, STEPS, HELD_OUT, LENGTH = 20, 32, 400, 12
TEMPERATURE, RATE = 0.05, 1e-4
Features = list[dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """Texts of a seed.

    Attributes:
        batches: Training batches: features of synonyms and of names, the same for every arm.
        queries: One synonym of each held-out term.
        names: Preferred names of the held-out terms, in the same order.
        definitions: Of the terms that are not held out, for masked pre-training.
    """

    batches: list[Features]
    queries: list[str]
    names: list[str]
    definitions: list[str]


@functools.lru_cache(maxsize=1)
def _terms() -> list[tuple[str, list[str], str]]:
    from vecsmith.data.samples import load_hpo

    rows = load_hpo()[:]
    found = []
    for name, exact, text in zip(rows["name"], rows["exact"], rows["definition"], strict=True):
        others = [text for text in dict.fromkeys(exact) if text.lower() != name.lower()]
        if others:
            found.append((name, others, text or ""))
    return found


@functools.lru_cache(maxsize=1)
def _start() -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from vecsmith.encode import quiet_hosts

    texts = [text for name, others, told in _terms() for text in (name, *others, told)]
    # every piece that is used is kept: texts are cut into pieces as MiniLM cuts them
    folder = cached_backbone(texts, blocks=MENU[-1][0], pieces=40_000)
    with quiet_hosts():
        module = Transformer(str(folder), max_seq_length=LENGTH)
    # no scaling: losses scale by themselves, and the KL of embeddings wants entries as they are
    pooling = Pooling(module.get_embedding_dimension(), "mean")
    return SentenceTransformer(modules=[module, pooling], device="cpu")


def new_student(layers: int = 4) -> Any:
    """Build the untrained student.

    Args:
        layers: How many of the four blocks.

    Returns:
        A `SentenceTransformer` of 384 dimensions, mean pooled, without scaling.
    """
    from vecsmith.encode import cut

    student = cut(_start(), layers)
    del student[2]
    return student


def make_task(seed: int, *, quick: bool) -> Task:
    """Split the terms and draw the batches.

    Args:
        seed: Seed of both.
        quick: Few steps and few queries.

    Returns:
        The task; no term is on both sides.
    """
    terms, rng = _terms(), numpy_generator(seed, "elastic-task")
    held_out, steps = (100, 6) if quick else (HELD_OUT, STEPS)
    order = rng.permutation(len(terms))
    test, train = order[:held_out], order[held_out:]
    student = _start()
    batches = []
    for _ in range(steps):
        rows = [terms[i] for i in rng.choice(train, BATCH, replace=False)]
        synonyms = [others[rng.integers(len(others))] for _, others, _ in rows]
        batches.append([student.preprocess(t) for t in (synonyms, [row[0] for row in rows])])
    picked = [terms[i] for i in test]
    queries = [others[rng.integers(len(others))] for _, others, _ in picked]
    definitions = [terms[i][2] for i in train if terms[i][2]]
    return Task(batches, queries, [row[0] for row in picked], definitions)


def contrastive(student: Any) -> Any:
    """Make the loss that all arms share.

    Args:
        student: The model.

    Returns:
        The plain in-batch loss.
    """
    from vecsmith.train import ContrastiveLoss

    return ContrastiveLoss(student, temperature=TEMPERATURE)


def train(
    task: Task,
    seed: int,
    wrap: Callable[[Any], Any],
    *,
    layers: int = 4,
    student: Any = None,
) -> Any:
    """Train a student.

    Args:
        task: Batches.
        seed: Seed of dropout.
        wrap: Student -> loss.
        layers: How many of the four blocks the student has.
        student: What to train; by default a new one.

    Returns:
        The trained student, in evaluation mode.
    """
    student = student or new_student(layers)
    loss = wrap(student)
    optimizer = torch.optim.AdamW(student.parameters(), lr=RATE, fused=True)
    torch.manual_seed(seed)
    student.train()
    for features in task.batches:
        optimizer.zero_grad()
        loss([dict(column) for column in features]).backward()
        optimizer.step()
    return student.eval()


@torch.no_grad()
def ranks_at(
    student: Any, task: Task, sizes: Sequence[tuple[int, int]] = MENU
) -> dict[tuple[int, int], NDArray[np.float64]]:
    """Judge a student at several sizes.

    Args:
        student: A `SentenceTransformer`.
        task: Queries and names.
        sizes: Pairs (layers, dims).

    Returns:
        Size -> reciprocal rank of each query.
    """
    from vecsmith.encode import layer_embeddings

    layers = sorted({layer for layer, _ in sizes})

    def views(texts: list[str]) -> Tensor:
        parts = [
            layer_embeddings(student, student.preprocess(texts[i : i + 100]), layers)
            for i in range(0, len(texts), 100)
        ]
        return torch.cat(parts)

    queries, names = views(task.queries), views(task.names)
    found = {}
    for layer, dim in sizes:
        place = layers.index(layer)
        left, right = (
            torch.nn.functional.normalize(v[:, place, :dim], dim=-1) for v in (queries, names)
        )
        ranks = reciprocal_ranks(left, right, np.arange(len(task.names)))
        found[layer, dim] = ranks.double().numpy()
    return found


def small_items(ranks: dict[tuple[int, int], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return each query's reciprocal rank, averaged over the small sizes.

    Args:
        ranks: From `ranks_at`.

    Returns:
        Shape (queries,).
    """
    return np.asarray(np.mean([ranks[size] for size in SMALL], axis=0))


def figures(arm: str, ranks: dict[tuple[int, int], NDArray[np.float64]]) -> dict[str, float]:
    """Name the MRR of an arm at each size, and its mean over the small ones.

    Args:
        arm: Name of the arm.
        ranks: From `ranks_at`.

    Returns:
        Name -> figure.
    """
    named = {f"mrr {arm} {layers},{dim}": float(r.mean()) for (layers, dim), r in ranks.items()}
    return {**named, f"mrr {arm} small": float(small_items(ranks).mean())}
