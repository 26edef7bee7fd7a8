"""How an image becomes an array: ``--preprocess imagenet``, or the settings in a TOML file.

Sizes and rounding are torchvision's (``Resize``, ``CenterCrop``, ``ToTensor``, ``Normalize`` on
Pillow images), so that a model is fed what it was trained on.
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.config import did_you_mean
from compaudit.errors import RequestError

__all__ = ["IMAGENET", "Interpolation", "Preprocess", "read_preprocess"]

# No msgspec.Meta with limits: beside a tuple, msgspec 0.22 crashes when it is collected.
Pixels = int
Size = tuple[int, int]
_LARGEST = 65535
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

_EXPECTED = {
    "resize": "the pixels of the shorter side, or [height, width]",
    "crop": "the pixels of a square, or [height, width]",
    "interpolation": "nearest, box, bilinear, hamming, bicubic or lanczos",
    "scale": "the number that a pixel (0 to 255) is multiplied by",
    "mean": "a number, or one for each channel",
    "std": "a number other than 0, or one for each channel",
    "layout": '"NCHW" or "NHWC"',
    "channels": '"RGB", "BGR" or "L"',
    "dtype": '"float32", "float16", "float64", "uint8" or "int8"',
    "exif": "true to turn an image as its EXIF orientation says, else false",
}


class Preprocess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to an image, in this order; the defaults leave RGB in [0, 1].

    A pixel p becomes (p × scale − mean) / std.

    Attributes:
        exif: turn it as its EXIF orientation says. torchvision does not.
        channels: what it is converted to; mean and std are in the order of these.
        resize: the shorter side, or height and width; None leaves the size.
        interpolation: antialiased, as Pillow does it.
        crop: height and width of what is cut from the middle; black is added where it is smaller.
        scale: None stands for 1/255, for whole numbers for 1.
        layout: where the channels go.
        dtype: of the array. Whole numbers take no fractions.
    """

    exif: bool = False
    channels: Literal["RGB", "BGR", "L"] = "RGB"
    resize: Pixels | Size | None = None
    interpolation: Interpolation = "bilinear"
    crop: Pixels | Size | None = None
    scale: float | None = None
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "float16", "float64", "uint8", "int8"] = "float32"

    @property
    def depth(self) -> int:
        """Channels of the array."""
        return 1 if self.channels == "L" else 3

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """(height, width) that every image gets; None where it depends on the image."""
        size = self.crop or self.resize
        if isinstance(size, tuple):
            return size
        return (size, size) if size is not None and self.crop is not None else None

    @property
    def as_seen(self) -> Preprocess:
        """The same cut and size, as bytes of grey or of red, green and blue."""
        return Preprocess(
            exif=self.exif,
            channels="L" if self.channels == "L" else "RGB",
            resize=self.resize,
            interpolation=self.interpolation,
            crop=self.crop,
            layout="NHWC",
            dtype="uint8",
        )

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after resizing; the longer side is rounded down."""
        if self.resize is None:
            return height, width
        if isinstance(self.resize, tuple):
            return self.resize
        longer = int(self.resize * max(height, width) / min(height, width))
        return (longer, self.resize) if width <= height else (self.resize, longer)

    def shape_of(self, height: int, width: int) -> tuple[int, int, int]:
        """The shape of the array made of an image of this size, already turned."""
        return self.laid_out(*(self.fixed_size or self.resized(height, width)))

    def laid_out(self, height: int, width: int) -> tuple[int, int, int]:
        """The shape of an array that has this size."""
        return (self.depth, height, width) if self.layout == "NCHW" else (height, width, self.depth)

    def table(self) -> NDArray[Any]:
        """What each value of a pixel becomes, (channels, 256), rounded step by step as PyTorch."""
        working = np.float32 if self.dtype in ("float32", "float16") else np.float64
        values = (np.arange(256) * self._factor).astype(working)
        mean, std = (np.reshape(np.array(one, working), (-1, 1)) for one in (self.mean, self.std))
        table: NDArray[Any] = ((values - mean) / std).astype(self.dtype)
        return np.broadcast_to(table, (self.depth, 256))

    @property
    def _factor(self) -> float:
        if self.scale is None:
            return 1.0 if self.dtype in ("uint8", "int8") else 1 / 255
        return self.scale

    def misfit(self) -> str | None:
        """What is wrong with the settings taken together; None where nothing is."""
        for name in ("mean", "std"):
            given = getattr(self, name)
            if isinstance(given, tuple) and len(given) not in (1, self.depth):
                return f"{name} has {len(given)} numbers for the {self.depth} of {self.channels}"
        if self.dtype not in ("uint8", "int8"):
            with np.errstate(over="ignore"):
                fits = np.isfinite(self.table()).all()
            return None if fits else f"pixels become numbers too large for {self.dtype}"
        mean, std = (np.reshape(np.array(one), (-1, 1)) for one in (self.mean, self.std))
        exact = (np.arange(256) * self._factor - mean) / std
        limits = np.iinfo(self.dtype)
        whole = np.array_equal(exact, np.rint(exact))
        if whole and limits.min <= exact.min() and exact.max() <= limits.max:
            return None
        return (
            f"pixels become numbers from {exact.min():g} to {exact.max():g}, and {self.dtype} "
            "holds only whole ones of its range"
        )


IMAGENET = Preprocess(resize=256, crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""How most ImageNet classifiers were evaluated; He et al. 2015 (arXiv 1512.03385) and since."""


