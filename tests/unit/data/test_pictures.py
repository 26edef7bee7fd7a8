"""Samples as pictures; Pillow reads back what was written without it."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.data.images import ImageFolder
from compaudit.data.npz import NpzDataset
from compaudit.data.pictures import LARGEST, image_array, picture, pixels_of, thumbnail
from compaudit.data.png import encode_png

SIDES = st.integers(1, 20)
SHAPES = st.one_of(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES, st.just(3)))


def opened(image: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(image), formats=["PNG"]))


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, shape)))
def test_pillow_reads_the_same_pixels(pixels: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(opened(encode_png(pixels)), pixels)


def test_a_smooth_picture_is_small() -> None:
    """A slope of 96 × 96 × 3 bytes, which every filter but the first predicts."""
    rows, columns = np.mgrid[:96, :96]
    slope = np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)
    assert len(encode_png(slope)) < 1000


@pytest.mark.parametrize(
    ("shape", "dtype", "is_one"),
    [
        ((3, 224, 224), "float32", True),
        ((224, 224, 3), "uint8", True),
        ((1, 8, 8), "float32", True),
        ((28, 28, 1), "float64", True),
        ((3, 32, 32), "bfloat16", True),
        ((1, 7, 8), "float32", False),  # too small to see anything
        ((4, 224, 224), "float32", False),
        ((64, 64), "float32", False),  # features over time, as likely
        ((3, 128), "float32", False),
        ((3, None, None), "float32", False),
        ((1, 77, 77), "int64", False),
        ((1, 77, 77), "bool", False),  # an attention mask
    ],
)
def test_which_arrays_look_like_images(
    shape: tuple[int | None, ...], dtype: str, is_one: bool
) -> None:
    found = image_array([ArrayInfo("x", dtype, shape), ArrayInfo("labels", "int64", ())])
    assert found == ("x" if is_one else None)


def test_of_two_images_nobody_knows_which() -> None:
    assert image_array([ArrayInfo(name, "float32", (3, 32, 32)) for name in "ab"]) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.uint8([[[10, 200]]]), [[10, 200]]),
        (np.float32([[[0.2, 0.6]]]), [[51, 153]]),  # × 255
        (np.float32([[[0, 1]]]), [[0, 255]]),
        (np.float32([[[-1, 0, 3]]]), [[0, 64, 255]]),  # (x + 1) / 4 × 255 = 63.75
        (np.float32([[[7, 7]]]), [[0, 0]]),
        (np.float32([[[1]], [[0]], [[0.4]]]), [[[255, 0, 102]]]),  # channels first
        (np.float32([[[1, 0, 0.4]]]), [[255, 0, 102]]),  # one channel of one row
    ],
)
def test_numbers_become_pixels(values: NDArray[Any], expected: Any) -> None:
    pixels = pixels_of(values)
    assert pixels is not None
    np.testing.assert_array_equal(pixels, np.uint8(expected))


def test_what_is_no_number_is_no_picture() -> None:
    assert pixels_of(np.float32([[[0, np.nan]]])) is None


@given(st.integers(1, 500), st.integers(1, 500))
def test_a_thumbnail_is_small_and_keeps_its_brightness(height: int, width: int) -> None:
    pixels = np.full((height, width, 3), (10, 20, 30), np.uint8)
    small = thumbnail(pixels)
    assert max(small.shape[:2]) <= LARGEST
    assert min(small.shape[:2]) >= 1
    np.testing.assert_array_equal(np.unique(small.reshape(-1, 3), axis=0), [[10, 20, 30]])


def test_a_pixel_of_a_thumbnail_is_the_mean_of_a_square() -> None:
    pixels = np.zeros((2 * LARGEST, 2 * LARGEST), np.uint8)
    pixels[:2, :2] = [[0, 100], [100, 200]]
    small = thumbnail(pixels)
    assert small.shape == (LARGEST, LARGEST)
    assert (small[0, 0], small[0, 1]) == (100, 0)


def test_a_sample_of_a_folder_has_its_own_colours(tmp_path: Path) -> None:
    """However it is normalised for the models; cut and sized as they get it."""
    settings = tmp_path / "settings.toml"
    settings.write_text('crop = 10\nmean = 0.5\nstd = 0.1\nchannels = "BGR"\n')
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (12, 14), (255, 0, 51)).save(folder / "a.png")
    data = ImageFolder(DataRequest(uri=str(folder), preprocess=str(settings)))
    image = picture(data, ["image"], 0)
    assert image is not None
    shown = opened(base64.b64decode(image))
    assert shown.shape == (10, 10, 3)
    assert [*shown[0, 0]] == [255, 0, 51]


def test_a_sample_of_an_array(tmp_path: Path) -> None:
    images = np.zeros((2, 1, 8, 8), np.float32)
    images[1, 0, 2, 3] = 1
    np.savez(tmp_path / "x.npz", image=images, labels=np.arange(2))
    data = NpzDataset(DataRequest(uri=str(tmp_path / "x.npz")))
    image = picture(data, ["image"], 1)
    assert image is not None
    np.testing.assert_array_equal(opened(base64.b64decode(image)), images[1, 0] * 255)
    assert picture(data, [], 1) is None
