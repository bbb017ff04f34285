"""Do spaces trained on one aspect find what is similar in that aspect, better than a generic space?

Documents: descriptions of Debian packages. Aspects are facets of their tags: what a package is for
("use"), what it is made with ("implemented-in", "uitoolkit"), what it works on ("works-with"). Two
packages are relevant to each other in an aspect if they share a label of it. One package a source,
since those of one source repeat each other's text; the split is by document.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.claims._contract import Claim, Measurement
from vecsmith.claims._encodings import MINILM, encode_cached
from vecsmith.core import numpy_generator
from vecsmith.data import AspectDataset

FACETS = {
    "task": ("use",),
    "method": ("implemented-in", "uitoolkit"),
    "data": ("works-with",),
}
CAP = 400
TOKENS = 32
TRAIN, TEST = 1800, 600
# pairs an aspect of 32 a step
SIAMESE_PAIRS = 20 * 32
HEAD_PAIRS = 6000
KS = (5, 10)


@dataclass(frozen=True)
class World:
    """The documents of a seed.

    Attributes:
        train: Documents for training.
        test: Documents to be judged.
        generic_train: Vectors of the generic encoder, shape (documents, dims).
        generic_test: The same of the test documents.
    """

    train: AspectDataset
    test: AspectDataset
    generic_train: NDArray[np.float32]
    generic_test: NDArray[np.float32]


@functools.lru_cache(maxsize=1)
def corpus() -> AspectDataset:
    """Collect one package a source that has labels of at least two aspects.

    Returns:
        The documents, with labels that fewer than 400 of them have.
    """
    from vecsmith.data.samples import load_debian

    rows = load_debian()[:]
    best: dict[str, tuple[int, int]] = {}
    labels: list[dict[str, list[str]]] = []
    for row, tags in enumerate(rows["tags"]):
        found = {
            aspect: [tag for tag in tags if tag.partition("::")[0] in facets]
            for aspect, facets in FACETS.items()
        }
        labels.append(found)
        rank = (sum(map(len, found.values())), -row)
        if sum(map(bool, found.values())) >= 2:
            best[rows["source"][row]] = max(best.get(rows["source"][row], (0, 0)), rank)
    # a few packages of different sources have one text between them
    texts: dict[str, int] = {}
    for row in sorted(-place for _, place in best.values()):
        texts.setdefault(f"{rows['summary'][row]}: {rows['description'][row]}", row)
    kept = list(texts.values())
    return AspectDataset(
        list(texts),
        {aspect: [labels[row][aspect] for row in kept] for aspect in FACETS},
        max_label_docs=CAP,
    )


def make_world(seed: int, *, quick: bool) -> World:
    """Draw training and test documents.

    Args:
        seed: Seed of the draw.
        quick: A fifth of the size.

    Returns:
        The world of a seed; no document is on both sides.
    """
    whole = corpus()
    part = 5 if quick else 1
    order = numpy_generator(seed, "claim", "documents").permutation(len(whole))
    train, test = order[: TRAIN // part], order[TRAIN // part : (TRAIN + TEST) // part]
    sides = whole.subset(train), whole.subset(test)
    if quick:
        vectors = encode_cached(sides[0].texts + sides[1].texts, max_tokens=TOKENS)
        return World(*sides, vectors[: len(train)], vectors[len(train) :])
    vectors = encode_cached(whole.texts, max_tokens=TOKENS)
    return World(*sides, vectors[train], vectors[test])


def generic_encoder() -> Any:
    """Load MiniLM, cut at the length that all arms read."""
    from vecsmith.encode import load_sentence_transformer

    model = load_sentence_transformer(MINILM)
    model.max_seq_length = TOKENS
    return model


def siamese(world: World, seed: int, *, quick: bool) -> dict[str, NDArray[np.float32]]:
    """Fine-tune one encoder an aspect, and encode the test documents.

    Args:
        world: Documents.
        seed: Seed of pairs, order and dropout.
        quick: Few pairs.

    Returns:
        Aspect -> vectors.
    """
    from vecsmith.train import AspectEncoder

    model = AspectEncoder(generic_encoder(), tuple(FACETS), mode="separate")
    model.fit(world.train, pairs=96 if quick else SIAMESE_PAIRS, batch_size=32, lr=1e-4, seed=seed)
    found: dict[str, NDArray[np.float32]] = model.encode(world.test.texts)
    return found


def heads(world: World, seed: int, mode: str, *, quick: bool) -> dict[str, NDArray[np.float32]]:
    """Train small nets on the generic vectors, and map the test documents.

    Args:
        world: Documents.
        seed: Seed of pairs and order.
        mode: "heads" or "retrofit".
        quick: Few pairs.

    Returns:
        Aspect -> vectors.
    """
    import torch

    from vecsmith.train import AspectEncoder

    torch.manual_seed(seed)
    model = AspectEncoder(generic_encoder(), tuple(FACETS), mode=mode)
    model.fit(
        world.train,
        pairs=HEAD_PAIRS // (5 if quick else 1),
        epochs=3,
        batch_size=64,
        seed=seed,
        vectors=world.generic_train,
    )
    return model.project(world.generic_test)


def document_parts(scores: dict[str, Any], figure: str, documents: int) -> NDArray[np.float64]:
    """Turn figures of queries (a document in an aspect) into one number a document.

    The queries of one document go up and down together: the document is what chance draws. The
    mean over queries is a ratio of two sums over documents, and these are its first-order parts.

    Args:
        scores: Aspect -> figures of its queries.
        figure: Which.
        documents: Number of documents.

    Returns:
        Shape (documents that have a query,), with the mean of all queries.
    """
    sums, counts = np.zeros(documents), np.zeros(documents)
    for found in scores.values():
        np.add.at(sums, found.queries, found.figures[figure])
        np.add.at(counts, found.queries, 1.0)
    asked = counts > 0
    sums, counts = sums[asked], counts[asked]
    mean = sums.sum() / counts.sum()
    return np.asarray(mean + (sums - mean * counts) / counts.mean())


def measure(seed: int, quick: bool) -> Measurement:
    """Train every arm and judge every space by every aspect.

    Args:
        seed: Seed of documents, pairs and order.
        quick: A fifth of the documents, few steps.

    Returns:
        P@10 over all queries of all aspects: the generic space against each aspect's own Siamese
        space; everything else as extras.
    """
    from vecsmith.evaluate import aspect_bias, evaluate_aspects

    world = make_world(seed, quick=quick)
    arms = {
        "siamese": siamese(world, seed, quick=quick),
        "heads": heads(world, seed, "heads", quick=quick),
        "retrofit": heads(world, seed, "retrofit", quick=quick),
    }
    generic = evaluate_aspects({"generic": world.generic_test}, world.test, ks=KS)["generic"]
    extra: dict[str, float] = {}
    for aspect, scores in generic.items():
        extra[f"prevalence {aspect}"] = scores.mean("prevalence")
        for figure in ("p@10", "map@10", "mrr"):
            extra[f"{figure} generic, {aspect}"] = scores.mean(figure)
    own = {}
    for arm, spaces in arms.items():
        matrix = evaluate_aspects(spaces, world.test, ks=KS)
        for space, row in matrix.items():
            for aspect, scores in row.items():
                extra[f"p@10 {arm} of {space}, {aspect}"] = scores.mean("p@10")
            for figure in ("map@10", "mrr"):
                extra[f"{figure} {arm} of {space}, {space}"] = row[space].mean(figure)
        if arm == "siamese":
            own = {aspect: matrix[aspect][aspect] for aspect in FACETS}
    for aspect, part in aspect_bias(world.generic_test, arms["siamese"], world.test).items():
        extra[f"overlap of generic and siamese, {aspect}"] = part
    baseline, system = (document_parts(s, "p@10", len(world.test)) for s in (generic, own))
    return Measurement.of_items(baseline, system, extra)


CLAIM = Claim(
    slug="aspect-embeddings",
    claim="An encoder fine-tuned on pairs that share a label of one aspect finds more documents "
    "that are similar in this aspect than the generic encoder; 20 steps of 32 pairs an aspect.",
    paper={
        "figure": "Papers with Code, Siamese SciBERT: P@10 .569 / .407 / .270 for task / method / "
        "data set",
        "baseline": "generic encoders; SPECTER .231 / .077 / .175, mean of fastText vectors .208 / "
        ".096 / .170",
    },
    data="descriptions of Debian packages, one a source, with debtags of three facets: 1,800 for "
    "training, 600 for tests, drawn anew for each seed; the interval takes a document with all its "
    "aspects as one item",
    metric="p@10, mean over documents and aspects",
    baseline="generic MiniLM",
    system="Siamese MiniLM of each aspect",
    measure=measure,
)
