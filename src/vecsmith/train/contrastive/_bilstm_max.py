"""InferSent's encoder: a bidirectional LSTM over word vectors, and the maximum over time.

Paper: Supervised Learning of Universal Sentence Representations from Natural Language Inference
Data (A. Conneau and others, 2017). The encoder is h = max_t [forward_t; backward_t] of an LSTM over
w_1 … w_n, trained on labelled pairs with a classifier over [u; v; |u - v|; u * v]. All parts are
those of sentence-transformers, so that its trainer trains it and it loads there:

    model = bilstm_max_encoder(vectors, hidden=512)
    loss = pair_classifier(model, labels=3)      # for a SentenceTransformerTrainer

Use with word vectors of a domain and labelled pairs, where a transformer is too slow. Avoid when a
pretrained encoder is at hand: it is better from the start. Cost: one LSTM step a word.
"""

from typing import TYPE_CHECKING, Any

from vecsmith.core import ConfigError, require
from vecsmith.encode.words import WordVectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def bilstm_max_encoder(
    vectors: WordVectors,
    *,
    hidden: int = 512,
    lower_case: bool = True,
    train_words: bool = False,
    seed: int = 0,
) -> "SentenceTransformer":
    """Make the encoder, untrained but for its word vectors.

    Args:
        vectors: Word vectors.
        hidden: Units a direction; vectors have twice as many dimensions.
        lower_case: Texts are lower-cased before words are looked up.
        train_words: Let the word vectors learn too.
        seed: Seed of the LSTM's start.

    Returns:
        A sentence-transformers model.

    Raises:
        ConfigError: hidden below 1.
    """
    import torch

    if hidden < 1:
        raise ConfigError(f"hidden must be at least 1; got {hidden}")
    st = require("sentence_transformers", "train")
    modules = require("sentence_transformers.sentence_transformer.modules", "train")
    tokens = require("sentence_transformers.sentence_transformer.modules.tokenizer", "train")
    splitter = tokens.WhitespaceTokenizer(vectors.words, stop_words=(), do_lower_case=lower_case)
    words = modules.WordEmbeddings(splitter, vectors.vectors.copy(), update_embeddings=train_words)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lstm = modules.LSTM(vectors.dims, hidden, bidirectional=True)
    pooling = modules.Pooling(2 * hidden, "max")
    made: SentenceTransformer = st.SentenceTransformer(modules=[words, lstm, pooling], device="cpu")
    return made


def pair_classifier(model: "SentenceTransformer", labels: int) -> Any:
    """Make the loss over labelled pairs: softmax over [u; v; |u - v|; u * v].

    Args:
        model: Any sentence encoder.
        labels: How many.

    Returns:
        A loss of sentence-transformers; columns are two texts and the label.

    Raises:
        ConfigError: Fewer than two labels.
    """
    if labels < 2:
        raise ConfigError(f"labels must be at least 2; got {labels}")
    losses = require("sentence_transformers.sentence_transformer.losses", "train")
    return losses.SoftmaxLoss(
        model,
        model.get_embedding_dimension(),
        labels,
        concatenation_sent_rep=True,
        concatenation_sent_difference=True,
        concatenation_sent_multiplication=True,
    )
