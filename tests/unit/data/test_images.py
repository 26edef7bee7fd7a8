"""Folders of images; every image is made here by Pillow."""

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.data.images import ImageFolder, is_image_folder
from compaudit.errors import RequestError


def opened(folder: Path, **changes: Any) -> ImageFolder:
    return ImageFolder(DataRequest(uri=str(folder), **changes))


def toml(tmp_path: Path, text: str) -> str:
    path = tmp_path / "preprocess.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def grid(height: int, width: int) -> NDArray[np.uint8]:
    """Red tells the row, green the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, 9)], axis=-1).astype(np.uint8)


def put(path: Path, colour: Any = (255, 0, 51), size: tuple[int, int] = (4, 3), **how: Any) -> Path:
    """An image of one colour, `size` as (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **how)
    return path


def put_array(path: Path, pixels: NDArray[Any], **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)
    return path


def pixels(folder: Path, **changes: Any) -> NDArray[Any]:
    """All images as whole numbers, (samples, height, width, channels)."""
    path = folder.parent / "raw.toml"
    path.write_text('dtype = "uint8"\nlayout = "NHWC"', encoding="utf-8")
    return opened(folder, preprocess=str(path), **changes).batch(0, 1000, {"image"})["image"]


# ---------------------------------------------------------------------------------- the folder


def test_sub_folders_are_classes_sorted_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "dog" / "2.png")
    put(folder / "dog" / "10.png")
    put(folder / "cat" / "z.jpg")
    put(folder / "Zebra" / "deep" / "er" / "1.bmp")
    (folder / "eel").mkdir()
    put(folder / "fox" / "1.gif")
    data = opened(folder)
    assert data.classes == ("Zebra", "cat", "dog", "eel", "fox")
    names = [data.name_of(index) for index in range(data.samples)]
    assert names == ["Zebra/deep/er/1.bmp", "cat/z.jpg", "dog/10.png", "dog/2.png", "fox/1.gif"]
    assert data.batch(0, 9, {"labels"})["labels"].tolist() == [0, 1, 2, 2, 4]
    assert data.arrays == (
        ArrayInfo("image", "float32", (3, 3, 4)),
        ArrayInfo("labels", "int64", ()),
    )
    assert data.kind == "images"


def test_images_without_classes(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for name in ("b.png", "a.png"):
        put(folder / name)
    (folder / "notes").mkdir()
    (folder / "notes" / "readme.txt").touch()
    data = opened(folder)
    assert data.classes == ()
    assert [array.name for array in data.arrays] == ["image"]
    assert [data.name_of(index) for index in range(2)] == ["a.png", "b.png"]
    assert data.batch(0, 2).keys() == {"image"}


def test_other_files_and_hidden_ones_are_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "cat" / "a.png")
    put(folder / "cat" / ".hidden.png")
    put(folder / ".cache" / "b.png")
    (folder / "cat" / "a.xml").touch()
    (folder / "labels.csv").touch()
    data = opened(folder)
    assert data.samples == 1
    assert data.classes == ("cat",)
    assert data.notes == (
        "2 files are not called as images are, and left out: labels.csv, cat/a.xml",
    )


def test_the_first_of_many_other_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "cat" / "a.png")
    assert opened(folder).notes == ()
    (folder / "cat" / "a.heic").touch()
    assert opened(folder).notes == ("1 file is not called as images are, and left out: cat/a.heic",)
    for place in range(4):
        (folder / "cat" / f"b{place}.heic").touch()
    (notes,) = opened(folder).notes
    assert notes.startswith("5 files are not called as images are")
    assert notes.endswith("and 2 more")


def test_images_beside_classes_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "stray.png")
    put(folder / "cat" / "a.png")
    with pytest.raises(RequestError, match=r"stray\.png, beside folders of images, cat/a\.png"):
        opened(folder)


