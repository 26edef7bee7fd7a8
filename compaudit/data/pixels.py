"""One image file: its size, and its pixels as an array. Pillow does the reading."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compaudit.data.preprocess import Preprocess
from compaudit.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["UndecodableError", "decode", "require_pillow", "size_of"]

# By content, whatever the suffix says. Pillow would hand an EPS file to Ghostscript, a program.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_ORIENTATION = 0x0112
_ON_ITS_SIDE = range(5, 9)


class UndecodableError(Exception):
    """Why this file is no image that can be read."""


def require_pillow(uri: str) -> None:
    """Raise RequestError where Pillow is missing."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise RequestError(
            f"{uri} is a folder of images, and Pillow, which reads them, is not installed",
            hint="pip install 'compaudit[data]'",
            code="runtime-missing",
            stage="data",
        ) from error


def size_of(path: Path, *, exif: bool) -> tuple[int, int]:
    """(height, width) from the file's header; with `exif`, after turning. UndecodableError."""
    with _opened(path) as image:
        width, height = image.size
        if exif and image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE:
            return width, height
        return height, width


def decode(path: Path, preprocess: Preprocess, table: NDArray[Any]) -> NDArray[Any]:
    """The image as an array.

    Args:
        path: the file.
        preprocess: what happens to it.
        table: `Preprocess.table`, which is the same for every image.

    Returns:
        (channels, height, width), or the channels last.

    Raises:
        UndecodableError: it cannot be read to its end, or is larger than Pillow deems safe.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        if preprocess.exif:
            image = ImageOps.exif_transpose(image)
        mode = "L" if preprocess.channels == "L" else "RGB"
        resized = _resized(_in_eight_bits(image).convert(mode), preprocess)
        pixels = np.asarray(_cropped(resized, preprocess))
    if preprocess.channels == "BGR":
        pixels = pixels[..., ::-1]
    planes = pixels.reshape(*pixels.shape[:2], preprocess.depth)
    array = np.empty(preprocess.laid_out(*pixels.shape[:2]), table.dtype)
    for channel in range(preprocess.depth):
        place = array[channel] if preprocess.layout == "NCHW" else array[..., channel]
        place[...] = table[channel][planes[..., channel]]
    return array


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image in a file; what goes wrong until the end of the block is the file's fault."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise UndecodableError("there is no such file" if not os.path.lexists(path) else _odd(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=_formats()) as image:
                yield image
        except (MemoryError, UndecodableError):
            raise
        except UnidentifiedImageError as error:
            what = "no kind of image that is read here" if path.stat().st_size else "it is empty"
            raise UndecodableError(what) from error
        except Exception as error:  # what decoders raise on broken files is an open list
            text = str(error).strip().partition("\n")[0]
            raise UndecodableError(text[:200] or type(error).__name__) from error


@cache
def _formats() -> tuple[str, ...]:
    """Those of them that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _odd(path: Path) -> str:
    return "its link leads nowhere" if path.is_symlink() else "no regular file"


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """The image with 8 bits a channel.

    Of 16-bit grey the high bytes, as Pillow itself reads 16-bit colour. Its conversion of grey, and
    so torchvision's, makes everything above 255 white.
    """
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UndecodableError("its pixels are 32-bit numbers, of a range that nobody states")
    return image


def _resized(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    from PIL import Image

    height, width = preprocess.resized(image.height, image.width)
    if (width, height) == image.size:
        return image
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and height * width > max(most, image.height * image.width):
        raise UndecodableError(
            f"{image.height} × {image.width} pixels would be enlarged to {height} × {width}"
        )
    return image.resize((width, height), Image.Resampling[preprocess.interpolation.upper()])


def _cropped(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """The middle of it. Pillow fills with black what lies outside of the image."""
    if preprocess.crop is None or preprocess.fixed_size is None:
        return image
    height, width = preprocess.fixed_size
    top, left = _offset(image.height, height), _offset(image.width, width)
    return image.crop((left, top, left + width, top + height))


def _offset(have: int, want: int) -> int:
    """Where the middle begins, as torchvision rounds: halves to even, and padding down."""
    return -((want - have) // 2) if want > have else round((have - want) / 2)
