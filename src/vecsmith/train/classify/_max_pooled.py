"""What classifiers with max pooling over positions share: words, training, prediction, phrases.

A subclass describes each word by H units (`units`); the maxima over a text are its description,
a linear layer and softmax give the label. The models are `PreTrainedModel`s of transformers: they
train with its Trainer, and are saved with their tokenizer as safetensors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.modeling_outputs import SequenceClassifierOutput

from vecsmith.core import ConfigError, DataError, ModelError

from ._config import ClassifierTraining, MaxPooledConfig
from ._training import part_off, train
from ._word_tokenizer import SPECIAL, Text, encode_words, learn_words, pad_ids, word_tokenizer


class KeyPhrase(NamedTuple):
    """Words around a position that wins units.

    Attributes:
        text: The words, as the tokenizer reads them.
        position: Place of the middle word, counted from 0.
        share: Part of all units whose maximum stands there.
    """

    text: str
    position: int
    share: float


class MaxPooledClassifier(PreTrainedModel):
    """Base of the classifiers; see `RCNNClassifier` and `WindowCNNClassifier`.

    Args:
        config: As saved; None makes one from the other arguments.
        vectors: `WordVectors`, or gensim's `KeyedVectors`; None learns the words from the training
            texts.
        **shape: Of the configuration.
    """

    config_class: Any = MaxPooledConfig
    base_model_prefix = "classifier"
    main_input_name = "input_ids"

    def __init__(
        self, config: MaxPooledConfig | None = None, *, vectors: Any = None, **shape: Any
    ) -> None:
        if config is not None and (vectors is not None or shape):
            raise ConfigError("give either config, or vectors and the shape, not both")
        self.tokenizer: Any = None
        made = config or self.config_class(**{**shape, **_shape_of(vectors)})
        super().__init__(made)
        self.tokenizer = None
        self.embedding = nn.Embedding(made.vocab_size, made.dims, padding_idx=0)
        self.build(made)
        self.dropout = nn.Dropout(made.dropout)
        self.output = nn.Linear(made.hidden, made.num_labels)
        self.post_init()
        if vectors is not None:
            self._take(*_table(vectors))

    def build(self, config: MaxPooledConfig) -> None:
        """Make the layers below the pooling.

        Args:
            config: The shape.
        """
        raise NotImplementedError(f"{type(self).__name__} must make its layers")

    def units(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Describe each word.

        Args:
            embedded: Word vectors, shape (texts, words, dims).
            mask: True where a word is, words first, same leading shape.

        Returns:
            Shape (texts, words, hidden), in [-1, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} must describe words")

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)
            with torch.no_grad():
                module.weight[0].zero_()

    def _take(self, words: Sequence[str], table: NDArray[np.float32] | None) -> None:
        """Set the vocabulary, and its vectors where there are some."""
        self.tokenizer = word_tokenizer(words, lower_case=self.config.lower_case)
        rows = len(words) + len(SPECIAL)
        self.config.vocab_size = rows
        fresh = nn.Embedding(rows, self.config.dims, padding_idx=0)
        self._init_weights(fresh)
        if table is not None:
            with torch.no_grad():
                # an unknown word is an average one, the same for every table
                fresh.weight[1] = torch.from_numpy(table.mean(axis=0))
                fresh.weight[len(SPECIAL) :] = torch.from_numpy(np.asarray(table, np.float32))
        self.embedding = fresh.to(self.output.weight.device)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the word table."""
        return self.embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the word table.

        Args:
            value: Another one.
        """
        self.embedding = value

    def pooled(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Describe texts by the maxima of their words.

        Args:
            input_ids: Shape (texts, words).
            attention_mask: Not zero where a word is, on either side of the padding; None takes
                what is not padding.

        Returns:
            Maxima and their positions among the words, both of shape (texts, hidden).

        Raises:
            DataError: A text has no word.
        """
        mask = (input_ids != 0) if attention_mask is None else attention_mask.bool()
        if not bool(mask.any(dim=1).all()):
            row = int((~mask.any(dim=1)).nonzero()[0])
            raise DataError(
                f"text {row} of the batch has no word; give it the tokenizer's unknown word"
            )
        # words first, so that padding on the left is as good as on the right
        order = torch.argsort((~mask).long(), dim=1, stable=True)
        input_ids, mask = input_ids.gather(1, order), mask.gather(1, order)
        units = self.units(self.embedding(input_ids), mask)
        best = units.masked_fill(~mask[..., None], -torch.inf).max(dim=1)
        return best.values, best.indices

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Score labels, as transformers' Trainer calls it.

        Args:
            input_ids: Shape (texts, words).
            attention_mask: Not zero where a word is.
            labels: Numbers of the labels, shape (texts,).
            **_: What other tokenizers add.

        Returns:
            Logits of shape (texts, labels), and the loss where labels are given.
        """
        logits = self.output(self.dropout(self.pooled(input_ids, attention_mask)[0]))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    @property
    def classes(self) -> list[str]:
        """Labels, in the order of the logits."""
        return [str(self.config.id2label[i]) for i in range(self.config.num_labels)]

    def fit(
        self,
        texts: Sequence[Text],
        labels: Sequence[Any],
        *,
        development: tuple[Sequence[Text], Sequence[Any]] | None = None,
        training: ClassifierTraining | None = None,
    ) -> "MaxPooledClassifier":
        """Train.

        Args:
            texts: Strings, or lists of words.
            labels: One a text, as many different ones as `num_labels`; taken as strings.
            development: Texts and labels that choose the pass (macro-F1); None parts some off.
            training: How.

        Returns:
            The classifier itself, trained.

        Raises:
            DataError: Texts and labels do not fit, or labels are too few or too many.
        """
        how = training or ClassifierTraining()
        names = self._set_labels(texts, labels)
        if self.tokenizer is None:
            self._take(learn_words(texts, lower_case=self.config.lower_case), None)
        rows: Sequence[Sequence[int]] = self._encode(texts)
        numbers = np.array([names[str(label)] for label in labels])
        if development is None:
            rows, numbers, held = part_off(rows, numbers, how)
        else:
            held = self._known(*development, names)
        train(self, rows, numbers, held, how)
        self.eval()
        return self

    def _set_labels(self, texts: Sequence[Text], labels: Sequence[Any]) -> dict[str, int]:
        if len(texts) != len(labels) or not len(texts):
            raise DataError(
                f"each text needs one label, and there must be some; got {len(texts)} texts and "
                f"{len(labels)} labels"
            )
        found = sorted({str(label) for label in labels})
        if len(found) != self.config.num_labels:
            raise DataError(
                f"the labels must be {self.config.num_labels} different ones, as num_labels says; "
                f"got {len(found)}: make the classifier with num_labels={len(found)}"
            )
        self.config.id2label = dict(enumerate(found))
        self.config.label2id = {name: row for row, name in enumerate(found)}
        return dict(self.config.label2id)

    def _known(self, texts: Sequence[Text], labels: Sequence[Any], names: dict[str, int]) -> Any:
        strange = sorted({str(label) for label in labels} - names.keys())
        if strange or len(texts) != len(labels):
            raise DataError(
                f"development data must have a label a text, all known from training; got "
                f"{len(texts)} texts, {len(labels)} labels, unknown: {strange[:5]}"
            )
        rows = encode_words(self.tokenizer, texts, self.config.max_words)
        return rows, np.array([names[str(label)] for label in labels], np.int64)

    def _encode(self, texts: Sequence[Text]) -> list[list[int]]:
        if self.tokenizer is None:
            raise ModelError(
                f"{type(self).__name__} knows no words yet; call fit, or give it vectors"
            )
        return encode_words(self.tokenizer, texts, self.config.max_words)

    def logits(self, rows: Sequence[Sequence[int]], batch_size: int = 64) -> NDArray[np.float64]:
        """Score texts that are ids already.

        Args:
            rows: Ids of each text, none of them empty.
            batch_size: Texts at once.

        Returns:
            Shape (texts, labels).
        """
        order = np.argsort([len(row) for row in rows], kind="stable")
        out = np.zeros((len(rows), self.config.num_labels))
        was, device = self.training, self.output.weight.device
        self.eval()
        with torch.no_grad():
            for start in range(0, len(rows), batch_size):
                part = order[start : start + batch_size]
                ids, mask = pad_ids([rows[i] for i in part], 0)
                out[part] = self(ids.to(device), mask.to(device)).logits.double().cpu().numpy()
        self.train(was)
        return out

    def predict_proba(self, texts: Sequence[Text], *, batch_size: int = 64) -> NDArray[np.float64]:
        """Give the probability of each label.

        Args:
            texts: Strings, or lists of words.
            batch_size: Texts at once; it does not change the result.

        Returns:
            Shape (texts, labels), in the order of `classes`.

        Raises:
            ModelError: The classifier knows no words yet.
        """
        logits = self.logits(self._encode(texts), batch_size)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))

    def predict(self, texts: Sequence[Text], *, batch_size: int = 64) -> list[str]:
        """Give the likeliest label of each text.

        Args:
            texts: Strings, or lists of words.
            batch_size: Texts at once.

        Returns:
            Labels as strings.

        Raises:
            ModelError: The classifier knows no words yet.
        """
        names = self.classes
        return [names[i] for i in self.logits(self._encode(texts), batch_size).argmax(axis=1)]

    def score(self, texts: Sequence[Text], labels: Sequence[Any]) -> float:
        """Give the share of texts whose label is found.

        Args:
            texts: Strings, or lists of words.
            labels: The true ones.

        Returns:
            Accuracy.
        """
        found = self.predict(texts)
        return float(np.mean([one == str(two) for one, two in zip(found, labels, strict=True)]))

    def key_phrases(self, text: Text, *, top_k: int = 5, width: int = 3) -> list[KeyPhrase]:
        """Show the words that decided: the positions where units have their maxima.

        Args:
            text: A string, or a list of words.
            top_k: How many phrases.
            width: Words of a phrase, odd; its middle word is the position.

        Returns:
            Phrases by falling share of the units; the earlier first where shares are equal.

        Raises:
            ConfigError: `width` is even or `top_k` below 1.
        """
        if width < 1 or width % 2 == 0 or top_k < 1:
            raise ConfigError(
                f"width must be odd and top_k at least 1; got width={width}, top_k={top_k}"
            )
        (ids,) = self._encode([text])
        if isinstance(text, str):
            encoding = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
            words = [text[start:end] for start, end in encoding.offsets]
        else:
            words = list(text)
        device = self.output.weight.device
        was = self.training
        self.eval()
        with torch.no_grad():
            _, places = self.pooled(torch.tensor([ids], device=device), None)
        self.train(was)
        wins = np.bincount(places[0].cpu().numpy(), minlength=len(ids))
        order = np.argsort(-wins, kind="stable")[:top_k]
        side = width // 2
        return [
            KeyPhrase(
                " ".join(words[max(0, i - side) : i + side + 1]), int(i), wins[i] / wins.sum()
            )
            for i in order
            if wins[i]
        ]

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Write weights, configuration and tokenizer.

        Args:
            save_directory: Folder.
            **kwargs: Of `PreTrainedModel.save_pretrained`.
        """
        super().save_pretrained(save_directory, **kwargs)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(save_directory)

    @classmethod
    def from_pretrained(cls, name: str | Path, *args: Any, **kwargs: Any) -> Any:
        """Read what `save_pretrained` wrote.

        Args:
            name: Folder, or name on the hub.
            *args: Of `PreTrainedModel.from_pretrained`.
            **kwargs: Of `PreTrainedModel.from_pretrained`.

        Returns:
            The classifier.
        """
        model: Any = super().from_pretrained(name, *args, **kwargs)
        found = model[0] if isinstance(model, tuple) else model
        if found.config.vocab_size > len(SPECIAL):
            found.tokenizer = PreTrainedTokenizerFast.from_pretrained(name)
        return model


def _shape_of(vectors: Any) -> dict[str, int]:
    if vectors is None:
        return {}
    _, table = _table(vectors)
    return {"dims": table.shape[1], "vocab_size": len(table) + len(SPECIAL)}


def _table(vectors: Any) -> tuple[list[str], NDArray[np.float32]]:
    words = getattr(vectors, "words", None) or getattr(vectors, "index_to_key", None)
    table = getattr(vectors, "vectors", None)
    if words is None or table is None:
        raise ConfigError(
            "vectors must be WordVectors or gensim's KeyedVectors; got "
            f"{type(vectors).__name__}: read a file with WordVectors.load"
        )
    return list(words), np.asarray(table, np.float32)