@pytest.mark.parametrize("content", [None, "notes.txt", ".a.png"])
def test_no_images(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    if content is not None:
        (folder / content).touch()
    assert not is_image_folder(folder)
    with pytest.raises(RequestError, match="holds no images") as caught:
        opened(folder)
    assert caught.value.code == "no-samples"


def test_what_is_an_image_folder(tmp_path: Path) -> None:
    put(tmp_path / "images" / "cat" / "a.PNG")
    assert is_image_folder(tmp_path / "images")
    assert is_image_folder(tmp_path / "images" / "cat")
    assert not is_image_folder(tmp_path / "images" / "cat" / "a.PNG")
    assert not is_image_folder(tmp_path / "missing")


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    stored = put(tmp_path / "blobs" / "0123", format="PNG")
    put(tmp_path / "elsewhere" / "b.png")
    folder = tmp_path / "images"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "a.png").symlink_to(stored)
    (folder / "dog").symlink_to(tmp_path / "elsewhere")
    (folder / "cat" / "again").symlink_to(folder)
    (folder / "cat" / "self").symlink_to(folder / "cat" / "self")
    (folder / "cat" / "self.png").symlink_to(folder / "cat" / "self.png")
    data = opened(folder)
    assert data.classes == ("cat", "dog")
    names = [data.name_of(index) for index in range(data.samples)]
    assert names[:2] == ["cat/a.png", "cat/self.png"]
    assert names[-1] == "dog/b.png"
    # The link back to the folder shows what is in it once, and does not go round.
    assert len(names) < 10
    assert len(data.batch(0, 2)["image"]) == 1
    assert "link" in data.broken[1]


