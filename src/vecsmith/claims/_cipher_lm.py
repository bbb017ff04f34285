"""Small language models that start from other embeddings: how fast does their loss fall?

Byte-pair tokens trained on the same text, two layers of width 128, tied head; all arms of a seed
share the initial weights but for the table, and see the same batches.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vecsmith.core import numpy_generator
from vecsmith.train.words import EmbeddingOptions, cipher_embedding, replace_embeddings

PIECES, WIDTH, LENGTH, BATCH, RATE = 4096, 128, 64, 8, 1e-3
HELD_OUT = 8192
TABLES = ("random", "cipher", "word2vec")


@lru_cache(maxsize=2)
def tokenized(texts: tuple[str, ...]) -> tuple[Any, NDArray[np.int64]]:
    """Train byte-pair tokens, and cut the texts into them.

    Args:
        texts: The texts.

    Returns:
        The tokenizer, and the ids of all texts in one row, 0 after each.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    rows = [[*row.ids, 0] for row in tokenizer.encode_batch(list(texts))]
    return tokenizer, np.array([i for row in rows for i in row], np.int64)


def language_model(seed: int) -> Any:
    """Make a fresh model.

    Args:
        seed: Seed of the weights.

    Returns:
        A causal model of two layers with a tied head.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=PIECES,
        n_positions=LENGTH,
        n_embd=WIDTH,
        n_layer=2,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return GPT2LMHeadModel(config)


def start_table(
    name: str, model: Any, texts: tuple[str, ...], seed: int
) -> torch.nn.Embedding | None:
    """Make the table that a model starts from.

    Args:
        name: One of `TABLES`.
        model: The fresh model, whose mean and spread are kept.
        texts: Texts to count or to train on.
        seed: Seed of word2vec.

    Returns:
        The table; None keeps the model's own.
    """
    weight = model.get_input_embeddings().weight
    tokenizer, _ = tokenized(texts)
    if name == "random":
        return None
    if name == "cipher":
        return _cipher_table(texts, seed)
    from gensim.models import Word2Vec

    rows = [[str(i) for i in row.ids] for row in tokenizer.encode_batch(list(texts))]
    made = Word2Vec(
        rows, vector_size=WIDTH, window=2, min_count=1, sg=1, epochs=2, workers=1, seed=seed
    ).wv
    table = numpy_generator(seed, "unseen").normal(size=(PIECES, WIDTH))
    vectors = made.vectors.astype(np.float64)
    table[[int(word) for word in made.index_to_key]] = (vectors - vectors.mean(0)) / vectors.std(0)
    old = weight.detach().numpy()
    layer = torch.nn.Embedding(PIECES, WIDTH)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(table * old.std(0) + old.mean(0)))
    return layer


@lru_cache(maxsize=1)
def _cipher_table(texts: tuple[str, ...], seed: int) -> torch.nn.Embedding:
    # the weights of a fresh model of the seed are those that it takes the spread of
    weight = language_model(seed).get_input_embeddings().weight
    options = EmbeddingOptions(radius=2, smoothing="all", seed=seed)
    return cipher_embedding(tokenized(texts)[0], texts, WIDTH, match=weight, options=options)


def losses(
    name: str, texts: tuple[str, ...], seed: int, steps: tuple[int, ...], *, freeze: bool = False
) -> dict[str, float]:
    """Train a model, and measure it on the way.

    Args:
        name: One of `TABLES`.
        texts: The texts; their end is held out.
        seed: Seed of weights and batches.
        steps: When to measure, rising.
        freeze: Whether the table is left out of training, and the head is one of its own: a frozen
            head could not learn how sure to be.

    Returns:
        "loss STEP": held-out loss at each of the steps.
    """
    model = language_model(seed)
    table = start_table(name, model, texts, seed)
    if table is not None:
        replace_embeddings(model, table, freeze=freeze, tie_head=not freeze)
    _, ids = tokenized(texts)
    train, held_out = ids[:-HELD_OUT], ids[-HELD_OUT:]
    judged = torch.from_numpy(held_out[: HELD_OUT // LENGTH * LENGTH].reshape(-1, LENGTH))
    rng = numpy_generator(seed, "language-model")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, fused=True)
    found = {}
    model.train()
    for step in range(1, max(steps) + 1):
        starts = rng.integers(0, len(train) - LENGTH, BATCH)
        batch = torch.from_numpy(np.stack([train[i : i + LENGTH] for i in starts]))
        optimizer.zero_grad()
        model(batch, labels=batch).loss.backward()
        optimizer.step()
        if step in steps:
            model.eval()
            with torch.no_grad():
                found[f"loss {step}"] = float(model(judged, labels=judged).loss)
            model.train()
    return found
