"""One task and one encoder for the claims about training from raw sentences.

Encoder: the first two blocks of MiniLM-L6, mean pooled: at that depth never tuned for sentences,
and anisotropic as a raw language model. Text: WordNet's definitions. Judged on definitions of the
Human Phenotype Ontology, graded by Lin's similarity of their terms (D. Lin, 1998; information
content from the numbers of descendants), as many pairs from each tenth of the scale as there are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.claims._cut_vocabulary import cut_vocabulary
from vecsmith.claims._encodings import MINILM
from vecsmith.core import numpy_generator

BATCH, STEPS, LENGTH = 32, 40, 20
RATE, TEMPERATURE = 1e-4, 0.05
LAYERS = 2
TEXTS = 20_000
DRAWN, EACH = 120_000, 450


@dataclass(frozen=True)
class GradedPairs:
    """Pairs of definitions with a graded similarity.

    Attributes:
        texts: Definitions.
        left: Place of the first text of each pair.
        right: Place of the second one.
        gold: Lin's similarity, in [0, 1].
    """

    texts: list[str]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    gold: NDArray[np.float64]


@lru_cache(maxsize=1)
def training_texts() -> list[str]:
    """WordNet definitions of 5 to 30 words, at most `TEXTS`, in a fixed random order."""
    from vecsmith.data.samples import load_wordnet

    glosses = [g for g in dict.fromkeys(load_wordnet()["gloss"]) if 5 <= len(g.split()) <= 30]
    order = numpy_generator(0, "sentence-task", "texts").permutation(len(glosses))[:TEXTS]
    return [glosses[i] for i in order]


def ancestors_of(parents: list[list[int]]) -> list[frozenset[int]]:
    """List each term's ancestors, itself among them.

    Args:
        parents: Places of each term's parents; no circles.

    Returns:
        One set a term.
    """
    known: dict[int, frozenset[int]] = {}
    for start in range(len(parents)):
        stack = [start]
        while stack:
            term = stack[-1]
            missing = [p for p in parents[term] if p not in known]
            if missing:
                stack += missing
                continue
            known[term] = frozenset({term}).union(*(known[p] for p in parents[term]))
            stack.pop()
    return [known[term] for term in range(len(parents))]


def lin_similarity(
    ancestors: list[frozenset[int]], content: NDArray[np.float64], a: int, b: int
) -> float:
    """Lin's similarity of two terms: 2 IC(common) / (IC(a) + IC(b)).

    Args:
        ancestors: From `ancestors_of`.
        content: Information content of each term.
        a: A term.
        b: Another one.

    Returns:
        In [0, 1].
    """
    common = max((content[term] for term in ancestors[a] & ancestors[b]), default=0.0)
    whole = content[a] + content[b]
    return float(2.0 * common / whole) if whole > 0 else 0.0


@lru_cache(maxsize=1)
def graded_pairs() -> GradedPairs:
    """Draw the pairs that all seeds are judged on."""
    from vecsmith.data.samples import load_hpo

    rows = load_hpo()
    place = {key: i for i, key in enumerate(rows["id"])}
    parents = [[place[p] for p in row if p in place] for row in rows["parents"]]
    ancestors = ancestors_of(parents)
    below = np.zeros(len(parents))
    for term_ancestors in ancestors:
        below[list(term_ancestors)] += 1
    content = -np.log(below / len(parents))
    defined = np.flatnonzero([bool(text) for text in rows["definition"]])
    rng = numpy_generator(0, "sentence-task", "pairs")
    left, right = (rng.choice(defined, DRAWN) for _ in range(2))
    gold = np.array(
        [lin_similarity(ancestors, content, a, b) for a, b in zip(left, right, strict=True)]
    )
    tenth = np.minimum((gold * 10).astype(int), 9)
    fine = left != right
    kept = np.concatenate([np.flatnonzero((tenth == t) & fine)[:EACH] for t in range(10)])
    used, where = np.unique([left[kept], right[kept]], return_inverse=True)
    places = where.reshape(2, -1)
    definitions = list(rows["definition"])
    return GradedPairs([definitions[i] for i in used], places[0], places[1], gold[kept])


def lee_texts() -> list[str]:
    """The first two sentences of Lee's documents, of which an encoder reads the start."""
    from vecsmith.data.samples import load_lee

    rows = load_lee()
    texts = dict.fromkeys([*rows["text_a"], *rows["text_b"]])
    return [". ".join(text.split(". ")[:2]) for text in texts]


