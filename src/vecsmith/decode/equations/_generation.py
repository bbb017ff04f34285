"""Formulas from vectors: sampling or beam search in which whole trees alone can come out.

At each step the grammar of prefix order takes away every token after which the formula could not be
ended within its length, so that nothing has to be thrown away afterwards.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vecsmith.core import ConfigError, DataError, torch_generator
from vecsmith.data.formulas import Expression, PrefixGrammar

from ._decoder import Cache, EquationDecoder

BOS, EOS = 1, 2
Ids = NDArray[np.int64]


class Decoded(NamedTuple):
    """One formula.

    Attributes:
        expression: The formula.
        log_probability: Of its tokens under the decoder, among the allowed ones.
    """

    expression: Expression
    log_probability: float


@torch.inference_mode()
def decode_formulas(
    decoder: EquationDecoder,
    latents: ArrayLike,
    *,
    beams: int = 1,
    temperature: float | None = None,
    dims: int | None = None,
    seed: int = 0,
) -> list[list[Decoded]]:
    """Write formulas for vectors.

    Args:
        decoder: A trained decoder.
        latents: Vectors of the SNIP that it was trained on, shape (rows, latent).
        beams: Formulas of each vector.
        temperature: Draw each formula, at this temperature; None searches by beams.
        dims: Inputs of the data; None allows all.
        seed: Seed of the draws.

    Returns:
        Formulas of each vector, the likeliest first; by beams all of them differ.

    Raises:
        ConfigError: An argument is out of range.
        DataError: Vectors of another shape, or not finite.
    """
    given = np.asarray(latents, np.float32)
    if given.ndim != 2 or given.shape[1] != decoder.config.latent or not np.isfinite(given).all():
        raise DataError(
            f"latents must be finite, shape (rows, {decoder.config.latent}); got {given.shape}"
        )
    if beams < 1 or (temperature is not None and not temperature > 0):
        raise ConfigError(
            f"beams must be at least 1, temperature above 0 or None; got {beams}, {temperature}"
        )
    limit = decoder.config.max_tokens - 2
    grammar = PrefixGrammar(decoder.tokenizer, limit, dims or decoder.config.max_dim)
    device = decoder.output.weight.device
    memory = decoder.memory(torch.from_numpy(given).to(device))
    memory = [(k.repeat_interleave(beams, 0), v.repeat_interleave(beams, 0)) for k, v in memory]
    search = _Search(decoder, grammar, memory, (len(given), beams))
    generator = None if temperature is None else torch_generator(seed, "decode")
    ids, scores = search.run(temperature, generator)
    out = []
    for row, values in zip(ids, scores, strict=True):
        found = [
            Decoded(decoder.tokenizer.decode(line), float(value))
            for line, value in zip(row, values, strict=True)
            if np.isfinite(value)
        ]
        out.append(sorted(found, key=lambda item: -item.log_probability))
    return out


class _Search:
    """Rows times beams, written token by token."""

    def __init__(
        self,
        decoder: EquationDecoder,
        grammar: PrefixGrammar,
        memory: list[Cache],
        shape: tuple[int, int],
    ) -> None:
        self.decoder, self.grammar, self.memory, self.shape = decoder, grammar, memory, shape

    def run(
        self, temperature: float | None, generator: torch.Generator | None
    ) -> tuple[Ids, NDArray[np.float32]]:
        """Return tokens, shape (rows, beams, places), and the log probability of each line."""
        rows, beams = self.shape
        device = self.decoder.output.weight.device
        state = self.grammar.start(rows * beams)
        scores = torch.zeros(rows, beams)
        if generator is None:
            # all lines start alike: one of them alone is gone on from
            scores[:, 1:] = -torch.inf
        last = torch.full((rows * beams, 1), BOS, device=device)
        lines = np.zeros((rows * beams, 0), np.int64)
        kept: list[Cache] | None = None
        for done in range(self.grammar.max_tokens):
            logits, kept = self.decoder.write(last, self.memory, kept)
            allowed = torch.from_numpy(self.grammar.allowed(state, done))
            logits = logits[:, -1].float().cpu().masked_fill(~allowed, -torch.inf)
            logp = logits.log_softmax(-1)
            if generator is None:
                origin, ids, scores = _best(scores, logp)
                kept = [(k[origin.to(device)], v[origin.to(device)]) for k, v in kept]
                state = (state[0][origin.numpy()], state[1][origin.numpy()])
                lines = lines[origin.numpy()]
            else:
                chances = (logits / (temperature or 1.0)).softmax(-1)
                ids = torch.multinomial(chances, 1, generator=generator)[:, 0]
                scores = scores + logp.gather(1, ids[:, None]).view(rows, beams)
            state = self.grammar.advance(state, ids.numpy())
            lines = np.concatenate([lines, ids.numpy()[:, None]], axis=1)
            last = ids[:, None].to(device)
            if (state[0] == 0).all():
                break
        return lines.reshape(rows, beams, -1), scores.numpy()


def _best(scores: Tensor, logp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the best lines of each row: whence each comes, its token, and its score."""
    rows, beams = scores.shape
    words = logp.shape[-1]
    total = (scores[..., None] + logp.view(rows, beams, words)).flatten(1)
    kept, places = total.topk(beams, dim=-1)
    origin = (torch.arange(rows)[:, None] * beams + places // words).flatten()
    # a line without hope must still hold tokens that the grammar can read
    lost = torch.isinf(kept).flatten()
    ids = torch.where(lost, torch.full_like(origin, EOS), (places % words).flatten())
    return origin, ids, kept
