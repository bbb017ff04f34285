"""Does a strong guide repair the harm of false in-batch negatives, and does a weak one do harm?

Data: terms of the Human Phenotype Ontology with at least four surface forms (name and exact
synonyms). A pair is two forms of one term. In a batch of 64 a share r of the rows has a partner row
with two other forms of the same term: a planted false negative. As a second kind of noise a share
z of the rows has a wrong positive. Student: static word vectors from MiniLM's word embeddings.
Strong guide: the same class trained on clean batches of the training terms. All arms of a seed see
the same batches. Judged on 400 held-out terms: each form is a query, the other forms of its term
are relevant among all forms of the 400.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.claims._contract import Claim, Measurement
from vecsmith.claims._encodings import encode_cached
from vecsmith.claims._static_student import StartWeights, cut_word_vectors, static_student
from vecsmith.core import numpy_generator
from vecsmith.data.samples import load_hpo

BATCH = 64
HELD_OUT = 400
TEMPERATURE = 0.05
RATE = 2e-3
MARGIN = 0.1


@dataclass(frozen=True)
class Batch:
    """Rows of one step.

    Attributes:
        queries: Texts.
        positives: Texts.
        terms: Term of each row's query.
        positive_terms: Term of each row's positive; differs where the positive is wrong.
    """

    queries: list[str]
    positives: list[str]
    terms: NDArray[np.int64]
    positive_terms: NDArray[np.int64]


@dataclass
class World:
    """What all arms of a seed share."""

    forms: list[list[str]]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    folder: Path
    steps: int
    guides: dict[str, Any] = field(default_factory=dict)


@lru_cache(maxsize=1)
def surface_forms() -> list[list[str]]:
    """List the distinct forms of each term that has at least four."""
    rows = load_hpo()
    forms = []
    for name, exact in zip(rows["name"], rows["exact"], strict=True):
        distinct = list({text.lower(): text for text in [name, *exact]}.values())
        if len(distinct) >= 4:
            forms.append(distinct)
    return forms


@lru_cache(maxsize=1)
def start_weights() -> StartWeights:
    """Cut MiniLM's tokenizer and word embeddings to the pieces that the forms use."""
    return cut_word_vectors([text for term in surface_forms() for text in term])


def new_student() -> Any:
    """Build the untrained student, a `SentenceTransformer` of static word vectors."""
    return static_student(start_weights())


def draw_batches(
    world: World, rng: np.random.Generator, steps: int, *, duplicated: float, wrong: float
) -> Iterator[Batch]:
    """Draw batches with planted noise.

    Args:
        world: Forms and split.
        rng: Source of randomness.
        steps: How many batches.
        duplicated: Share r of rows with a partner row of the same term.
        wrong: Share z of rows whose positive is of another term.

    Yields:
        Batches.
    """
    paired = round(duplicated * BATCH / 2)
    for _ in range(steps):
        terms = rng.choice(world.train, BATCH - paired, replace=False)
        queries, positives, of_row = [], [], []
        for place, term in enumerate(terms):
            order = rng.permutation(len(world.forms[term]))
            for first in (0, 2)[: 2 if place < paired else 1]:
                queries.append(world.forms[term][order[first]])
                positives.append(world.forms[term][order[first + 1]])
                of_row.append(term)
        of_positive = np.array(of_row)
        for row in np.flatnonzero(rng.uniform(size=BATCH) < wrong):
            other = rng.choice(world.train)
            positives[row] = world.forms[other][rng.integers(len(world.forms[other]))]
            of_positive[row] = other
        mixed = rng.permutation(BATCH)
        yield Batch(
            [queries[i] for i in mixed],
            [positives[i] for i in mixed],
            np.array(of_row)[mixed],
            of_positive[mixed],
        )


def tokenised(batches: list[Batch]) -> list[tuple[list[dict[str, Any]], Any]]:
    """Tokenise batches and hash their texts, once for all arms.

    Args:
        batches: What every arm sees.

    Returns:
        For each batch the features of both columns, and the labels that `GuideCache` gives them.
    """
    import torch

    from vecsmith.train import text_keys

    student = new_student()
    return [
        (
            [student.preprocess(texts) for texts in (batch.queries, batch.positives)],
            torch.from_numpy(
                np.stack([text_keys(texts) for texts in (batch.queries, batch.positives)], axis=1)
            ),
        )
        for batch in batches
    ]


def train_student(
    batches: list[tuple[list[dict[str, Any]], Any]], guide: Any = None, **options: Any
) -> Any:
    """Train a fresh student on batches, in their order.

    Args:
        batches: From `tokenised`.
        guide: A `GuideCache`, or None.
        **options: Further settings of `GuidedContrastiveLoss`.

    Returns:
        The trained student.
    """
    import torch

    from vecsmith.train import GuidedContrastiveLoss

    student = new_student()
    loss = GuidedContrastiveLoss(student, guide, temperature=TEMPERATURE, **options)
    optimizer = torch.optim.Adam(student.parameters(), lr=RATE, fused=True)
    student.train()
    for features, labels in batches:
        optimizer.zero_grad()
        # a model writes its output into the features, which other arms read again
        loss([dict(column) for column in features], labels).backward()
        optimizer.step()
    return student.eval()