@lru_cache(maxsize=1)
def _start() -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from vecsmith.encode import quiet_hosts, resolve_model

    with quiet_hosts():
        module = Transformer(str(resolve_model(MINILM).path), max_seq_length=LENGTH)
    # the layers above are never run
    module.auto_model.encoder.layer = module.auto_model.encoder.layer[:LAYERS]
    module.auto_model.config.num_hidden_layers = LAYERS
    pooling = Pooling(module.get_embedding_dimension(), "mean")
    encoder = SentenceTransformer(modules=[module, pooling], device="cpu")
    cut_vocabulary(encoder, [*training_texts(), *graded_pairs().texts, *lee_texts()])
    return encoder


def new_encoder() -> Any:
    """Build the untrained encoder, a `SentenceTransformer` of 384 dimensions."""
    import copy

    return copy.deepcopy(_start())


@dataclass(frozen=True)
class Batches:
    """Tokenised batches of a seed, the same for every arm."""

    features: list[dict[str, Any]]
    seed: int


def draw_batches(seed: int, *, steps: int = STEPS) -> Batches:
    """Draw batches of texts.

    Args:
        seed: Seed of the draw, and later of dropout.
        steps: How many batches.

    Returns:
        The batches.
    """
    texts = training_texts()
    rng = numpy_generator(seed, "sentence-task", "batches")
    encoder = _start()
    return Batches(
        [
            encoder.preprocess([texts[i] for i in rng.choice(len(texts), BATCH, replace=False)])
            for _ in range(steps)
        ],
        seed,
    )


def train_encoder(batches: Batches, make_loss: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Train a fresh encoder.

    Args:
        batches: What every arm of a seed sees.
        make_loss: Encoder -> loss.

    Returns:
        The trained encoder, in evaluation mode, and its loss.
    """
    import torch

    encoder = new_encoder()
    torch.manual_seed(batches.seed)
    loss = make_loss(encoder)
    weights = [weight for weight in loss.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, fused=True)
    loss.train()
    for features in batches.features:
        optimizer.zero_grad()
        loss([dict(features)]).backward()
        optimizer.step()
    return encoder.eval(), loss


def cosines(encoder: Any, pairs: GradedPairs) -> NDArray[np.float64]:
    """Compute the cosine of each pair.

    Args:
        encoder: A `SentenceTransformer`.
        pairs: Pairs of texts.

    Returns:
        Shape (pairs,).
    """
    vectors = encode(encoder, pairs.texts)
    return np.asarray((vectors[pairs.left] * vectors[pairs.right]).sum(axis=1))


def encode(encoder: Any, texts: list[str]) -> NDArray[np.float64]:
    """Encode texts to unit vectors, shape (texts, dims)."""
    found = encoder.encode(
        texts, batch_size=128, normalize_embeddings=True, show_progress_bar=False
    )
    return np.asarray(found, np.float64)


def rank_products(values: NDArray[np.float64], gold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Write Spearman's correlation as a mean over pairs.

    Args:
        values: Cosines.
        gold: Graded similarities.

    Returns:
        Products of standardised ranks, shape (pairs,), whose mean is the correlation.
    """
    from scipy.stats import rankdata

    a, b = (rankdata(x) for x in (values, gold))
    return np.asarray((a - a.mean()) / a.std() * (b - b.mean()) / b.std())