def test_a_limit_takes_every_nth_image(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for place in range(12):
        put(folder / f"class{place // 3}" / f"{place:02}.png", (place, 0, 0))
    data = opened(folder, limit=4)
    assert data.samples == 4
    assert data.batch(0, 4)["labels"].tolist() == [0, 1, 2, 3]
    assert [data.name_of(index)[-6:-4] for index in range(4)] == ["00", "03", "06", "09"]
    assert pixels(folder, limit=4)[:, 0, 0, 0].tolist() == [0, 3, 6, 9]
    assert opened(folder, limit=5).batch(0, 5)["labels"].tolist() == [0, 0, 1, 2, 3]
    assert opened(folder, limit=50).samples == 12


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    name = os.fsdecode(b"caf\xe9")
    try:
        put(folder / name / "a.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    data = opened(folder)
    assert data.classes == ("caf\\xe9",)
    assert data.name_of(0) == "caf\\xe9/a.png"
    assert len(data.batch(0, 1)["image"]) == 1
    assert data.digest()


# -------------------------------------------------------------------------------- as they are


def test_without_settings_images_are_rgb_in_0_to_1_channels_first(tmp_path: Path) -> None:
    put_array(tmp_path / "images" / "a.png", grid(2, 3))
    (image,) = opened(tmp_path / "images").batch(0, 1)["image"]
    assert image.dtype == np.float32
    expected = np.float32([[[0, 0, 0], [1, 1, 1]], [[0, 1, 2], [0, 1, 2]], [[9] * 3] * 2]) / 255
    np.testing.assert_array_equal(image, expected, strict=True)


def test_images_of_different_sizes_want_a_preprocess(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "a.png", size=(4, 3))
    put(folder / "b.png", size=(5, 3))
    with pytest.raises(RequestError) as caught:
        opened(folder).batch(0, 2)
    error = caught.value
    assert error.code == "image-sizes-differ"
    assert "b.png" in error.message
    assert "(3, 3, 5)" in error.message
    assert "(3, 3, 4)" in error.message
    assert "--preprocess" in error.hint
    with pytest.raises(RequestError) as caught:
        opened(folder, preprocess=toml(tmp_path, "resize = 6")).batch(0, 2)
    assert "crop" in caught.value.hint
    resized = opened(folder, preprocess=toml(tmp_path, "resize = [6, 5]")).batch(0, 2)["image"]
    assert resized.shape == (2, 3, 6, 5)


# ------------------------------------------------------------------------------------ the kinds

GREY = np.uint8([[0, 100, 255]])


def palette(path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([2, 0, 1])
    image.save(path)


def transparent_palette(path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([2, 0, 1])
    image.save(path, transparency=bytes([0, 128, 255]))


def transparent(path: Path) -> None:
    rgba = np.uint8([[[1, 2, 3, 0], [4, 5, 6, 128], [7, 8, 9, 255]]])
    Image.fromarray(rgba).save(path)


def bilevel(path: Path) -> None:
    Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1").save(path)


KINDS = [
    (lambda path: Image.fromarray(GREY).save(path), [[v] * 3 for v in (0, 100, 255)]),
    (palette, [[70, 80, 90], [10, 20, 30], [40, 50, 60]]),
    (transparent_palette, [[70, 80, 90], [10, 20, 30], [40, 50, 60]]),
    (transparent, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),  # what is behind the transparency
    (bilevel, [[0] * 3, [255] * 3, [0] * 3]),
    # 16 bits: the high byte of 0x0000, 0x64ff and 0xffff
    (
        lambda path: Image.fromarray(np.uint16([[0, 0x64FF, 0xFFFF]])).save(path),
        [[v] * 3 for v in (0, 0x64, 255)],
    ),
]


@pytest.mark.parametrize(
    ("save", "expected"), KINDS, ids=["grey", "palette", "palette-alpha", "rgba", "1-bit", "16-bit"]
)
def test_every_kind_of_png_becomes_rgb(tmp_path: Path, save: Any, expected: Any) -> None:
    (tmp_path / "images").mkdir()
    save(tmp_path / "images" / "a.png")
    assert pixels(tmp_path / "images")[0, 0].tolist() == expected


def test_sixteen_bits_of_colour(tmp_path: Path) -> None:
    """A PNG written by hand: Pillow cannot write 16-bit colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    row = b"\0" + struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0, 0x80FF, 0xFFFF)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )
    assert pixels(tmp_path / "images")[0, 0].tolist() == [[0x12, 0x56, 0x9A], [0, 0x80, 0xFF]]


def test_sixteen_bit_tiffs_of_both_byte_orders(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    values = np.array([[0x0102, 0xF00F]], np.uint16)
    Image.fromarray(values).save(tmp_path / "images" / "a.tif")
    big = Image.frombytes("I;16B", (2, 1), values.astype(">u2").tobytes())
    big.save(tmp_path / "images" / "b.tif")
    assert pixels(tmp_path / "images")[:, 0, :, 0].tolist() == [[1, 0xF0], [1, 0xF0]]


def test_cmyk_jpeg(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    image.save(tmp_path / "images" / "a.jpg", quality=100)
    red = pixels(tmp_path / "images")[0, 4, 4]
    assert np.abs(red.astype(int) - [255, 0, 0]).max() <= 4


def test_numbers_of_unknown_range_are_no_pixels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.float32([[0.5, 700.0]])).save(tmp_path / "images" / "a.tif")
    put(tmp_path / "images" / "b.png", size=(2, 1))
    data = opened(tmp_path / "images")
    assert len(data.batch(0, 2)["image"]) == 1
    assert "32-bit" in data.broken[0]


@pytest.mark.parametrize(("exif", "shape"), [("", (3, 2, 4)), ("exif = true", (3, 4, 2))])
def test_the_exif_orientation_is_heeded_on_request(
    tmp_path: Path, exif: str, shape: tuple[int, ...]
) -> None:
    image = Image.fromarray(grid(2, 4))
    orientation = Image.Exif()
    orientation[0x0112] = 6  # the camera was held upright: turn by 90° clockwise
    (tmp_path / "images").mkdir()
    image.save(tmp_path / "images" / "a.png", exif=orientation)
    settings = toml(tmp_path, f'{exif}\ndtype = "uint8"')
    data = opened(tmp_path / "images", preprocess=settings)
    (array,) = data.batch(0, 1)["image"]
    assert array.shape == shape
    # Turned clockwise, the first row is the first column, read from below.
    assert array[0, 0].tolist() == ([1, 0] if exif else [0, 0, 0, 0])


def test_animations_give_their_first_frame(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("#ff0000", "#00ff00")]
    frames[0].save(tmp_path / "images" / "a.gif", save_all=True, append_images=frames[1:])
    assert pixels(tmp_path / "images")[0, 0, 0].tolist() == [255, 0, 0]


# --------------------------------------------------------------------------------- broken files


def bytes_of(kind: str, size: tuple[int, int] = (64, 64)) -> bytes:
    stream = BytesIO()
    random = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(random).save(stream, format=kind)
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it is 20,000 × 10,000."""
    stream = BytesIO()
    Image.new("1", (20_000, 10_000)).save(stream, format="PNG")
    return stream.getvalue()


def eps() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n"


BROKEN = {
    "truncated.jpg": lambda: bytes_of("JPEG")[:-2000],
    "truncated.png": lambda: bytes_of("PNG")[:-3000],
    "no_header.png": lambda: bytes_of("PNG")[:20],
    "empty.png": lambda: b"",
    "text.jpg": lambda: b"not an image at all",
    "bomb.png": bomb,
    "program.png": eps,
    "flipped.png": lambda: bytes_of("PNG")[:200] + b"\0" * 50 + bytes_of("PNG")[250:],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_is_left_out_and_told(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "images"
    for place, good in enumerate(("a.png", "z.png")):
        put(folder / "cat" / good, (place, 0, 0), size=(64, 64))
    (folder / "cat" / name).write_bytes(BROKEN[name]())
    data = opened(folder)
    batch = data.batch(0, 3)
    assert batch["image"].shape == (2, 3, 64, 64)
    assert batch["labels"].tolist() == [0, 0]
    assert batch["image"][:, 0, 0, 0].tolist() == [0, np.float32(1 / 255)]
    ((index, reason),) = data.broken.items()
    assert data.name_of(index) == f"cat/{name}"
    assert reason
    assert (reason == "it is empty") == (name == "empty.png")
    assert str(tmp_path) not in reason


def test_a_bomb_is_named_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "a.png")
    (folder / "b.png").write_bytes(bomb())
    data = opened(folder)
    data.batch(0, 2)
    assert "pixels" in data.broken[1]


def test_an_image_that_would_be_enlarged_beyond_reason(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "a.png")
    put(folder / "b.png", size=(1, 30_000))
    data = opened(folder, preprocess="imagenet")
    assert len(data.batch(0, 2)["image"]) == 1
    assert "30000 × 1" in data.broken[1]


def test_what_is_no_file_does_not_hang(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "z.png")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.png")
    data = opened(folder)
    assert len(data.batch(0, 3)["image"]) == 1
    assert data.broken.keys() == {0, 1}
    assert data.digest()


def test_labels_alone_decode_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "cat" / "a.png", size=(64, 64))
    (folder / "cat" / "b.jpg").write_bytes(BROKEN["truncated.jpg"]())
    data = opened(folder)
    assert data.batch(0, 2, {"labels"})["labels"].tolist() == [0, 0]
    assert data.broken == {}
    data.batch(0, 2)
    assert data.broken.keys() == {1}
    # The same rows as before: whether an image decodes is none of the labels' business.
    assert data.batch(0, 2, {"labels"})["labels"].tolist() == [0, 0]


def test_a_batch_of_nothing_but_broken_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "cat" / "a.png")
    (folder / "cat" / "b.jpg").touch()
    batch = opened(folder).batch(1, 2)
    assert batch["image"].shape == (0, 3, 3, 4)
    assert batch["labels"].shape == (0,)


def test_no_image_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_text("nothing")
    with pytest.raises(RequestError, match=r"none of the 2 images .* can be read; a\.png"):
        opened(folder)


# ----------------------------------------------------------------------------- resize and crop


@pytest.mark.parametrize(
    ("height", "width", "crop", "top", "left"),
    [
        (5, 7, 2, 2, 2),  # 1.5 and 2.5 round to even
        (7, 5, 2, 2, 2),
        (9, 11, 2, 4, 4),  # 3.5 → 4, 4.5 → 4
        (6, 6, 2, 2, 2),
        (4, 4, 4, 0, 0),
    ],
)
def test_the_crop_begins_where_torchvisions_does(
    tmp_path: Path, height: int, width: int, crop: int, top: int, left: int
) -> None:
    put_array(tmp_path / "images" / "a.png", grid(height, width))
    settings = toml(tmp_path, f'crop = {crop}\ndtype = "uint8"')
    (image,) = opened(tmp_path / "images", preprocess=settings).batch(0, 1)["image"]
    assert image[0, :, 0].tolist() == list(range(top, top + crop))
    assert image[1, 0].tolist() == list(range(left, left + crop))


def test_what_is_smaller_than_the_crop_is_padded_with_black(tmp_path: Path) -> None:
    put_array(tmp_path / "images" / "a.png", grid(3, 6) + 1)
    settings = toml(tmp_path, 'crop = [6, 3]\ndtype = "uint8"')
    (image,) = opened(tmp_path / "images", preprocess=settings).batch(0, 1)["image"]
    # 3 rows are missing: 3 // 2 = 1 above, 2 below. 6 − 3 columns: 1.5 rounds to 2.
    assert image[0, :, 0].tolist() == [0, 1, 2, 3, 0, 0]
    assert image[1, 1].tolist() == [3, 4, 5]


def test_resizing_is_antialiased(tmp_path: Path) -> None:
    """A triangle of twice the width: weights 3, 3, 1 of sevenths for the left pixel of two."""
    columns = np.tile(np.uint8([0, 70, 140, 210]), (4, 1))
    put_array(tmp_path / "images" / "a.png", columns)
    settings = toml(tmp_path, 'resize = 2\ndtype = "uint8"\nchannels = "L"')
    (image,) = opened(tmp_path / "images", preprocess=settings).batch(0, 1)["image"]
    assert image.tolist() == [[[50, 160], [50, 160]]]


def test_nearest_takes_a_pixel_as_it_is(tmp_path: Path) -> None:
    put_array(tmp_path / "images" / "a.png", np.tile(np.uint8([0, 70, 140, 210]), (4, 1)))
    settings = toml(
        tmp_path, 'resize = 2\ndtype = "uint8"\nchannels = "L"\ninterpolation = "nearest"'
    )
    (image,) = opened(tmp_path / "images", preprocess=settings).batch(0, 1)["image"]
    assert image[0, 0].tolist() == [70, 210]


@pytest.mark.torch
@pytest.mark.parametrize(("height", "width"), [(300, 200), (200, 301), (90, 100)])
def test_imagenet_agrees_with_pytorchs_own_antialiased_resize(
    tmp_path: Path, height: int, width: int
) -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    put_array(tmp_path / "images" / "a.png", values)
    (image,) = opened(tmp_path / "images", preprocess="imagenet").batch(0, 1)["image"]
    short = min(height, width)
    size = (256 * height // short, 256 * width // short)
    tensor = torch.from_numpy(values).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(
        tensor, size, mode="bilinear", antialias=True, align_corners=False
    )[0]
    top, left = (round((side - 224) / 2) for side in size)
    crop = resized[:, top : top + 224, left : left + 224] / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(-1, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(-1, 1, 1)
    expected = ((crop - mean) / std).numpy()
    # Pillow rounds to whole levels after each of the two directions.
    assert np.abs(image - expected).max() < 1.1 / 255 / 0.224


def test_channels_and_layout(tmp_path: Path) -> None:
    put(tmp_path / "images" / "a.png", (10, 20, 30), size=(2, 1))
    folder = tmp_path / "images"
    first = 'dtype = "uint8"\n'
    bgr = opened(folder, preprocess=toml(tmp_path, f'{first}channels = "BGR"'))
    assert bgr.batch(0, 1)["image"][0, :, 0, 0].tolist() == [30, 20, 10]
    last = opened(folder, preprocess=toml(tmp_path, f'{first}layout = "NHWC"'))
    assert last.batch(0, 1)["image"][0].tolist() == [[[10, 20, 30], [10, 20, 30]]]
    grey = opened(folder, preprocess=toml(tmp_path, f'{first}channels = "L"'))
    # ITU-R 601: 0.299 × 10 + 0.587 × 20 + 0.114 × 30 = 18.15
    assert grey.batch(0, 1)["image"].tolist() == [[[[18, 18]]]]


# -------------------------------------------------------------------------------------- digest


def test_the_digest_covers_names_bytes_and_settings(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    put(folder / "cat" / "a.png")
    put(folder / "dog" / "b.png", (1, 2, 3))
    seen = {opened(folder).digest()}
    assert opened(folder).digest() in seen
    seen.add(opened(folder, preprocess="imagenet").digest())
    seen.add(opened(folder, preprocess=toml(tmp_path, "crop = 2")).digest())
    seen.add(opened(folder, limit=1).digest())
    (folder / "dog" / "b.png").rename(folder / "dog" / "c.png")
    seen.add(opened(folder).digest())
    put(folder / "dog" / "c.png", (1, 2, 4))
    seen.add(opened(folder).digest())
    assert len(seen) == 6


def test_a_digest_is_the_same_in_another_place(tmp_path: Path) -> None:
    for place in ("here", "there"):
        put(tmp_path / place / "cat" / "a.png")
    assert opened(tmp_path / "here").digest() == opened(tmp_path / "there").digest()
