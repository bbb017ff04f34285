"""Pretrain a vision encoder on pictures with texts, so that later classifiers need few labels.

The whole of ConVIRT (Y. Zhang and others, 2020) around `bidirectional_contrastive`::

    picture -> random view -> vision encoder -> h_v -> W2 relu(W1 h_v) = v
    text -> one sentence at random -> text encoder -> maximum over tokens -> h_u -> … = u

After training `image_encoder` is what one keeps: classifiers take h_v, not v. The projections stay
for retrieval between texts and pictures.

Use when there are many pictures with words and few labels. Avoid when the words do not tell what
the labels ask for. Cost: a step of both encoders; with ``freeze_text="all"`` texts are encoded
once, and a step costs what the vision encoder costs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoTokenizer, VisionTextDualEncoderModel

from vecsmith.core import (
    Budget,
    ConfigError,
    EpochBatches,
    FitOptions,
    FitResult,
    ModelError,
    atomic_path,
    fit,
    numpy_generator,
    read_json,
    torch_generator,
    write_json,
)
from vecsmith.encode import quiet_hosts
from vecsmith.encode.images import VisionEncoder

from ._image_views import ImageViews
from ._paired_data import PairedDataset
from ._paired_images import BidirectionalContrastiveLoss
from ._text_tower import TextTower

PROJECTIONS, SETTINGS = "projections.safetensors", "paired.json"


def projection(dims: int, out: int, seed: int, name: str) -> nn.Sequential:
    """Build g(h) = W2 relu(W1 h).

    Args:
        dims: Dimensions of h; also those of the hidden layer.
        out: Dimensions of g(h).
        seed: Seed of the weights.
        name: Which projection; other names give other weights.

    Returns:
        The module, without biases.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_generator(seed, "projection", name).initial_seed())
        return nn.Sequential(
            nn.Linear(dims, dims, bias=False), nn.ReLU(), nn.Linear(dims, out, bias=False)
        )


