"""Pre-training for retrieval: the sentence vector rebuilds the text, the tokens its bag of words.

Paper: RetroMAE v2: Duplex Masked Auto-Encoder For Pre-Training Retrieval-Oriented Language Models
(S. Xiao, Z. Liu and others, 2022); with ``bow_weight=0`` RetroMAE (S. Xiao and others, 2022).

Encoder: whole-word masks over 30% of x give x~, hidden states H, sentence vector c = H_0. Then::

    L_enc  cross-entropy of the vocabulary head on the masked words
    L_dec  one fresh layer rebuilds every word from c:
             queries Emb(c at every position), keys = values [c ; Emb(x)_1 ...], x unmasked;
             row i sees a sample of positions, never itself, always c; masks of 50%, one a row
    L_bow  u_v = max over ordinary positions of the head's logits (position 0 and padding left out)
           - sum over the distinct ids v of x of 1/L log_softmax(u)_v
    L = L_dec + bow_weight L_bow + L_enc

Use before fine-tuning a retriever for a domain with much text and few labels. Avoid where labelled
pairs abound, or for less text than some tens of thousand sentences. Cost of a step: the vocabulary
product for all tokens twice (decoder, bag of words) beside the encoder; the decoder is one layer
and is thrown away.
"""

from typing import Any

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from ._autoencoder import MaskedAutoencoder, check_shares, masked_lm_loss
from ._collator import mask_places, visible_keys

PADDED = -1000.0


def vocabulary_maxima(logits: Tensor, attention: Tensor) -> Tensor:
    """Take each word's highest logit over the ordinary tokens of a text.

    Args:
        logits: Of all positions, shape (B, L, vocabulary).
        attention: 1 for tokens, 0 for padding, shape (B, L).

    Returns:
        u, shape (B, vocabulary): position 0, the sentence vector's, and padding are left out.
    """
    padding = ~attention[:, 1:, None].bool()
    return logits[:, 1:].masked_fill(padding, PADDED).amax(1)


def bag_of_words(ids: Tensor, words: Tensor, vocabulary: int) -> Tensor:
    """Weigh the distinct ids of texts; repeats do not add up.

    Args:
        ids: Unmasked token ids, shape (B, L).
        words: Number of each token's word, -1 for special tokens and padding, shape (B, L).
        vocabulary: Number of ids.

    Returns:
        1 / (tokens of the text) at each id that occurs, 0 elsewhere, shape (B, vocabulary).
    """
    inside = words >= 0
    weights = torch.zeros(len(ids), vocabulary + 1, device=ids.device)
    share = 1.0 / inside.sum(1, keepdim=True).clamp_min(1)
    # special tokens are written to a column of their own, which is cut off
    weights.scatter_(1, torch.where(inside, ids, vocabulary), share.expand(ids.shape))
    return weights[:, :vocabulary]


def bag_of_words_loss(maxima: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of the bag of words against one softmax over the vocabulary.

    Args:
        maxima: From `vocabulary_maxima`, shape (B, vocabulary).
        weights: From `bag_of_words`.

    Returns:
        A scalar, mean over texts.
    """
    return -(weights * maxima.float().log_softmax(1)).sum(1).mean()


class DupMAE(MaskedAutoencoder):
    """Duplex masked auto-encoder, a loss of sentence-transformers that can also `fit` by itself.

    Args:
        model: A `SentenceTransformer` whose first module is a transformer of the BERT kind.
        enc_mask: Share of tokens hidden from the encoder.
        dec_mask: Share of positions hidden from each row of the decoder.
        bow_weight: Weight of the bag of words; 0 gives RetroMAE.
        decoder_weight: Weight of the decoder's loss; with 0 and ``bow_weight=0`` what is left is
            whole-word masked language modelling, the baseline.
        bottleneck: "cls" takes H_0 as c; "sentence" the model's own sentence embedding, for models
            with other pooling.
        seed: Seed of the decoder's start.

    Raises:
        ConfigError: A setting is out of range.
        ModelError: The backbone is not fit for masked pre-training.
    """

    def __init__(
        self,
        model: Any,
        *,
        enc_mask: float = 0.3,
        dec_mask: float = 0.5,
        bow_weight: float = 0.1,
        decoder_weight: float = 1.0,
        bottleneck: str = "cls",
        seed: int = 0,
    ) -> None:
        check_shares(enc_mask=enc_mask, dec_mask=dec_mask)
        if bow_weight < 0 or decoder_weight < 0 or bottleneck not in {"cls", "sentence"}:
            raise ConfigError(
                "bow_weight and decoder_weight must be at least 0 and bottleneck 'cls' or "
                f"'sentence'; got {bow_weight}, {decoder_weight} and {bottleneck!r}"
            )
        super().__init__(model, seed=seed)
        self.enc_mask, self.dec_mask = enc_mask, dec_mask
        self.bow_weight, self.decoder_weight = bow_weight, decoder_weight
        self.bottleneck = bottleneck

    def parts(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the parts of the loss, already weighted.

        Args:
            features: Features of one text column.

        Returns:
            "encoder", "decoder" and "bag_of_words"; those of weight 0 are left out.
        """
        ids, attention = features["input_ids"], features["attention_mask"]
        words = self.masker.words(ids, attention)
        hidden = mask_places(words) < self.enc_mask
        out = self._states(features, self.masker.corrupt(ids, hidden))
        states = out["token_embeddings"]
        logits = self.head(states if self.bow_weight else states[hidden], self._words())
        masked = logits[hidden] if self.bow_weight else logits
        found = {"encoder": masked_lm_loss(masked, ids[hidden])}
        if self.decoder_weight:
            center = states[:, 0] if self.bottleneck == "cls" else out["sentence_embedding"]
            found["decoder"] = self.decoder_weight * self._rebuild(center, ids, attention, words)
        if self.bow_weight:
            weights = bag_of_words(ids, words, logits.shape[-1])
            maxima = vocabulary_maxima(logits, attention)
            found["bag_of_words"] = self.bow_weight * bag_of_words_loss(maxima, weights)
        return found

    def _rebuild(self, center: Tensor, ids: Tensor, attention: Tensor, words: Tensor) -> Tensor:
        """Enhanced decoding: every word from the sentence vector and a sample of the others."""
        visible = visible_keys(words, attention, self.dec_mask)
        decoded = self.decode(center, ids, visible)
        wanted = words >= 0
        return masked_lm_loss(self.head(decoded[wanted], self._words()), ids[wanted])

    def decode(self, center: Tensor, ids: Tensor, visible: Tensor) -> Tensor:
        """Run the enhanced decoder.

        Args:
            center: Sentence vectors c, shape (B, dims).
            ids: Unmasked token ids, shape (B, L).
            visible: What each row sees, from `visible_keys`, shape (B, L, L).

        Returns:
            Shape (B, L, dims).
        """
        repeated = center[:, None].expand(-1, ids.shape[1], -1)
        queries = self.embed(self.encoder, repeated)
        keys = torch.cat([center[:, None], self._embedded(ids)[:, 1:]], 1)
        decoded: Tensor = self.decoder(queries, keys, visible)
        return decoded

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        names = ("enc_mask", "dec_mask", "bow_weight", "decoder_weight", "bottleneck")
        return {name: getattr(self, name) for name in names}

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return """
@misc{xiao2022retromaev2,
    title={RetroMAE v2: Duplex Masked Auto-Encoder For Pre-Training Retrieval-Oriented Language
        Models},
    author={Shitao Xiao and Zheng Liu},
    year={2022}
}
"""