def average_precisions(student: Any, world: World) -> NDArray[np.float64]:
    """Judge a student on the held-out terms.

    Args:
        student: A `SentenceTransformer`.
        world: Forms and split.

    Returns:
        Average precision of each form as a query.
    """
    texts = [text for term in world.test for text in world.forms[term]]
    return precisions_of(student.encode(texts, normalize_embeddings=True), world)


def precisions_of(vectors: NDArray[np.float32], world: World) -> NDArray[np.float64]:
    """Compute average precisions from vectors of all held-out forms, term by term.

    Args:
        vectors: Unit vectors, shape (forms, dims).
        world: Forms and split.

    Returns:
        Shape (forms,).
    """
    of_form = np.repeat(world.test, [len(world.forms[term]) for term in world.test])
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1)[:, :-1]
    hits = of_form[order] == of_form[:, None]
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.asarray((precision * hits).sum(axis=1) / hits.sum(axis=1))


def term_parts(precisions: NDArray[np.float64], world: World) -> NDArray[np.float64]:
    """Turn average precisions of forms into one number a term, of the same mean.

    The forms of a term are relevant to each other, so that their precisions go up and down
    together: the term, not the form, is what chance draws. MAP over forms is a ratio of two sums
    over terms, and these are its first-order parts: MAP + (sum of the term - MAP x its forms) /
    mean number of forms.

    Args:
        precisions: Shape (forms,), term by term.
        world: Forms and split.

    Returns:
        Shape (terms,).
    """
    sizes = np.array([len(world.forms[term]) for term in world.test])
    sums = np.add.reduceat(precisions, np.cumsum(sizes) - sizes)
    mean = precisions.mean()
    return np.asarray(mean + (sums - mean * sizes) / sizes.mean())


def struck_out(
    batches: list[Batch], keys: list[Any], guide: Any, margins: Sequence[float]
) -> list[tuple[float, float]]:
    """Compare what a guide strikes out with what was planted.

    Args:
        batches: Batches without wrong positives.
        keys: Text keys of each batch, from `tokenised`.
        guide: A `GuideCache` that holds all their texts, without prompts.
        margins: Margins of the filter.

    Returns:
        For each margin the share of planted false negatives struck out (nan without any), and the
        share of true negatives struck out, over the blocks qp, qq and pp.
    """
    import torch

    from vecsmith.train import NegativeFilter
    from vecsmith.train.contrastive import (
        false_negative_masks,
        similarity_blocks,
        structural_masks,
    )
    from vecsmith.train.contrastive._core import Columns, Rows

    # margin -> planted and true negatives struck out
    struck = np.zeros((len(margins), 2))
    there = np.zeros(2)
    for batch, labels in zip(batches, keys, strict=True):
        query, positive = guide.lookup(labels)
        blocks = similarity_blocks(Rows(query, positive), Columns(query, positive))
        never = structural_masks(blocks)
        same = torch.from_numpy(batch.terms[:, None] == batch.terms[None, :])
        possible = {
            name: ~mask & ~torch.eye(BATCH, dtype=torch.bool) for name, mask in never.items()
        }
        there += [sum(int((p & k).sum()) for p in possible.values()) for k in (same, ~same)]
        for row, margin in enumerate(margins):
            marked = false_negative_masks(blocks, NegativeFilter(margin))
            struck[row] += [
                sum(int((mask & possible[name] & kind).sum()) for name, mask in marked.items())
                for kind in (same, ~same)
            ]
    return [
        (float(planted / there[0]) if there[0] else float("nan"), float(true / there[1]))
        for planted, true in struck
    ]


def make_world(seed: int, folder: Path, *, quick: bool) -> World:
    """Split the terms and make the guides.

    Args:
        seed: Seed of split and guide.
        folder: Where guide vectors lie.
        quick: Fewer steps.

    Returns:
        The world of a seed.
    """
    from vecsmith.train import GuideCache

    forms = surface_forms()
    order = numpy_generator(seed, "claim", "terms").permutation(len(forms))
    world = World(forms, order[HELD_OUT:], order[:HELD_OUT], folder, 15 if quick else 120)
    rng = numpy_generator(seed, "claim", "guide")
    clean = list(draw_batches(world, rng, 60 if quick else 500, duplicated=0.0, wrong=0.0))
    texts = sorted({text for term in world.train for text in forms[term]})
    strong = train_student(tokenised(clean))
    world.guides["strong_model"] = strong
    vectors = {
        "strong": strong.encode(texts, normalize_embeddings=True),
        "self": new_student().encode(texts, normalize_embeddings=True),
        "oracle": _indicators(texts, world),
    }
    if not quick:
        vectors["weak"] = weak_vectors(texts)
    for name, rows in vectors.items():
        world.guides[name] = GuideCache.from_vectors(texts, rows, folder / name, name=name)
    return world


