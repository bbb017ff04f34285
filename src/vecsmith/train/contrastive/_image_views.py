"""Random views of pictures: crop, flip, affine, brightness, contrast, blur; never hue.

Whole batches at once, on the device of the pictures, in one resampling. The defaults are those of
ConVIRT, whose pictures are grey; colours keep their hue in any case, as it often is what tells two
things apart.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import ConfigError

# the side that the blur's widths are given for
BLUR_SIDE = 224


def affine_matrices(scale: Tensor, angle: Tensor, shift: Tensor, flipped: Tensor) -> Tensor:
    """Build the maps from places of the view to places of the picture.

    Args:
        scale: Size of the window, as a part of the picture, shape (B,).
        angle: Radians, shape (B,).
        shift: Centre of the window, from -1 to 1 in both directions, shape (B, 2).
        flipped: True where left and right change sides, shape (B,).

    Returns:
        Shape (B, 2, 3), as `torch.nn.functional.affine_grid` takes them.
    """
    sign = 1.0 - 2.0 * flipped.to(scale.dtype)
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = (torch.stack([cosine * sign, -sine], 1), torch.stack([sine * sign, cosine], 1))
    return torch.cat([torch.stack(rows, 1), shift[:, :, None]], dim=2)


def blurred(images: Tensor, widths: Tensor) -> Tensor:
    """Blur each picture with a Gaussian of its own width.

    Args:
        images: Shape (B, channels, height, width).
        widths: Standard deviations in pixels, shape (B,).

    Returns:
        The same shape.
    """
    reach = max(1, min(math.ceil(3.0 * float(widths.max())), min(images.shape[2:]) - 1))
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (places / widths[:, None].clamp_min(1e-3)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(images.shape[1], 0)
    flat = F.pad(images.flatten(0, 1)[None], (reach,) * 4, mode="replicate")
    groups = flat.shape[1]
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=groups)
    return F.conv2d(flat, kernel[:, None, None, :], groups=groups).view_as(images)


@dataclass(frozen=True)
class ImageViews:
    """How views are drawn; every pair is (lowest, highest).

    Attributes:
        crop: Part of the area that is kept.
        flip: Probability that left and right change sides.
        degrees: Largest rotation to either side.
        translate: Largest shift, as a part of the side.
        scale: Zoom.
        brightness: Factor on the pixels.
        contrast: Factor on the distance from the picture's mean.
        blur: Standard deviation in pixels, at a side of 224; (0, 0) leaves it out.
    """

    crop: tuple[float, float] = (0.6, 1.0)
    flip: float = 0.5
    degrees: float = 20.0
    translate: float = 0.1
    scale: tuple[float, float] = (0.95, 1.05)
    brightness: tuple[float, float] = (0.6, 1.4)
    contrast: tuple[float, float] = (0.6, 1.4)
    blur: tuple[float, float] = (0.1, 3.0)

    def __post_init__(self) -> None:
        if not 0.0 < self.crop[0] <= self.crop[1] <= 1.0 or not 0.0 <= self.flip <= 1.0:
            raise ConfigError(
                "crop must lie above 0 and up to 1, and flip from 0 to 1; "
                f"got {self.crop} and {self.flip}"
            )

    def __call__(self, images: Tensor, may_flip: Tensor | None = None) -> Tensor:
        """Draw one view of each picture, with torch's global generator.

        Args:
            images: Numbers from 0 to 1, shape (B, 3, height, width).
            may_flip: False where flipping would change the meaning (an arrow to the left), shape
                (B,); None allows it everywhere.

        Returns:
            The same shape and range.
        """
        size = len(images)

        def draw(low: float, high: float, *shape: int) -> Tensor:
            return (low + (high - low) * torch.rand(size, *shape)).to(images)

        window = draw(*self.crop).sqrt()
        room = (1.0 - window)[:, None]
        shift = draw(-1.0, 1.0, 2) * room + draw(-1.0, 1.0, 2) * 2.0 * self.translate
        flipped = (torch.rand(size) < self.flip).to(images.device)
        if may_flip is not None:
            flipped &= may_flip.to(images.device)
        turn = math.radians(self.degrees)
        maps = affine_matrices(window / draw(*self.scale), draw(-turn, turn), shift, flipped)
        grid = F.affine_grid(maps, list(images.shape), align_corners=False)
        views = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        mean = views.mean(dim=(1, 2, 3), keepdim=True)
        views = (views - mean) * draw(*self.contrast, 1, 1, 1) + mean
        views = views * draw(*self.brightness, 1, 1, 1)
        if self.blur[1] > 0.0:
            views = blurred(views, draw(*self.blur) * images.shape[3] / BLUR_SIDE)
        return views.clamp(0.0, 1.0)
