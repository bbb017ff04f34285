"""Train subword vectors with gensim's fastText.

Paper: Enriching Word Vectors with Subword Information (P. Bojanowski, E. Grave, A. Joulin and T.
Mikolov, 2017). Skip-gram or CBOW with negative sampling, where a word's vector is the mean of its
own row and those of its n-grams (`vecsmith.encode.words.SubwordVectors`, which comes out):

    log s(x(w) . c) + sum over k drawn words of log s(-x(w) . c_k)

Use for inflected languages and texts with misspellings; for a corpus of plain English that is large
skip-gram is as good and smaller. Cost: as skip-gram, times the n-grams of a word (about 10).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vecsmith.core import ConfigError, DataError, require
from vecsmith.encode._texts import split_words
from vecsmith.encode.words import SubwordVectors

Text = str | Sequence[str]
Tokenizer = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class FastTextOptions:
    """Settings of fastText.

    Attributes:
        window: Largest distance of a context word; each time one from 1 to it is drawn.
        skip_gram: Predict the contexts from the word; otherwise the word from its contexts (CBOW).
        min_count: Leave out words that were seen less often.
        lengths: Letters of the shortest and the longest n-gram.
        buckets: Rows that n-grams share.
        negatives: Drawn words a pair.
        epochs: Passes over the texts.
        lr: Learning rate, falling to 0.0001.
        sample: Share above which a word is left out at random.
        threads: Threads; with more than one, a seed does not repeat a run.
    """

    window: int = 5
    skip_gram: bool = True
    min_count: int = 5
    lengths: tuple[int, int] = (3, 6)
    buckets: int = 2_000_000
    negatives: int = 5
    epochs: int = 5
    lr: float = 0.025
    sample: float = 1e-3
    threads: int = 1

    def __post_init__(self) -> None:
        numbers = ("window", "min_count", "buckets", "negatives", "epochs", "threads")
        for name in numbers:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")
        if not self.lr > 0 or not self.sample >= 0:
            raise ConfigError(
                f"lr must be above 0, sample not below; got {self.lr} and {self.sample}"
            )
        if len(self.lengths) != 2 or not 1 <= self.lengths[0] <= self.lengths[1]:
            raise ConfigError(f"lengths must be (shortest, longest), from 1; got {self.lengths}")


class TokenLists:
    """Texts as lists of words, read again at each pass.

    Args:
        texts: Each a string, which is split, or a list of words.
        tokenizer: How strings are split.

    Raises:
        DataError: A single string, no texts, or a text is something else.
    """

    def __init__(self, texts: Sequence[Text], tokenizer: Tokenizer) -> None:
        if isinstance(texts, str):
            raise DataError(
                "texts must be a list of texts but is a single string; put it in a list"
            )
        if not hasattr(texts, "__getitem__") or not len(texts):
            raise DataError("texts must be a list that can be read several times, and not empty")
        self.texts, self.tokenizer = texts, tokenizer

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[list[str]]:
        """Split one text after the other."""
        for place, text in enumerate(self.texts):
            words = self.tokenizer(text) if isinstance(text, str) else text
            if not isinstance(words, Sequence) or (words and not isinstance(words[0], str)):
                raise DataError(
                    f"text {place} must be a string or a list of words; got {type(text).__name__}"
                )
            yield list(words)


def train_fasttext(
    texts: Sequence[Text],
    dims: int = 100,
    *,
    options: FastTextOptions | None = None,
    seed: int = 0,
    tokenizer: Tokenizer = split_words,
) -> SubwordVectors:
    """Train on texts.

    Args:
        texts: Each a string, which is split, or a list of words.
        dims: Dimensions of a vector.
        options: Settings.
        seed: Seed of the start and of what is drawn.
        tokenizer: How strings are split.

    Returns:
        The vectors, which need gensim no more.

    Raises:
        DataError: No texts, or no word is frequent enough.
        ConfigError: `dims` is below 1.
        MissingExtra: gensim is not installed.
    """
    models = require("gensim.models", "words")
    o = options or FastTextOptions()
    if dims < 1:
        raise ConfigError(f"dims must be at least 1; got {dims}")
    lists = TokenLists(texts, tokenizer)
    model = models.FastText(
        vector_size=dims,
        window=o.window,
        sg=int(o.skip_gram),
        min_count=o.min_count,
        min_n=o.lengths[0],
        max_n=o.lengths[1],
        bucket=o.buckets,
        negative=o.negatives,
        alpha=o.lr,
        sample=o.sample,
        workers=o.threads,
        seed=seed,
    )
    model.build_vocab(lists)
    if not len(model.wv):
        raise DataError(
            f"no word of {len(lists)} texts was seen {o.min_count} times; lower min_count, or give "
            "more text"
        )
    model.train(lists, total_examples=len(lists), epochs=o.epochs)
    return SubwordVectors.from_gensim(model.wv, name=f"fastText {dims}")
