"""Small square pictures of files, on white, made once and kept in the cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, atomic_path, cache_dir, hash_text, require


def thumbnails(paths: Sequence[str | Path], size: int) -> NDArray[np.uint8]:
    """Read pictures as squares of one size: the whole picture, on white, in its middle.

    Args:
        paths: Picture files of any size and mode.
        size: Pixels of a side.

    Returns:
        RGB, shape (pictures, size, size, 3).

    Raises:
        DataError: A file is no picture.
        MissingExtra: Pillow is not installed.

    Cost:
        2 to 4 ms a picture of clip art, 0.3 ms an emoji; later calls read the cache.
    """
    from safetensors.numpy import load_file, save_file

    require("PIL.Image", "images")
    stats = [f"{path}:{Path(path).stat().st_size}" for path in paths]
    path = cache_dir("thumbnails") / f"{hash_text(str(size), *stats)}.safetensors"
    if path.exists():
        return load_file(path)["pictures"]
    pictures = np.stack([_square(file, size) for file in paths])
    with atomic_path(path) as temporary:
        save_file({"pictures": pictures}, temporary)
    return pictures


def on_white(picture: Any) -> Any:
    """Put a picture of any mode on white.

    Args:
        picture: A PIL picture.

    Returns:
        The picture in RGB; 16 bits of grey (X-rays) are scaled to 8.

    Raises:
        DataError: Its numbers have no scale (modes "I" and "F").
    """
    images = require("PIL.Image", "images")
    if picture.mode == "RGB":
        return picture
    clear = _eight_bits(picture).convert("RGBA")
    paper = images.new("RGBA", clear.size, (255, 255, 255, 255))
    paper.alpha_composite(clear)
    return paper.convert("RGB")


def _eight_bits(picture: Any) -> Any:
    """Scale deep grey to 8 bits: `convert` would make everything above 255 white."""
    if picture.mode in ("I", "F"):
        raise DataError(
            f"a picture of mode {picture.mode!r} does not tell which number is white; scale it to "
            "uint8, 0 to 255, before"
        )
    if not picture.mode.startswith("I;16"):
        return picture
    grey = np.asarray(picture).astype(np.float32) / 257.0
    return require("PIL.Image", "images").fromarray(grey.round().astype(np.uint8))


def _square(file: str | Path, size: int) -> NDArray[np.uint8]:
    images = require("PIL.Image", "images")
    try:
        with images.open(file) as opened:
            picture = _eight_bits(opened).convert("RGBA")
    except (OSError, SyntaxError) as error:
        raise DataError(
            f"{str(file)!r} should be a picture but cannot be read ({error}); leave it out"
        ) from error
    picture.thumbnail((size, size), images.Resampling.LANCZOS)
    paper = images.new("RGBA", (size, size), (255, 255, 255, 255))
    place = ((size - picture.width) // 2, (size - picture.height) // 2)
    paper.alpha_composite(picture, place)
    return np.asarray(paper.convert("RGB"), np.uint8)
