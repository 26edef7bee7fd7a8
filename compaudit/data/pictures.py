"""Samples as pictures that a person can look at, where they look like images."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, Dataset
from compaudit.data.png import encode_png

__all__ = ["LARGEST", "image_array", "picture", "pixels_of", "thumbnail"]

LARGEST = 96
"""The most pixels of a side of a thumbnail."""
_LEAST, _MOST = 8, 8192
"""Sizes of a side that images have."""
_CHANNELS = (1, 3)


def picture(dataset: Dataset, fed: Collection[str], index: int) -> str | None:
    """A sample as a PNG of at most `LARGEST` pixels a side, in base64; None where it is no image.

    Args:
        dataset: holds the sample.
        fed: the arrays that are fed to the models.
        index: which sample.

    Raises:
        RequestError: the data cannot be read any more.
    """
    values: NDArray[Any] | None = dataset.pixels(index)
    if values is None:
        name = image_array(array for array in dataset.arrays if array.name in fed)
        if name is None:
            return None
        batch = dataset.batch(index, index + 1, (name,))[name]
        if not len(batch):
            return None
        values = np.asarray(batch[0])
    pixels = pixels_of(values)
    if pixels is None:
        return None
    return base64.b64encode(encode_png(thumbnail(pixels))).decode("ascii")


def image_array(arrays: Iterable[ArrayInfo]) -> str | None:
    """The name of the one array whose samples look like images; None where there is no such one."""
    found = [one.name for one in arrays if _looks_like_image(one)]
    return found[0] if len(found) == 1 else None


def pixels_of(values: NDArray[Any]) -> NDArray[np.uint8] | None:
    """An image of numbers as pixels, (height, width) or (height, width, 3).

    Bytes, and numbers within [0, 1], are shown as they are. Of others nobody knows what is black
    and what is white: the least becomes black and the largest white.

    Args:
        values: (channels, height, width), the channels last, or no channels.
    """
    planes = values.astype(np.float64) if values.dtype.kind in "fiuV" else None
    if planes is None or not np.isfinite(planes).all():
        return None
    if planes.ndim == 3:
        planes = np.moveaxis(planes, 0, -1) if planes.shape[0] in _CHANNELS else planes
        planes = planes[..., 0] if planes.shape[-1] == 1 else planes
    least, largest = float(planes.min()), float(planes.max())
    if values.dtype == np.uint8:
        least, largest = 0.0, 255.0
    elif least >= 0 and largest <= 1 and values.dtype.kind != "i":
        least, largest = 0.0, 1.0
    width = largest - least
    shown = (planes - least) / width if width > 0 else np.zeros_like(planes)
    return np.asarray(np.rint(shown * 255), np.uint8)


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture in at most `LARGEST` pixels a side, each the mean of a square of the original's.

    What does not fill a square on the right and below is left out.
    """
    height, width = pixels.shape[:2]
    step = -(-max(height, width) // LARGEST)
    if step == 1:
        return pixels
    rows, columns = max(height // step, 1), max(width // step, 1)
    cut = pixels[: rows * step, : columns * step]
    tall, wide = min(step, height), min(step, width)
    squares = cut.reshape(rows, tall, columns, wide, *cut.shape[2:])
    return np.asarray(np.rint(squares.mean(axis=(1, 3))), np.uint8)


def _looks_like_image(array: ArrayInfo) -> bool:
    sides = _sides(array.shape)
    kinds = ("f", "u", "b")  # float, uint8, bfloat16; whole numbers are mostly tokens
    return (
        sides is not None
        and all(_LEAST <= side <= _MOST for side in sides)
        and array.dtype.startswith(kinds)
        and array.dtype != "bool"
    )


def _sides(shape: Sequence[int | None]) -> tuple[int, int] | None:
    """Height and width of a sample of this shape; None where it has no channels of an image."""
    if len(shape) != 3:
        return None
    first, middle, last = shape
    if first in _CHANNELS and middle is not None and last is not None:
        return middle, last
    if last in _CHANNELS and first is not None and middle is not None:
        return first, middle
    return None