def weak_vectors(texts: list[str]) -> NDArray[np.float32]:
    """Return the weak guide's vectors of forms; all forms are encoded in one go, for every seed.

    Args:
        texts: Some of the surface forms.

    Returns:
        Unit vectors, shape (texts, dims).
    """
    every = list(dict.fromkeys(text for term in surface_forms() for text in term))
    place = {text: row for row, text in enumerate(every)}
    return encode_cached(every)[[place[text] for text in texts]]


def _indicators(texts: list[str], world: World) -> NDArray[np.float32]:
    # one axis a term: two forms are parallel if they share a term, otherwise orthogonal
    row = {text: place for place, text in enumerate(texts)}
    vectors = np.zeros((len(texts), len(world.train)), np.float32)
    for axis, term in enumerate(world.train):
        for text in world.forms[term]:
            vectors[row[text], axis] = 1.0
    return vectors


# name -> (guide, settings of the loss)
ARMS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "mnrl": (None, {"blocks": ("qp",)}),
    "gte": (None, {}),
    "gist": ("strong", {}),
    "gist_margin": ("strong", {"margin": MARGIN}),
    "oracle": ("oracle", {"margin": 0.5}),
    "weak_guide": ("weak", {}),
    "self_guide": ("self", {}),
}
# noise -> (r, z, arms)
DOSES: dict[str, tuple[float, float, tuple[str, ...]]] = {
    "r0": (0.0, 0.0, ("mnrl", "gte", "gist", "gist_margin", "weak_guide")),
    "r05": (0.5, 0.0, ("mnrl", "gte", "gist", "gist_margin", "oracle", "weak_guide")),
    "r1": (1.0, 0.0, ("mnrl", "gte", "gist", "gist_margin", "oracle", "weak_guide", "self_guide")),
    "z03": (0.0, 0.3, ("gte", "gist", "gist_margin", "oracle", "weak_guide")),
}
QUICK = ("gte", "gist", "oracle")


def measure(seed: int, quick: bool) -> Measurement:
    """Train every arm at every dose.

    Args:
        seed: Seed of split, guide and batches.
        quick: Three arms, one dose, few steps.

    Returns:
        MAP of GTE and of GIST at r = 1, with one item a term; everything else as extras.
    """
    with tempfile.TemporaryDirectory() as scratch:
        world = make_world(seed, Path(scratch), quick=quick)
        extra = {
            "map_untrained": float(average_precisions(new_student(), world).mean()),
            "map_strong_guide": float(
                average_precisions(world.guides["strong_model"], world).mean()
            ),
        }
        kept: dict[str, NDArray[np.float64]] = {}
        for dose, (duplicated, wrong, arms) in DOSES.items():
            if quick and dose != "r1":
                continue
            rng = numpy_generator(seed, "claim", "batches", dose)
            batches = list(
                draw_batches(world, rng, world.steps, duplicated=duplicated, wrong=wrong)
            )
            steps = tokenised(batches)
            for arm in QUICK if quick else arms:
                guide, options = ARMS[arm]
                student = train_student(steps, guide and world.guides[guide], **options)
                items = average_precisions(student, world)
                extra[f"map_{dose}_{arm}"] = float(items.mean())
                if dose == "r1":
                    kept[arm] = items
            if not wrong:
                extra.update(_selection(world, batches, [keys for _, keys in steps], dose))
        if not quick:
            texts = [text for term in world.test for text in world.forms[term]]
            weak = precisions_of(weak_vectors(texts), world)
            extra["map_weak_guide_itself"] = float(weak.mean())
    return Measurement(
        baseline=float(kept["gte"].mean()),
        system=float(kept["gist"].mean()),
        baseline_items=term_parts(kept["gte"], world).tolist(),
        system_items=term_parts(kept["gist"], world).tolist(),
        extra=extra,
    )


def _selection(world: World, batches: list[Batch], keys: list[Any], dose: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    for guide in ("strong", "weak", "self"):
        if guide not in world.guides:
            continue
        shares = struck_out(batches, keys, world.guides[guide], (0.0, MARGIN))
        for name, (recall, alarms) in zip(("", "_margin"), shares, strict=True):
            if np.isfinite(recall):
                figures[f"recall_{dose}_{guide}{name}"] = recall
            figures[f"false_alarms_{dose}_{guide}{name}"] = alarms
    return figures


CLAIM = Claim(
    slug="gistembed",
    claim="Where every row of a batch has a false negative in it, a guide that is strong on this "
    "data and strikes out what it finds nearer than the row's own positive gives a better student "
    "than the same loss without guide; 120 steps of 64 pairs, Adam 2e-3, temperature .05, the same "
    "batches.",
    paper={
        "figure": "MTEB: consistent average gains of fine-tuned students over the same students "
        "before, largest for the smallest; some tasks get worse",
        "baseline": "the student before fine-tuning; here the same four-block loss without guide "
        "(GTE)",
    },
    data="Human Phenotype Ontology: 2,338 terms with at least 4 surface forms, 400 held out, anew "
    "for each seed; every batch row has one planted false negative; the interval takes a term with "
    "all its forms as one item",
    metric="MAP over forms",
    baseline="GTE (four blocks, no guide)",
    system="GIST (strong guide, no margin)",
    measure=measure,
    # small products: a second thread costs more in waiting than it computes
    threads=1,
)
