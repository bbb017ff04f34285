"""Picture -> vector and token vectors, with any vision model of transformers.

`h` is one vector a picture, what classifiers and searches take; `tokens` are one vector a place of
the picture, what attention and captioning take. Two small models are built in: ``tiny("resnet")``
(0.7 M weights; 16 tokens of 192 dimensions at 64 pixels) and ``tiny("vit")`` (0.56 M; 65 tokens of
128). `VisionEncoder.shipped` is the small ResNet with the weights that this package carries.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel, ResNetConfig, ViTConfig
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from vecsmith.core import (
    ConfigError,
    DataError,
    ModelError,
    did_you_mean,
    read_json,
    require,
    torch_generator,
    write_json,
)
from vecsmith.data.samples import on_white

from ..text import quiet_hosts, resolve_model

SHIPPED = Path(__file__).parent / "tiny-resnet"
SETTINGS = "vision.json"
POOLS = ("pooler", "first", "mean")
BICUBIC = 3
TINY = {
    "resnet": lambda size: ResNetConfig(
        embedding_size=48, hidden_sizes=[48, 96, 192], depths=[1, 1, 1], layer_type="basic"
    ),
    "vit": lambda size: ViTConfig(
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        patch_size=8,
        image_size=size,
    ),
}


class VisionOutput(NamedTuple):
    """What an encoder makes of a batch.

    Attributes:
        h: One vector a picture, shape (B, dims).
        tokens: One vector a place, shape (B, places, dims).
    """

    h: Tensor
    tokens: Tensor


def pooled(tokens: Tensor, pooler: Tensor | None, pool: str) -> Tensor:
    """Reduce token vectors to one vector a picture.

    Args:
        tokens: Shape (B, places, dims).
        pooler: The model's own pooled output, shape (B, dims), or None.
        pool: "pooler", "first" (the class token) or "mean".

    Returns:
        Shape (B, dims).

    Raises:
        ModelError: "pooler" is asked of a model that has none.
    """
    if pool == "pooler":
        if pooler is None:
            raise ModelError(
                "this vision model has no pooled output; give pool='first' or pool='mean'"
            )
        return pooler
    return tokens[:, 0] if pool == "first" else tokens.mean(dim=1)


class VisionEncoder(nn.Module):
    """A vision model of transformers with its image processor.

    Args:
        model: The model: `last_hidden_state` is (B, places, dims) or (B, dims, height, width).
        processor: An image processor of transformers (PIL or torchvision).
        pool: How `h` comes about: "pooler" (the model's own), "first" or "mean".

    Raises:
        ConfigError: An unknown pool.
    """

    model: Any
    image_mean: Tensor
    image_std: Tensor

    def __init__(self, model: nn.Module, processor: Any, *, pool: str = "pooler") -> None:
        super().__init__()
        if pool not in POOLS:
            raise ConfigError(f"pool cannot be {pool!r}; {did_you_mean(pool, POOLS)}")
        self.model = model
        self.processor = processor
        self.pool = pool
        if pool != "pooler" and isinstance(getattr(model, "pooler", None), nn.Module):
            # what is not read has no gradient, and training on several devices would wait for it
            model.pooler.requires_grad_(False)
        scaled = bool(getattr(processor, "do_normalize", True))
        for name, default in (("image_mean", 0.0), ("image_std", 1.0)):
            values = getattr(processor, name, None) if scaled else None
            numbers = torch.tensor(values if values is not None else [default] * 3)
            self.register_buffer(name, numbers.float().view(1, -1, 1, 1), persistent=False)

    @classmethod
    def tiny(cls, kind: str = "resnet", *, image_size: int = 64, seed: int = 0) -> "VisionEncoder":
        """Build a small untrained encoder.

        Args:
            kind: "resnet" (0.70 M weights, 192 dimensions) or "vit" (0.56 M, 128).
            image_size: Pixels of a side; for "vit" a multiple of 8.
            seed: Seed of the weights.

        Returns:
            The encoder.

        Raises:
            ConfigError: An unknown kind, or a size that "vit" cannot cut.
        """
        if kind not in TINY:
            raise ConfigError(f"kind cannot be {kind!r}; {did_you_mean(kind, TINY)}")
        if kind == "vit" and image_size % 8:
            raise ConfigError(f"image_size must be a multiple of 8 for 'vit'; got {image_size}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_generator(seed, "tiny-vision").initial_seed())
            model = AutoModel.from_config(TINY[kind](image_size))
        processor = ViTImageProcessorPil(
            size={"height": image_size, "width": image_size}, resample=BICUBIC
        )
        return cls(model, processor)

    @classmethod
    def shipped(cls) -> "VisionEncoder":
        """Load the small ResNet that this package carries.

        It was trained by ``tools/vision_encoder.py`` with `PairedPretrainer` on four fifths of the
        concepts of Twemoji (CC-BY 4.0), Noto Emoji (Apache-2.0, OFL) and of the public-domain Open
        Clip Art Library; ``vision.json`` beside the weights tells the settings. The concepts of
        `data.samples.emoji_part` "test" were never shown to it.

        Returns:
            The encoder, in evaluation mode.

        Raises:
            ModelError: The weights are missing, or not those that were shipped.
        """
        from ..text import weights_hash

        settings = read_json(SHIPPED / SETTINGS)
        found = weights_hash(SHIPPED / "weights")
        if found != settings["content"]:
            raise ModelError(
                f"the weights in {str(SHIPPED)!r} should have the hash {settings['content']} but "
                f"have {found}; install vecsmith again"
            )
        return cls.from_pretrained(SHIPPED / "weights")

    @classmethod
    def from_pretrained(cls, name: str | Path, *, pool: str | None = None) -> "VisionEncoder":
        """Load a vision model: a hub id, or a folder that `save_pretrained` wrote.

        Args:
            name: Hub id or folder of a vision model of transformers, or of a model with a vision
                tower (CLIP, SigLIP): its tower is taken.
            pool: See the class; by default what was saved, or else "pooler", or "first" where the
                files hold no weights of a pooler (classifiers, which read the first token).

        Returns:
            The encoder, fp32, in evaluation mode.

        Raises:
            ModelError: It is not found, is no vision model, or lacks weights.
        """
        found = resolve_model(name)
        settings = found.path / SETTINGS
        if pool is None and settings.exists():
            pool = read_json(settings)["pool"]
        try:
            with quiet_hosts():
                model, info = AutoModel.from_pretrained(
                    found.path, dtype=torch.float32, output_loading_info=True
                )
                processor = AutoImageProcessor.from_pretrained(found.path, backend="pil")
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise ModelError(
                f"{found.id!r} at {str(found.path)!r} does not load as a vision model ({error}); "
                "give one that transformers loads with AutoModel and AutoImageProcessor"
            ) from error
        missing = sorted(info["missing_keys"])
        if hasattr(model, "vision_model"):
            missing = [key for key in missing if key.startswith("vision_model.")]
        pool = _trained_pool(str(name), missing, pool)
        return cls(getattr(model, "vision_model", model), processor, pool=pool).eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model, image processor and settings; transformers loads the folder as well.

        Args:
            folder: Where to; it is made.
        """
        with quiet_hosts():
            self.model.save_pretrained(folder)
            self.processor.save_pretrained(folder)
        write_json(Path(folder) / SETTINGS, {"pool": self.pool})

    @property
    def dims(self) -> int:
        """Dimensions of `h`."""
        config = self.model.config
        sizes = getattr(config, "hidden_sizes", None)
        return int(sizes[-1] if sizes else config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def pixels(self, images: Sequence[Any] | NDArray[np.uint8]) -> Tensor:
        """Read and resize pictures, as the image processor has it, but without normalising.

        Args:
            images: Paths, PIL pictures (transparent parts become white), or uint8 arrays of shape
                (height, width, 3); one array of pictures of the model's own size is read fastest.

        Returns:
            Numbers from 0 to 1, shape (B, 3, height, width), on the CPU.

        Raises:
            DataError: A picture cannot be read.
        """
        if isinstance(images, np.ndarray) and self._fits(images):
            return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0
        pictures = [_picture(image) for image in images]
        made = self.processor(images=pictures, return_tensors="pt", do_normalize=False)
        values: Tensor = made["pixel_values"]
        return values

    def _fits(self, images: NDArray[Any]) -> bool:
        """Tell whether the image processor would leave a stack of pictures as it is."""
        size = self.processor.size
        wanted = (getattr(size, "height", None), getattr(size, "width", None))
        whole = not getattr(self.processor, "do_center_crop", False)
        return whole and images.dtype == np.uint8 and images.shape[1:] == (*wanted, 3)

    def forward(self, pixels: Tensor) -> VisionOutput:
        """Encode pixels.

        Args:
            pixels: From `pixels`, numbers from 0 to 1, shape (B, 3, height, width).

        Returns:
            `h` and `tokens`.
        """
        output = self.model(pixel_values=(pixels - self.image_mean) / self.image_std)
        tokens = output.last_hidden_state
        if tokens.ndim == 4:
            tokens = tokens.flatten(2).transpose(1, 2)
        pooler = getattr(output, "pooler_output", None)
        pooler = None if pooler is None else pooler.flatten(1)
        return VisionOutput(pooled(tokens, pooler, self.pool), tokens)

    def encode(
        self, images: Sequence[Any] | NDArray[np.uint8], *, batch_size: int = 128
    ) -> NDArray[np.float32]:
        """Encode pictures in evaluation mode.

        Args:
            images: As in `pixels`.
            batch_size: Pictures a step.

        Returns:
            `h` of each, shape (pictures, dims), not normalised.
        """
        rows = [np.zeros((0, self.dims), np.float32)]
        with evaluating(self):
            for start in range(0, len(images), batch_size):
                batch = self.pixels(images[start : start + batch_size]).to(self.device)
                rows.append(self(batch).h.float().cpu().numpy())
        return np.concatenate(rows)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, without gradients, and back at the end.

    Args:
        model: Any module.

    Yields:
        Nothing.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def _trained_pool(name: str, missing: Sequence[str], pool: str | None) -> str:
    """Choose a pool that needs no weights that the files lack; such weights would be random."""
    poolers = [key for key in missing if "pooler" in key.split(".")]
    if others := [key for key in missing if key not in poolers]:
        raise ModelError(
            f"the files of {name!r} lack weights of its vision model ({others[0]} and "
            f"{len(others) - 1} more); give a whole checkpoint"
        )
    if poolers and pool == "pooler":
        raise ModelError(
            f"the files of {name!r} hold no weights of a pooler; give pool='first' or 'mean'"
        )
    return pool or ("first" if poolers else "pooler")


def _picture(image: Any) -> Any:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise DataError(
                "a picture given as an array must be uint8 of shape (height, width, 3); "
                f"got {image.dtype} of shape {image.shape}"
            )
        return image
    pictures = require("PIL.Image", "images")
    if not isinstance(image, (str, Path)):
        return on_white(image)
    try:
        with pictures.open(image) as opened:
            opened.load()
            return on_white(opened)
    except (OSError, SyntaxError) as error:
        raise DataError(
            f"{str(image)!r} should be a picture but cannot be read ({error}); leave it out"
        ) from error
