"""Window classifier (CNN): words in windows of fixed width, pooled by their maxima.

R. Collobert and others (2011), in the form that S. Lai's thesis compares RCNN with and judges word
vectors by: y_i = tanh(W [e(w_{i-k}); ..; e(w_{i+k})] + b), document = max_i y_i, softmax. Outside a
text stand zeros.

Use when labels hang on phrases of a few words: it is as good as `RCNNClassifier` on sentences, and
runs at once over all positions. Cost: O(n H width e) for n words.
"""

from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from ._config import MaxPooledConfig
from ._max_pooled import MaxPooledClassifier


class WindowCNNConfig(MaxPooledConfig):
    """Shape of a `WindowCNNClassifier`.

    Args:
        width: Words of a window, odd.
        **kwargs: Of `MaxPooledConfig`.
    """

    model_type = "vecsmith-window-cnn"

    def __init__(self, width: int = 3, **kwargs: Any) -> None:
        if not isinstance(width, int) or width < 1 or width % 2 == 0:
            raise ConfigError(f"width must be an odd number of words; got {width!r}")
        self.width = width
        super().__init__(**kwargs)


class WindowCNNClassifier(MaxPooledClassifier):
    """Classify texts by words in windows.

    Args:
        config: As saved; None makes one from the other arguments.
        vectors: Word vectors that training starts from and changes; None learns the words from the
            training texts, and starts at random.
        **shape: Of `WindowCNNConfig`: num_labels, hidden, width, dims (without vectors), dropout,
            max_words, lower_case.
    """

    config_class: Any = WindowCNNConfig

    def build(self, config: MaxPooledConfig) -> None:
        """Make the layers below the pooling.

        Args:
            config: A `WindowCNNConfig`.
        """
        width = config.width
        self.inner = nn.Conv1d(config.dims, config.hidden, width, padding=width // 2)

    def units(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Describe each word in its window.

        Args:
            embedded: Word vectors, shape (texts, words, dims).
            mask: True where a word is, words first, same leading shape.

        Returns:
            Shape (texts, words, hidden), in [-1, 1].
        """
        clean = embedded * mask[..., None]
        return torch.tanh(self.inner(clean.transpose(1, 2)).transpose(1, 2))
