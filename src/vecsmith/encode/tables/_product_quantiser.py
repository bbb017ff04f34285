"""Product quantiser with straight-through gradients: codebooks that learn from any loss.

Product quantisation (H. Jegou, M. Douze and C. Schmid, 2011) cuts a vector into M parts and stands
each part for the nearest of P codewords; a vector then needs M log2(P) bits. Differentiable forms
(T. Chen, L. Li and Y. Sun, 2020, DPQ; S. Xiao and others, 2022, Distill-VQ): forward takes the
nearest codeword, backward goes through the softmax of the negative squared distances,

    p = softmax_j(-|u^i - c^i_j|^2 / T),  w = hard(p) - stop(p) + p,  q^i = sum_j w_j c^i_j

("softmax"), or straight to the vector that was quantised ("copy", where q = u + stop(c - u) and the
codewords learn by their distance to it).

Shared by learned indexes (`vecsmith.store.DistillVQ`) and compressed tables (MGQE, DPQ). Cost:
rows * P * dims multiplications and rows * M * P numbers.
"""

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

GRADIENTS = ("softmax", "copy")


def split_parts(vectors: Tensor, parts: int) -> Tensor:
    """Cut vectors into parts of equal width.

    Args:
        vectors: Shape (rows, dims).
        parts: How many, a divisor of dims.

    Returns:
        Shape (parts, rows, dims / parts).
    """
    return vectors.unflatten(-1, (parts, -1)).movedim(-2, 0)


def negative_distances(vectors: Tensor, codebooks: Tensor) -> Tensor:
    """Negative squared distance of every part to every codeword.

    Args:
        vectors: Shape (rows, dims).
        codebooks: Shape (parts, codewords, dims / parts).

    Returns:
        Shape (parts, rows, codewords).
    """
    pieces = split_parts(vectors, len(codebooks))
    cross = pieces @ codebooks.transpose(1, 2)
    squares = pieces.square().sum(-1, keepdim=True) + codebooks.square().sum(-1)[:, None]
    return 2 * cross - squares


def read_codes(codes: Tensor, codebooks: Tensor) -> Tensor:
    """Put vectors together from their codes.

    Args:
        codes: Integers, shape (rows, parts).
        codebooks: Shape (parts, codewords, dims / parts).

    Returns:
        Shape (rows, dims).
    """
    part = torch.arange(len(codebooks), device=codes.device)
    return codebooks[part, codes.long()].flatten(1)


class ProductQuantiser(nn.Module):
    """Codebooks as parameters.

    Args:
        dims: Width of the vectors, a multiple of `parts`.
        parts: Codewords that make a vector.
        codewords: Choices for each part.
        gradient: "softmax" (through the distances) or "copy" (to the vectors as they are).
        temperature: Divides the distances in the softmax.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        dims: int,
        parts: int,
        codewords: int = 256,
        *,
        gradient: str = "softmax",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if parts < 1 or dims % parts:
            raise ConfigError(f"parts must divide the {dims} dimensions; got {parts}")
        if codewords < 1:
            raise ConfigError(f"codewords must be at least 1; got {codewords}")
        if gradient not in GRADIENTS:
            raise ConfigError(f"gradient must be one of {GRADIENTS}; got {gradient!r}")
        if not temperature > 0:
            raise ConfigError(f"temperature must be above 0; got {temperature}")
        self.gradient = gradient
        self.temperature = temperature
        self.codebooks = nn.Parameter(torch.empty(parts, codewords, dims // parts))
        nn.init.normal_(self.codebooks, std=dims**-0.5)

    @property
    def parts(self) -> int:
        """Codewords that make a vector."""
        return self.codebooks.shape[0]

    def encode(self, vectors: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Find the nearest codewords.

        Args:
            vectors: Shape (rows, dims).
            allowed: How many of the first codewords each row may use, shape (rows,); None: all.

        Returns:
            Codes, int64, shape (rows, parts).
        """
        scores = negative_distances(vectors, self.codebooks)
        return _masked(scores, allowed).argmax(-1).T

    def decode(self, codes: Tensor) -> Tensor:
        """Put vectors together from codes.

        Args:
            codes: Integers, shape (rows, parts).

        Returns:
            Shape (rows, dims).
        """
        return read_codes(codes, self.codebooks)

    def forward(self, vectors: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Quantise with gradients.

        Args:
            vectors: Shape (rows, dims).
            allowed: How many of the first codewords each row may use, shape (rows,); None: all.

        Returns:
            The nearest codewords, shape (rows, dims); gradients as the class says.
        """
        scores = _masked(negative_distances(vectors, self.codebooks), allowed)
        codes = scores.argmax(-1)
        if self.gradient == "copy":
            return vectors + (self.decode(codes.T) - vectors).detach()
        soft = torch.softmax(scores / self.temperature, dim=-1)
        # hard - soft, without a gradient
        gap = (-soft.detach()).scatter_add_(-1, codes[..., None], torch.ones_like(soft[..., :1]))
        weights = soft + gap
        return (weights @ self.codebooks).movedim(0, -2).flatten(-2)

    def codeword_loss(self, vectors: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Mean squared distance of the codewords to the (fixed) vectors, which "copy" needs.

        Args:
            vectors: Shape (rows, dims).
            allowed: How many of the first codewords each row may use, shape (rows,); None: all.

        Returns:
            A scalar.
        """
        vectors = vectors.detach()
        with torch.no_grad():
            codes = self.encode(vectors, allowed)
        return (self.decode(codes) - vectors).square().sum(-1).mean()


def _masked(scores: Tensor, allowed: Tensor | None) -> Tensor:
    if allowed is None:
        return scores
    beyond = torch.arange(scores.shape[-1], device=scores.device) >= allowed[:, None]
    return scores.masked_fill(beyond, float("-inf"))