class PairedPretrainer(nn.Module):
    """A vision encoder and a text encoder, each with a projection into a shared space.

    Args:
        image: A `VisionEncoder`, or hub id or folder of a vision model.
        text: A `TextTower`, or hub id or folder of a text encoder.
        proj_dim: Dimensions of the shared space.
        text_pool: "max", "mean" or "first"; for a text given by name.
        freeze_text: "half" (embeddings and the lower half of the layers), "none" or "all"; for a
            text given by name.
        max_tokens: Length at which texts are cut; for a text given by name.
        seed: Seed of the projections.
    """

    def __init__(
        self,
        image: VisionEncoder | str | Path,
        text: TextTower | str | Path,
        *,
        proj_dim: int = 512,
        text_pool: str = "max",
        freeze_text: str = "half",
        max_tokens: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(image, VisionEncoder):
            image = VisionEncoder.from_pretrained(image)
        if not isinstance(text, TextTower):
            text = TextTower.from_pretrained(
                text, pool=text_pool, freeze=freeze_text, max_tokens=max_tokens
            )
        self.image_encoder, self.text_tower = image, text
        self.image_projection = projection(image.dims, proj_dim, seed, "image")
        self.text_projection = projection(text.dims, proj_dim, seed, "text")
        self.loss = BidirectionalContrastiveLoss()

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Project a batch.

        Args:
            batch: "pixels" (B, 3, height, width), and "features" (tokenised texts) or "texts"
                (vectors of a frozen tower, shape (B, dims)).

        Returns:
            v and u, shape (B, proj_dim) each.
        """
        h_u = batch["texts"] if "texts" in batch else self.text_tower(batch["features"])
        return (
            self.image_projection(self.image_encoder(batch["pixels"]).h),
            self.text_projection(h_u),
        )

    def fit(
        self,
        pairs: PairedDataset,
        *,
        budget: Budget,
        batch_size: int = 32,
        views: ImageViews | None = None,
        loss: BidirectionalContrastiveLoss | None = None,
        options: FitOptions | None = None,
        checkpoint: str | Path | None = None,
    ) -> FitResult:
        """Train on pairs.

        Args:
            pairs: Pictures and texts.
            budget: How long.
            batch_size: Pairs a step; with several processes, of each of them.
            views: How views are drawn; by default those of the paper.
            loss: tau and lambda; by default those of the paper.
            options: How; by default the rate and weight decay of the paper, 1e-4 and 1e-6.
            checkpoint: Folder to go on from after a break.

        Returns:
            How the training went.

        Raises:
            DataError: There are fewer pairs, or fewer groups, than a batch has rows.
        """
        self.loss = loss or self.loss
        options = options or FitOptions(lr=1e-4, weight_decay=1e-6, description="pretraining")
        source = _Source(self, pairs, batch_size, views or ImageViews(), options.seed)
        return fit(
            self,
            source.step,
            source.batches,
            budget=budget,
            options=options,
            checkpoint=checkpoint,
        )

    def encode_images(
        self, images: Sequence[Any] | NDArray[np.uint8], *, space: str = "h", batch_size: int = 128
    ) -> NDArray[np.float32]:
        """Encode pictures.

        Args:
            images: As `VisionEncoder.pixels` takes them.
            space: "h" for classifiers and for pictures like a picture, "v" to compare with texts.
            batch_size: Pictures a step.

        Returns:
            Shape (pictures, dims), not normalised.

        Raises:
            ConfigError: An unknown space.
        """
        _check_space(space, "hv")
        h = self.image_encoder.encode(images, batch_size=batch_size)
        return h if space == "h" else self._project(self.image_projection, h)

    def encode_texts(
        self, texts: Sequence[str], *, space: str = "u", batch_size: int = 256
    ) -> NDArray[np.float32]:
        """Encode sentences.

        Args:
            texts: The sentences.
            space: "u" to compare with pictures, "h" for the text encoder's own vectors.
            batch_size: Sentences a step.

        Returns:
            Shape (sentences, dims), not normalised.

        Raises:
            ConfigError: An unknown space.
        """
        _check_space(space, "hu")
        h = self.text_tower.encode(texts, batch_size=batch_size).numpy()
        return h if space == "h" else self._project(self.text_projection, h)

    def _project(self, head: nn.Module, h: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            made: Tensor = head(torch.from_numpy(h).to(self.image_encoder.device))
        return made.float().cpu().numpy()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write everything: the two encoders as a `VisionTextDualEncoderModel` of transformers.

        Beside it lie ``projections.safetensors`` (the projections have a hidden layer, which that
        class does not know; its own, linear ones are never trained) and ``paired.json``.

        Args:
            folder: Where to; it is made.
        """
        root, vision, text = Path(folder), self.image_encoder, self.text_tower
        config = vision.model.config
        if not hasattr(config, "hidden_size"):
            config.hidden_size = vision.dims
        with quiet_hosts(), torch.random.fork_rng(devices=[]):
            kept = vision.model.config, text.model.config
            dual = VisionTextDualEncoderModel(vision_model=vision.model, text_model=text.model)
            dual.save_pretrained(root)
            vision.model.config, text.model.config = kept
            vision.processor.save_pretrained(root)
            text.tokenizer.save_pretrained(root)
        tensors = {
            f"{side}.{name}": value.detach().cpu().contiguous()
            for side, head in (("image", self.image_projection), ("text", self.text_projection))
            for name, value in head.state_dict().items()
        }
        with atomic_path(root / PROJECTIONS) as temporary:
            save_file(tensors, temporary)
        settings = {
            "proj_dim": self.image_projection[2].out_features,
            "image_pool": vision.pool,
            "text_pool": text.pool,
            "freeze_text": text.freeze,
            "max_tokens": text.max_tokens,
            "tau": self.loss.tau,
            "lam": self.loss.lam,
        }
        write_json(root / SETTINGS, settings)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "PairedPretrainer":
        """Load what `save_pretrained` wrote.

        Args:
            folder: That folder.

        Returns:
            The model, in evaluation mode.

        Raises:
            ModelError: The folder does not hold such a model.
        """
        root = Path(folder)
        if not (root / SETTINGS).exists():
            raise ModelError(
                f"{str(root)!r} should hold {SETTINGS} but does not; give a folder that "
                "PairedPretrainer.save_pretrained wrote"
            )
        settings = read_json(root / SETTINGS)
        with quiet_hosts():
            dual = VisionTextDualEncoderModel.from_pretrained(root, dtype=torch.float32)
            processor = AutoImageProcessor.from_pretrained(root, backend="pil")
            tokenizer = AutoTokenizer.from_pretrained(root)
        model = cls(
            VisionEncoder(dual.vision_model, processor, pool=settings["image_pool"]),
            TextTower(
                dual.text_model,
                tokenizer,
                pool=settings["text_pool"],
                freeze=settings["freeze_text"],
                max_tokens=settings["max_tokens"],
            ),
            proj_dim=settings["proj_dim"],
        )
        tensors = load_file(root / PROJECTIONS)
        for side, head in (("image", model.image_projection), ("text", model.text_projection)):
            part = {n.partition(".")[2]: t for n, t in tensors.items() if n.startswith(side)}
            head.load_state_dict(part)
        model.loss = BidirectionalContrastiveLoss(settings["tau"], settings["lam"])
        return model.eval()


def _check_space(space: str, known: str) -> None:
    if space not in tuple(known):
        raise ConfigError(f"space must be one of {', '.join(map(repr, known))}; got {space!r}")


class _Source:
    """Batches of pairs, and the loss of one."""

    def __init__(
        self,
        model: PairedPretrainer,
        pairs: PairedDataset,
        size: int,
        views: ImageViews,
        seed: int,
    ) -> None:
        self.pairs, self.size, self.views, self.seed = pairs, size, views, seed
        self.vision, self.tower, self.loss = model.image_encoder, model.text_tower, model.loss
        # the same sentence beside two pictures tells nothing between them
        every = [text for sentences in pairs.texts for text in sentences]
        self.number = {text: place for place, text in enumerate(dict.fromkeys(every))}
        if self.tower.freeze == "all":
            self.tower.encode(every)

    def batches(self, epoch: int) -> EpochBatches:
        """Make the batches of an epoch."""
        return EpochBatches(len(self.pairs) // self.size, self._batches(epoch))

    def _batches(self, epoch: int) -> Iterator[dict[str, Any]]:
        rng = numpy_generator(self.seed, "pairs", str(epoch))
        for rows, sentences in self.pairs.batches(self.size, rng):
            texts = [self.pairs.texts[r][s] for r, s in zip(rows, sentences, strict=True)]
            images = self.pairs.images
            pictures = (
                images[rows] if isinstance(images, np.ndarray) else [images[row] for row in rows]
            )
            batch: dict[str, Any] = {"pixels": self.vision.pixels(pictures)}
            kinds = [np.array([self.number[text] for text in texts])]
            if self.pairs.groups is not None:
                kinds.append(self.pairs.groups[rows])
            batch["groups"] = torch.from_numpy(np.stack(kinds, axis=1))
            if self.pairs.may_flip is not None:
                batch["may_flip"] = torch.from_numpy(self.pairs.may_flip[rows])
            if self.tower.freeze == "all":
                batch["texts"] = self.tower.encode(texts)
            else:
                batch["features"] = self.tower.features(texts)
            yield batch

    def step(self, model: nn.Module, batch: dict[str, Any]) -> Tensor:
        """Draw views and compute the loss."""
        batch["pixels"] = self.views(batch["pixels"], batch.get("may_flip"))
        v, u = model(batch)
        loss: Tensor = self.loss(v, u, batch.get("groups"))
        return loss
