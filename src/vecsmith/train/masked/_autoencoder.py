"""What masked auto-encoders share: a loss of one text column, that also trains by itself.

A `MaskedAutoencoder` is an ordinary loss of sentence-transformers: it holds the model, masks the
token ids of its text column itself, and returns a scalar. So it runs in
`SentenceTransformerTrainer`, alone or beside other losses; `fit` trains on plain texts without it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader
from typing_extensions import Self

from vecsmith.core import (
    Budget,
    ConfigError,
    DataError,
    FitOptions,
    FitResult,
    ModelError,
    fit,
    fresh_dir,
)
from vecsmith.encode import quiet_hosts, resolve_model
from vecsmith.train.contrastive import state_beside_model, state_callback

from ._collator import TextCollator, WordMasker
from ._decoder import DecoderLayer, InputEmbedding
from ._head import VocabularyHead, backbone, save_masked_model, word_vectors


def masked_lm_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of hidden tokens.

    Args:
        logits: Of the hidden positions alone, shape (hidden, vocabulary).
        targets: Their ids, shape (hidden,).

    Returns:
        A scalar; 0 where nothing was hidden.
    """
    total = F.cross_entropy(logits.float(), targets, reduction="sum")
    return total / max(len(targets), 1)


class MaskedAutoencoder(nn.Module):
    """Base of the masked auto-encoders: model, head, decoder, masks.

    Args:
        model: A `SentenceTransformer` whose first module is a transformer of the BERT kind.
        seed: Seed of the decoder's start, the same on every process. Masks come from torch's global
            generator, which trainers seed and store in their checkpoints.

    Raises:
        ModelError: The backbone or its tokenizer is not fit for masked pre-training.
    """

    random_crop = False

    def __init__(self, model: Any, *, seed: int = 0) -> None:
        super().__init__()
        self.model = model
        base = self.encoder
        tokenizer = getattr(model, "tokenizer", None)
        if tokenizer is None or tokenizer.cls_token_id is None:
            raise ModelError(
                "masked pre-training needs a tokenizer that begins texts with a CLS token; "
                f"{type(tokenizer).__name__} has none"
            )
        if tokenizer.padding_side != "right":
            raise ModelError("masked pre-training needs padding_side 'right'; got 'left'")
        self.masker = WordMasker(tokenizer, vocabulary=word_vectors(base).shape[0])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.head = VocabularyHead.of(base, _checkpoint(base))
            self.decoder = DecoderLayer(base.config)
            self.embed = InputEmbedding(base)
        for part in (self.masker, self.head, self.decoder, self.embed):
            part.to(base.device)
        for parameter in self._own():
            parameter.register_hook(_mean_over_processes)
        self.last_parts: dict[str, Tensor] = {}

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, max_length: int | None = None, **options: Any
    ) -> Self:
        """Start from a checkpoint.

        Args:
            name: Hub id, folder of transformers, or folder of sentence-transformers.
            max_length: Length at which texts are cut; None takes the tokenizer's.
            **options: Settings of the class.

        Returns:
            The auto-encoder, on the CPU, around a model with CLS pooling.

        Raises:
            ModelError: Not found, or not of the BERT kind.
        """
        folder = str(resolve_model(name).path)
        try:
            with quiet_hosts():
                module = Transformer(folder, max_seq_length=max_length)
                pooling = Pooling(module.get_embedding_dimension(), "cls")
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"model {str(name)!r} does not load as a text encoder: {error}") from (
                error
            )
        return cls(SentenceTransformer(modules=[module, pooling], device="cpu"), **options)

    @property
    def encoder(self) -> Any:
        """The backbone: a model of transformers without head."""
        return backbone(self.model)

    def parts(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the parts of the loss, already weighted.

        Args:
            features: Features of one text column.

        Returns:
            Name -> scalar; their sum is the loss.
        """
        raise NotImplementedError

    def forward(
        self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            sentence_features: Features of each text column; several columns are averaged.
            labels: Not used; the data set needs none.

        Returns:
            A scalar. `last_parts` keeps its parts, detached.

        Raises:
            DataError: No text column, or flattened features without attention mask.
        """
        columns = list(sentence_features)
        if not columns or any("attention_mask" not in column for column in columns):
            raise DataError(
                "masked pre-training needs a text column with input_ids and attention_mask; "
                f"got {[sorted(column) for column in columns]}: for flash attention set "
                "unpad_inputs=False"
            )
        found = [self.parts(column) for column in columns]
        parts = {n: torch.stack([f[n] for f in found]).mean() for n in found[0]}
        self.last_parts = {name: value.detach() for name, value in parts.items()}
        return torch.stack(list(parts.values())).sum()

    def fit(
        self,
        texts: Sequence[str],
        *,
        budget: Budget,
        options: FitOptions | None = None,
        batch_size: int = 32,
        checkpoint: str | Path | None = None,
    ) -> FitResult:
        """Train on texts with `core.fit`; over several processes too.

        Args:
            texts: Raw texts.
            budget: How long.
            options: How; by default learning rate 1e-4, linear, 10% warm-up.
            batch_size: Texts a step and process.
            checkpoint: Folder for the checkpoint of an interrupted run.

        Returns:
            How the training went.

        Raises:
            DataError: No texts.
        """
        if not len(texts):
            raise DataError("texts must hold at least one text; got none")
        collate = TextCollator(
            self.model.preprocess, self.model.tokenizer, random_crop=self.random_crop
        )
        loader: DataLoader[str] = DataLoader(
            list(texts),  # type: ignore[arg-type]
            batch_size=batch_size,
            shuffle=True,
            collate_fn=collate,
        )
        pooler = getattr(self.encoder, "pooler", None)
        idle = [] if pooler is None else [p for p in pooler.parameters() if p.requires_grad]
        for parameter in idle:
            parameter.requires_grad_(False)
        try:
            return fit(
                self,
                lambda net, batch: net([batch]),
                loader,
                budget=budget,
                options=options or FitOptions(lr=1e-4),
                checkpoint=checkpoint,
            )
        finally:
            for parameter in idle:
                parameter.requires_grad_(True)

    def own_state(self) -> dict[str, Tensor]:
        """Return what there is besides the model: head, decoder, positions.

        Returns:
            Name -> tensor.
        """
        return state_beside_model(self)

    def progress_callback(self, name: str = "") -> Any:
        """Make the `TrainerCallback` that keeps head and decoder beside a trainer's checkpoints.

        Args:
            name: Tells the losses of one trainer apart.

        Raises:
            ModelError: From the trainer, at a checkpoint that lacks them.
        """
        return state_callback(self, name)

    def save_encoder(self, folder: str | Path) -> None:
        """Save encoder and head as `AutoModelForMaskedLM` loads them, with the tokenizer.

        Args:
            folder: Where to; what lies there is replaced. sentence-transformers loads it too.
        """
        with fresh_dir(folder) as fresh:
            save_masked_model(self.encoder, self.head, fresh)
            self.model.tokenizer.save_pretrained(str(fresh))

    def _own(self) -> list[nn.Parameter]:
        parts = (self.head, self.decoder, self.embed)
        return [parameter for part in parts for parameter in part.parameters()]

    def _states(self, features: dict[str, Tensor], ids: Tensor) -> dict[str, Any]:
        # through the model itself, so that a wrapper for several processes sees its forward pass
        out: dict[str, Any] = self.model({**features, "input_ids": ids})
        return out

    def _words(self) -> Tensor:
        return word_vectors(self.encoder)

    def _embedded(self, ids: Tensor) -> Tensor:
        return self.embed(self.encoder, F.embedding(ids, self._words()))


def check_shares(**shares: float) -> None:
    """Check shares of hidden tokens.

    Args:
        **shares: Name -> share.

    Raises:
        ConfigError: Not between 0 and 1.
    """
    for name, share in shares.items():
        if not 0.0 < share < 1.0:
            raise ConfigError(f"{name} must lie between 0 and 1, both excluded; got {share!r}")


def _checkpoint(base: Any) -> str | None:
    source = getattr(base.config, "_name_or_path", "")
    try:
        # it was loaded from there, so that it is still at hand, or nowhere
        return str(resolve_model(source, offline=True).path) if source else None
    except ModelError:
        return None


def _mean_over_processes(gradient: Tensor) -> Tensor:
    # a trainer wraps the model for several processes, but not what a loss holds beside it
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return gradient
    total = gradient.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
