"""The embedded topic model: topics as points among the vectors of words.

Paper: Topic Modeling in Embedding Spaces (A. Dieng, F. Ruiz and D. Blei, 2020). With rho the
vectors of V words and alpha those of K topics, a text is drawn by

    delta ~ N(0, I),  theta = softmax(delta),  beta_k = softmax_V(rho alpha_k)
    each word ~ theta beta

and learned by amortised variational inference: a network reads the shares of words x of a text,

    q(delta | x) = N(mu(x), diag sigma(x)^2)
    loss = -sum_v x_v log(theta beta)_v + KL(q || N(0, I)),  theta drawn by reparametrisation

Use over LDA where the vocabulary is large and holds rare words, or where word vectors are at hand.
Cost: batch x V x K a step; the vectors of words are V x dims.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import ConfigError

# keeps the log of a word that no topic gives away from minus infinity, as the authors do
_FLOOR = 1e-6


def word_shares(words: Tensor, topics: Tensor) -> Tensor:
    """Distributions of topics over words.

    Args:
        words: rho, shape (V, dims).
        topics: alpha, shape (K, dims).

    Returns:
        beta, shape (K, V); rows sum to 1.
    """
    return F.softmax(topics @ words.T, dim=1)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of a diagonal Gaussian from the standard one.

    Args:
        mean: mu, shape (texts, K).
        log_variance: log sigma^2, shape (texts, K).

    Returns:
        Nats, shape (texts,).
    """
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)


def word_loss(counts: Tensor, theta: Tensor, beta: Tensor) -> Tensor:
    """Negative log likelihood of texts.

    Args:
        counts: How often each word stands in each text, shape (texts, V).
        theta: Shares of topics, shape (texts, K).
        beta: Shares of words, shape (K, V).

    Returns:
        Nats, shape (texts,).
    """
    return -(counts * (theta @ beta + _FLOOR).log()).sum(1)


@dataclass(frozen=True)
class ETMSizes:
    """Sizes of the model.

    Attributes:
        words: V.
        topics: K.
        dims: Of the vectors of words and topics.
        hidden: Units of each of the two layers that read a text.
        dropout: Share of units dropped after them in training.
    """

    words: int
    topics: int
    dims: int = 300
    hidden: int = 800
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if min(self.words, self.topics, self.dims, self.hidden) < 1:
            raise ConfigError(
                "words, topics, dims and hidden must be at least 1; got "
                f"{self.words}, {self.topics}, {self.dims} and {self.hidden}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be from 0 to below 1; got {self.dropout}")


class ETM(nn.Module):
    """The model; `EmbeddedTopicModel` trains it on texts.

    Args:
        sizes: Sizes.
        vectors: Vectors of the words to start from, shape (V, dims); None draws them.
        train_words: Whether these are trained; False keeps what was given.

    Raises:
        ConfigError: Vectors of another shape.
    """

    def __init__(
        self, sizes: ETMSizes, *, vectors: Tensor | None = None, train_words: bool = True
    ) -> None:
        super().__init__()
        self.sizes = sizes
        shape = (sizes.words, sizes.dims)
        if vectors is not None and vectors.shape != shape:
            raise ConfigError(f"vectors must have shape {shape}; got {tuple(vectors.shape)}")
        start = torch.randn(shape) if vectors is None else vectors.detach().clone().float()
        self.words = nn.Parameter(start, requires_grad=train_words)
        # the scale of a linear layer without bias, which alpha is in the authors' code
        bound = sizes.dims**-0.5
        self.topics = nn.Parameter(torch.empty(sizes.topics, sizes.dims).uniform_(-bound, bound))
        self.reader = nn.Sequential(
            nn.Linear(sizes.words, sizes.hidden),
            nn.ReLU(),
            nn.Linear(sizes.hidden, sizes.hidden),
            nn.ReLU(),
            nn.Dropout(sizes.dropout),
        )
        self.mean = nn.Linear(sizes.hidden, sizes.topics)
        self.log_variance = nn.Linear(sizes.hidden, sizes.topics)

    @property
    def beta(self) -> Tensor:
        """Distributions of topics over words, shape (K, V)."""
        return word_shares(self.words, self.topics)

    def read(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Infer the posterior of texts.

        Args:
            counts: Shape (texts, V).

        Returns:
            Mean and log variance of delta, both (texts, K).
        """
        shares = counts / counts.sum(1, keepdim=True).clamp_min(1.0)
        seen = self.reader(shares)
        return self.mean(seen), self.log_variance(seen)

    def theta(self, counts: Tensor) -> Tensor:
        """Shares of topics at the mean of the posterior.

        Args:
            counts: Shape (texts, V).

        Returns:
            Shape (texts, K); rows sum to 1; all alike for a text without a word.
        """
        mean, _ = self.read(counts)
        return F.softmax(mean * counts.any(1, keepdim=True), dim=1)

    def forward(self, counts: Tensor) -> Tensor:
        """Bound on the negative log likelihood, to be made small.

        Args:
            counts: Shape (texts, V).

        Returns:
            Mean over the texts, nats.
        """
        mean, log_variance = self.read(counts)
        delta = mean
        if self.training:
            delta = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        likelihood = word_loss(counts, F.softmax(delta, dim=1), self.beta)
        return (likelihood + gaussian_kl(mean, log_variance)).mean()