def read_preprocess(asked: str | None) -> Preprocess:
    """The settings behind ``--preprocess``.

    Args:
        asked: ``imagenet``, or the path of a TOML file; None leaves images as they are.

    Raises:
        RequestError: no such file, no TOML, an unknown key or an impossible value.
    """
    if asked is None:
        return Preprocess()
    if asked == "imagenet":
        return IMAGENET
    try:
        table = tomllib.loads(Path(asked).read_text(encoding="utf-8"))
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        what = "does not exist" if missing else f"cannot be read: {error.strerror or error}"
        raise _refused(asked, what, "give --preprocess imagenet, or a TOML file") from error
    except ValueError as error:
        raise _refused(asked, f"is no TOML file: {error}", "for example: crop = 224") from error
    return _checked(asked, table)


def _checked(path: str, table: dict[str, Any]) -> Preprocess:
    settings: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _EXPECTED:
            hint = did_you_mean(key, _EXPECTED)
            raise _refused(path, f"has an unknown key {key!r}", hint)
        try:
            one = msgspec.convert({key: value}, Preprocess)
        except msgspec.ValidationError as error:
            raise _impossible(path, key, value) from error
        settings[key] = getattr(one, key)
        if not _is_of_use(key, settings[key]):
            raise _impossible(path, key, value)
    preprocess = Preprocess(**settings)
    misfit = preprocess.misfit()
    if misfit is not None:
        raise _refused(path, f"cannot be: {misfit}", "leave one of them out")
    return preprocess


def _is_of_use(key: str, value: Any) -> bool:
    """Whether sizes are possible, numbers finite and there, and what divides is not 0."""
    numbers = value if isinstance(value, tuple) else (value,)
    if key in ("resize", "crop"):
        return all(1 <= number <= _LARGEST for number in numbers)
    if key in ("mean", "std", "scale"):
        finite = bool(numbers) and all(map(math.isfinite, numbers))
        return finite and (key == "mean" or 0 not in numbers)
    return True


def _impossible(path: str, key: str, value: object) -> RequestError:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return _refused(path, f"says {key} = {text}", f"{key} is {_EXPECTED[key]}")


def _refused(path: str, what: str, hint: str) -> RequestError:
    return RequestError(
        f"the preprocess file {path} {what}", hint=hint, code="bad-preprocess", stage="data"
    )
