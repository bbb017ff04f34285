"""Pre-training that practises the sizes which will be served (Starbucks' masked auto-encoding).

Paper: Starbucks: Improved Training for 2D Matryoshka Embeddings (S. Zhuang and others, 2024), its
pre-training half.

One forward pass of the encoder on masked ids; then, for each entry (n, d) of a menu of sizes, from
the states of layer n cut to their first d dimensions::

    t    = LN(act(h_n[:, :, :d] W[:, :d]^T + b))       the head's transform, read in d columns
    mlm  = cross-entropy of t E^T on the tokens hidden from the encoder
    mae  = one layer, fed with t at position 0 and the embeddings of ids in which more is hidden,
           tells those hidden ones
    L    = mean over the menu of (mlm + mae) / 2

One W serves every d, so that leading dimensions must suffice on their own. The encoder's hidden
words are among the decoder's. The decoder starts as the backbone's first layer, shares embeddings
and head with it, and is thrown away.

Use before fine-tuning a model that will be cut to a few known sizes. Avoid it for one size: then
DupMAE or plain masked language modelling does more. Cost of a step: the encoder once, and a decoder
layer with two vocabulary products of the hidden tokens for each menu entry.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from ._autoencoder import MaskedAutoencoder, check_shares, masked_lm_loss
from ._collator import mask_places
from ._decoder import first_layer


class SMAE(MaskedAutoencoder):
    """Masked auto-encoder for a menu of sizes; a loss of sentence-transformers that can also `fit`.

    Args:
        model: A `SentenceTransformer` whose first module is a transformer of the BERT kind.
        menu: Pairs (layers, dimensions), small to large.
        enc_mask: Share of tokens hidden from the encoder.
        dec_mask: Share hidden from the decoder, the encoder's among them.
        seed: Seed of the decoder's start where the backbone's first layer cannot be copied.

    Raises:
        ConfigError: The menu is empty or asks for more than the backbone has, or a share is out of
            range.
        ModelError: The backbone is not fit for masked pre-training.
    """

    random_crop = True

    def __init__(
        self,
        model: Any,
        menu: Sequence[tuple[int, int]],
        *,
        enc_mask: float = 0.2,
        dec_mask: float = 0.4,
        seed: int = 0,
    ) -> None:
        check_shares(enc_mask=enc_mask, dec_mask=dec_mask)
        if enc_mask > dec_mask:
            raise ConfigError(
                "enc_mask must not be above dec_mask: the encoder's hidden words are among the "
                f"decoder's; got {enc_mask} and {dec_mask}"
            )
        super().__init__(model, seed=seed)
        self.menu = tuple((int(layers), int(dims)) for layers, dims in menu)
        config = self.encoder.config
        most = (config.num_hidden_layers, config.hidden_size)
        if not self.menu or any(not (0 < n <= most[0] and 0 < d <= most[1]) for n, d in self.menu):
            raise ConfigError(
                f"menu must hold pairs (layers, dimensions) within {most}, what the backbone has; "
                f"got {self.menu}"
            )
        self.enc_mask, self.dec_mask = enc_mask, dec_mask
        layer = first_layer(self.encoder)
        if layer is not None:
            self.decoder.copy_from(layer)

    def parts(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the parts of the loss, already weighted.

        Args:
            features: Features of one text column.

        Returns:
            "encoder" and "decoder", means over the menu, halved.
        """
        ids, attention = features["input_ids"], features["attention_mask"]
        places = mask_places(self.masker.words(ids, attention))
        seldom, often = places < self.enc_mask, places < self.dec_mask
        layers = self._layers(features, self.masker.corrupt(ids, seldom))
        inputs = self._embedded(self.masker.corrupt(ids, often))
        words = self._words()
        known, rebuilt = [], []
        for count, dims in self.menu:
            told = self.head.transform(layers[count][..., :dims])
            logits = torch.nn.functional.linear(told[seldom], words, self.head.bias)
            known.append(masked_lm_loss(logits, ids[seldom]))
            decoded = self.decode(told[:, 0], inputs, attention)
            rebuilt.append(masked_lm_loss(self.head(decoded[often], words), ids[often]))
        return {
            "encoder": torch.stack(known).mean() / 2,
            "decoder": torch.stack(rebuilt).mean() / 2,
        }

    def decode(self, center: Tensor, inputs: Tensor, attention: Tensor) -> Tensor:
        """Run the decoder: it sees the sentence vector and its own input, no encoder states.

        Args:
            center: What stands at position 0, shape (B, dims).
            inputs: Embedded ids of the decoder, shape (B, L, dims).
            attention: 1 for tokens, 0 for padding, shape (B, L).

        Returns:
            Shape (B, L, dims).
        """
        fed = torch.cat([center[:, None], inputs[:, 1:]], 1)
        decoded: Tensor = self.decoder(fed, fed, attention.bool()[:, None])
        return decoded

    def _layers(self, features: dict[str, Tensor], ids: Tensor) -> list[Tensor]:
        """Return the states of every layer, the embeddings' first, as cut models would give."""
        base = self.encoder
        before = base.config.output_hidden_states
        base.config.output_hidden_states = True
        try:
            out = self._states(features, ids)
        finally:
            base.config.output_hidden_states = before
        # a backbone with a last norm (ModernBERT) applies it behind whatever layer is its last
        norm = getattr(base, "final_norm", None)
        inner = list(out["all_layer_embeddings"])[:-1]
        if norm is not None:
            inner = [norm(states) for states in inner]
        return [*inner, out["token_embeddings"]]

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        menu = [list(entry) for entry in self.menu]
        return {"menu": menu, "enc_mask": self.enc_mask, "dec_mask": self.dec_mask}

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return """
@misc{zhuang2024starbucks,
    title={Starbucks: Improved Training for 2D Matryoshka Embeddings},
    author={Shengyao Zhuang and Shuai Wang and Bevan Koopman and Guido Zuccon},
    year={2024}
}
"""
