"""From the vectors of a phrase's words to one vector in the space of nodes.

    linear   A mean(w) + b                                       the baseline
    cnn      filters over 1, 2, 3, 5 words, ReLU, maximum over the phrase, then linear
    bilstm   states of both directions, maximum over the phrase, then linear

What comes out does not depend on how phrases are batched and padded.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ._options import Text2NodeOptions


class LinearMapper(nn.Module):
    """Linear on the mean word vector.

    Args:
        dims: Of a word vector.
        nodes: Dimensions of a node vector.
        options: Dropout.
    """

    def __init__(self, dims: int, nodes: int, options: Text2NodeOptions) -> None:
        super().__init__()
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(dims, nodes)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Map phrases.

        Args:
            words: Vectors, zeros behind each phrase, shape (phrases, longest, dims).
            lengths: Words of each phrase, at least 1, shape (phrases,).

        Returns:
            Shape (phrases, nodes).
        """
        mean = words.sum(1) / lengths[:, None].to(words)
        out: Tensor = self.output(self.dropout(mean))
        return out


class CNNMapper(nn.Module):
    """Convolutions of several widths with the maximum over the phrase.

    Args:
        dims: Of a word vector.
        nodes: Dimensions of a node vector.
        options: Units, widths and dropout.
    """

    def __init__(self, dims: int, nodes: int, options: Text2NodeOptions) -> None:
        super().__init__()
        self.dropout = nn.Dropout(options.dropout)
        self.widths = options.widths
        self.filters = nn.ModuleList(
            nn.Conv1d(dims, options.hidden, width) for width in options.widths
        )
        self.output = nn.Linear(options.hidden * len(options.widths), nodes)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Map phrases.

        Args:
            words: Vectors, zeros behind each phrase, shape (phrases, longest, dims).
            lengths: Words of each phrase, at least 1, shape (phrases,).

        Returns:
            Shape (phrases, nodes).
        """
        columns = self.dropout(words).transpose(1, 2)
        kept = torch.arange(words.shape[1], device=words.device)[None] < lengths[:, None]
        pooled = []
        for layer, width in zip(self.filters, self.widths, strict=True):
            # one window around each word, so that phrases shorter than a filter have some too
            ends = ((width - 1) // 2, width // 2)
            seen = torch.relu(layer(nn.functional.pad(columns, ends)))
            # ReLU gives nothing below 0
            pooled.append((seen * kept[:, None]).amax(2))
        out: Tensor = self.output(self.dropout(torch.cat(pooled, 1)))
        return out


class BiLSTMMapper(nn.Module):
    """LSTM in both directions with the maximum over the phrase.

    Args:
        dims: Of a word vector.
        nodes: Dimensions of a node vector.
        options: Units and dropout.
    """

    def __init__(self, dims: int, nodes: int, options: Text2NodeOptions) -> None:
        super().__init__()
        self.dropout = nn.Dropout(options.dropout)
        self.states = nn.LSTM(dims, options.hidden, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * options.hidden, nodes)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Map phrases.

        Args:
            words: Vectors, zeros behind each phrase, shape (phrases, longest, dims).
            lengths: Words of each phrase, at least 1, shape (phrases,).

        Returns:
            Shape (phrases, nodes).
        """
        packed = pack_padded_sequence(
            self.dropout(words), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(
            self.states(packed)[0], batch_first=True, padding_value=-torch.inf
        )
        out: Tensor = self.output(self.dropout(states.amax(1)))
        return out


MAPPERS: dict[str, type[nn.Module]] = {
    "bilstm": BiLSTMMapper,
    "cnn": CNNMapper,
    "linear": LinearMapper,
}
