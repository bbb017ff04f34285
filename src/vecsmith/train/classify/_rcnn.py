"""Recurrent convolutional classifier (RCNN): a word with the whole text left and right of it.

S. Lai, L. Xu, K. Liu and J. Zhao (2015), and S. Lai's thesis "Word and Document Embeddings based on
Neural Network Approaches" (2016). For words w_1 .. w_n with vectors e:

    c_l(w_i) = tanh(W_l c_l(w_{i-1}) + W_sl e(w_{i-1}))      c_l(w_1) learned
    c_r(w_i) = tanh(W_r c_r(w_{i+1}) + W_sr e(w_{i+1}))      c_r(w_n) learned
    y_i = tanh(W_2 [c_l(w_i); e(w_i); c_r(w_i)] + b_2)
    document = max_i y_i (by unit);  softmax(W_4 document + b_4)

A word's contexts exclude the word itself. Which position wins each unit tells the key phrases.

Use when texts are documents whose labels hang on phrases, and a window is too short for them. Avoid
for very long texts (two recurrences of n steps each, which no machine runs at once) and where bag
of words already wins: measure it beside. Cost: O(n (c^2 + c e + H (2 c + e))) for n words.
"""

from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from ._config import MaxPooledConfig
from ._max_pooled import MaxPooledClassifier


def recurrent_contexts(embedded: Tensor, recurrence: nn.RNN, start: Tensor) -> Tensor:
    """Contexts of words from what stands before each.

    Args:
        embedded: Word vectors, shape (texts, words, dims).
        recurrence: h' = tanh(W h + W_s e), batch first.
        start: Context of the first word, shape (context,).

    Returns:
        Shape (texts, words, context); row i depends on the words before i alone.
    """
    first = start.expand(len(embedded), 1, -1)
    if embedded.shape[1] == 1:
        return first
    state = first.transpose(0, 1).contiguous()
    later, _ = recurrence(embedded[:, :-1], state)
    return torch.cat([first, later], dim=1)


def _reversed(values: Tensor, lengths: Tensor) -> Tensor:
    """Turn each text round, its padding stays behind; its own inverse."""
    places = torch.arange(values.shape[1], device=values.device)[None]
    turned = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
    return values.gather(1, turned[..., None].expand_as(values))


class RCNNConfig(MaxPooledConfig):
    """Shape of an `RCNNClassifier`.

    Args:
        context: Dimensions of a left and of a right context.
        **kwargs: Of `MaxPooledConfig`.
    """

    model_type = "vecsmith-rcnn"

    def __init__(self, context: int = 50, **kwargs: Any) -> None:
        if not isinstance(context, int) or context < 1:
            raise ConfigError(f"context must be a whole number of at least 1; got {context!r}")
        self.context = context
        super().__init__(**kwargs)


class RCNNClassifier(MaxPooledClassifier):
    """Classify texts by words in their left and right contexts.

    Args:
        config: As saved; None makes one from the other arguments.
        vectors: Word vectors that training starts from and changes; None learns the words from the
            training texts, and starts at random.
        **shape: Of `RCNNConfig`: num_labels, hidden, context, dims (without vectors), dropout,
            max_words, lower_case.

    Example:
        >>> how = ClassifierTraining(epochs=40, share=0.0, lr=0.01)
        >>> clf = RCNNClassifier(num_labels=2, dims=8, hidden=8, context=4)
        >>> clf = clf.fit(["good film", "bad film"] * 8, ["+", "-"] * 8, training=how)
        >>> clf.predict(["a good film"])
        ['+']
    """

    config_class: Any = RCNNConfig

    def build(self, config: MaxPooledConfig) -> None:
        """Make the layers below the pooling.

        Args:
            config: An `RCNNConfig`.
        """
        dims, context = config.dims, config.context
        self.start_left = nn.Parameter(torch.zeros(context))
        self.start_right = nn.Parameter(torch.zeros(context))
        # without biases it is the formula
        self.left = nn.RNN(dims, context, bias=False, batch_first=True)
        self.right = nn.RNN(dims, context, bias=False, batch_first=True)
        self.inner = nn.Linear(2 * context + dims, config.hidden)

    def units(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Describe each word in its contexts.

        Args:
            embedded: Word vectors, shape (texts, words, dims).
            mask: True where a word is, words first, same leading shape.

        Returns:
            Shape (texts, words, hidden), in [-1, 1].
        """
        lengths = mask.sum(dim=1)
        left = recurrent_contexts(embedded, self.left, self.start_left)
        turned = _reversed(embedded, lengths)
        right = _reversed(recurrent_contexts(turned, self.right, self.start_right), lengths)
        return torch.tanh(self.inner(torch.cat([left, embedded, right], dim=-1)))
