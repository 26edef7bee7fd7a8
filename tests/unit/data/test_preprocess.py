from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.data.preprocess import IMAGENET, Preprocess, read_preprocess
from compaudit.errors import RequestError


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "images.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def refusal(tmp_path: Path, text: str) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read_preprocess(written(tmp_path, text))
    error = caught.value
    assert error.code == "bad-preprocess"
    assert error.stage == "data"
    assert "images.toml" in error.message
    assert "\n" not in error.message
    assert error.hint
    return error


# -------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("shorter", "height", "width", "expected"),
    [
        (256, 375, 500, (256, 341)),  # 256 × 500 / 375 = 341.33, rounded down
        (256, 500, 375, (341, 256)),
        (256, 299, 300, (256, 256)),  # 256.86, rounded down
        (75, 100, 50, (150, 75)),  # enlarged
        (8, 8, 8, (8, 8)),
        (1, 3, 2, (1, 1)),
    ],
)
def test_the_shorter_side_is_given_and_the_longer_rounded_down(
    shorter: int, height: int, width: int, expected: tuple[int, int]
) -> None:
    assert Preprocess(resize=shorter).resized(height, width) == expected


@given(st.integers(1, 600), st.integers(1, 9000), st.integers(1, 9000))
def test_resizing_keeps_the_proportions(shorter: int, height: int, width: int) -> None:
    got = Preprocess(resize=shorter).resized(height, width)
    assert min(got) == shorter
    assert got[0] >= got[1] if height >= width else got[1] >= got[0]
    # Exact, in whole numbers: longer ≤ shorter × long / short < longer + 1
    product = shorter * max(height, width)
    assert max(got) * min(height, width) <= product < (max(got) + 1) * min(height, width)


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({}, (3, 20, 30)),
        ({"layout": "NHWC"}, (20, 30, 3)),
        ({"channels": "L"}, (1, 20, 30)),
        ({"resize": 10}, (3, 10, 15)),
        ({"resize": (4, 7)}, (3, 4, 7)),
        ({"resize": 10, "crop": 8}, (3, 8, 8)),
        ({"resize": (4, 7), "crop": (2, 3), "layout": "NHWC", "channels": "L"}, (2, 3, 1)),
    ],
)
def test_shapes(settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    assert Preprocess(**settings).shape_of(20, 30) == shape


# -------------------------------------------------------------------------------------- values


def test_without_settings_a_pixel_becomes_a_share_of_one() -> None:
    table = Preprocess().table()
    assert table.dtype == np.float32
    assert table.shape == (3, 256)
    assert table[0, 0] == 0
    assert table[1, 255] == 1
    assert table[2, 51] == np.float32(0.2)


def test_imagenet_is_as_published() -> None:
    assert (IMAGENET.resize, IMAGENET.crop, IMAGENET.interpolation) == (256, 224, "bilinear")
    table = IMAGENET.table()
    # (0 − mean) / std and (1 − mean) / std of red, green and blue
    assert table[:, 0] == pytest.approx([-2.117904, -2.035714, -1.804444], abs=1e-6)
    assert table[:, 255] == pytest.approx([2.248908, 2.428571, 2.640000], abs=1e-6)
    assert IMAGENET.shape_of(375, 500) == (3, 224, 224)


@pytest.mark.torch
def test_imagenet_is_bit_for_bit_what_torchvisions_operations_give() -> None:
    torch = pytest.importorskip("torch")
    pixels = torch.arange(256, dtype=torch.uint8).expand(3, 256)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(-1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(-1, 1)
    # ToTensor divides by 255, Normalize subtracts and divides, all in float32.
    expected = pixels.to(torch.float32).div(255).sub_(mean).div_(std)
    np.testing.assert_array_equal(IMAGENET.table(), expected.numpy(), strict=True)


@pytest.mark.parametrize(
    ("settings", "value", "expected"),
    [
        ({"scale": 1.0, "mean": (104.0, 117.0, 123.0), "channels": "BGR"}, 124, [20.0, 7.0, 1.0]),
        ({"mean": 0.5, "std": 0.5}, 255, [1.0, 1.0, 1.0]),
        ({"channels": "L", "mean": (0.5,), "std": (0.25,)}, 255, [2.0]),
        ({"dtype": "uint8"}, 7, [7, 7, 7]),
        ({"dtype": "int8", "mean": 128.0}, 0, [-128, -128, -128]),
        ({"dtype": "float64"}, 1, [1 / 255] * 3),
    ],
)
def test_scale_mean_and_std(settings: dict[str, Any], value: int, expected: list[float]) -> None:
    table = Preprocess(**settings).table()
    assert table[:, value].tolist() == expected
    assert table.dtype == settings.get("dtype", "float32")


# ------------------------------------------------------------------------------------ the file


def test_every_key_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        resize = 236
        crop = [224, 200]
        interpolation = "bicubic"
        scale = 1
        mean = [103.939, 116.779, 123.68]
        std = [57, 57, 58]
        layout = "NHWC"
        channels = "BGR"
        dtype = "float16"
        exif = true
        """,
    )
    assert read_preprocess(path) == Preprocess(
        resize=236,
        crop=(224, 200),
        interpolation="bicubic",
        scale=1.0,
        mean=(103.939, 116.779, 123.68),
        std=(57.0, 57.0, 58.0),
        layout="NHWC",
        channels="BGR",
        dtype="float16",
        exif=True,
    )


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read_preprocess(written(tmp_path, "")) == Preprocess() == read_preprocess(None)


def test_imagenet_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet").mkdir()  # as many a folder of images is called
    assert read_preprocess("imagenet") is IMAGENET


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("rezise = 256", "'rezise'", "did you mean 'resize'?"),
        ("crop = 0", "crop = 0", "pixels"),
        ("crop = -3", "crop = -3", "pixels"),
        ("crop = true", "crop = true", "pixels"),
        ("crop = 1.5", "crop = 1.5", "pixels"),
        ("crop = [224]", "crop = [224]", "[height, width]"),
        ("crop = 1000000", "crop = 1000000", "pixels"),
        ("resize = '256'", 'resize = "256"', "shorter side"),
        ("interpolation = 'cubic'", '"cubic"', "bicubic"),
        ("layout = 'NWHC'", '"NWHC"', "NHWC"),
        ("channels = 'RGBA'", '"RGBA"', "BGR"),
        ("dtype = 'int64'", '"int64"', "uint8"),
        ("mean = nan", "mean = null", "number"),
        ("mean = []", "mean = []", "number"),
        ("mean = [0.5, inf, 0.5]", "mean", "number"),
        ("std = 0.0", "std = 0.0", "other than 0"),
        ("std = [1.0, 0.0, 1.0]", "std", "other than 0"),
        ("scale = 0.0", "scale = 0.0", "multiplied"),
        ("mean = [0.5, 0.5]", "mean has 2 numbers for the 3 of RGB", "leave"),
        ("mean = [1, 2, 3]\nchannels = 'L'", "mean has 3 numbers for the 1 of L", "leave"),
        ("dtype = 'uint8'\nmean = 1.0", "from -1 to 254", "leave"),
        ("dtype = 'int8'", "from 0 to 255", "leave"),
        ("dtype = 'uint8'\nscale = 0.5", "whole", "leave"),
        ("dtype = 'float16'\nstd = 1e-6", "too large for float16", "leave"),
        ("crop = ", "no TOML file", "crop = 224"),
        ("[images]\ncrop = 224", "'images'", "choose from"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, said: str, hint: str) -> None:
    error = refusal(tmp_path, text)
    assert said in error.message
    assert hint in error.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"imagenet1k does not exist") as caught:
        read_preprocess("imagenet1k")
    assert "imagenet" in caught.value.hint
    with pytest.raises(RequestError, match="cannot be read"):
        read_preprocess(str(tmp_path))


def test_a_file_of_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_bytes(b"\xff\xfe crop = 3")
    with pytest.raises(RequestError, match="no TOML file"):
        read_preprocess(str(tmp_path / "images.toml"))
