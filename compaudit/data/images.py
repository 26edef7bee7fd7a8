"""A folder of images: one sub-folder a class, as torchvision's ``ImageFolder``, or no classes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import LABELS, ArrayInfo, DataRequest, Dataset
from compaudit.data.pixels import UndecodableError, decode, require_pillow, size_of
from compaudit.data.preprocess import read_preprocess
from compaudit.errors import RequestError

__all__ = ["IMAGE", "ImageFolder", "is_image_folder"]

IMAGE = "image"
"""The name of the array of images."""

_SHOWN = 3

# torchvision's, and GIF.
_SUFFIXES = (*(".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),)


def is_image_folder(path: Path) -> bool:
    """Whether it is a folder with an image in it, or in a folder below."""
    return path.is_dir() and any(True for _ in _images(path))


class ImageFolder(Dataset):
    """Images by file, in a fixed order: by class, then by name.

    The sub-folders, sorted by name, are the classes 0, 1, …, those without images too. Images that
    lie in the folder itself have no labels. Hidden files, and those of other kinds, are ignored;
    links are followed. An image is decoded when it is asked for: one that does not decode is left
    out of its batch and recorded. With a limit, every n-th image is used, so that no class is lost.

    Raises:
        RequestError: images beside class folders, none that can be read, or Pillow is missing.
    """

    kind = "images"
    reshaping = (
        "--preprocess imagenet, or a TOML file with resize, crop and layout, makes images of the "
        "shape that the model wants"
    )

    def __init__(self, request: DataRequest) -> None:
        assert request.uri is not None
        require_pillow(request.uri)
        self._folder = Path(request.uri)
        self._preprocess = read_preprocess(request.preprocess)
        self._as_they_are = request.preprocess is None
        self._table = self._preprocess.table()
        self.broken = {}
        files, labels, names, others = _listed(self._folder)
        self.notes = _notes(others)
        self.classes = tuple(_text(name) for name in names)
        self.samples = min(len(files), request.limit or len(files))
        used = [place * len(files) // self.samples for place in range(self.samples)]
        self._files = [files[place] for place in used]
        self._labels = np.array(labels, np.int64)[used] if names else None
        self._shape = self._found_shape()
        image = ArrayInfo(IMAGE, self._preprocess.dtype, self._shape)
        self.arrays = (image, *([ArrayInfo(LABELS[0], "int64", ())] if names else []))

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Images and labels of these samples, without those that do not decode.

        Asked for labels alone, it decodes nothing and gives those of every sample.

        Raises:
            RequestError: images of different sizes.
        """
        rows = list(range(start, min(stop, self.samples)))
        batch = {}
        if names is None or IMAGE in names:
            batch[IMAGE] = self._decoded(rows)
            rows = [row for row in rows if row not in self.broken]
        if self._labels is not None and (names is None or LABELS[0] in names):
            batch[LABELS[0]] = self._labels[rows]
        return batch

    def digest(self) -> str:
        """SHA-256 over what is done to images, and the names and contents of the files."""
        total = hashlib.sha256(msgspec.json.encode(self._preprocess))
        for name in self._files:
            total.update(os.fsencode(name) + b"\0" + _hash(self._folder / name))
        return total.hexdigest()

    def pixels(self, index: int) -> NDArray[np.uint8] | None:
        """What is left of the image after resizing and cropping, in its own colours."""
        shown = self._preprocess.as_seen
        try:
            return decode(self._folder / self._files[index], shown, shown.table())
        except UndecodableError:
            return None

    def name_of(self, index: int) -> str:
        """Its path inside the folder."""
        return _text(self._files[index])

    def _decoded(self, rows: list[int]) -> NDArray[Any]:
        images = np.empty((len(rows), *self._shape), self._table.dtype)
        filled = 0
        for row in rows:
            image = self._read(row)
            if image is not None:
                images[filled] = image
                filled += 1
        return images[:filled]

    def _read(self, row: int) -> NDArray[Any] | None:
        """One image; None where it is broken, which is noted."""
        if row in self.broken:
            return None
        try:
            image = decode(self._folder / self._files[row], self._preprocess, self._table)
        except UndecodableError as error:
            self.broken[row] = str(error)
            return None
        if image.shape != self._shape:
            raise self._sizes_differ(row, image.shape)
        return image

    def _found_shape(self) -> tuple[int, int, int]:
        """What every image becomes: stated, or the size of the first that can be read."""
        if self._preprocess.fixed_size is not None:
            return self._preprocess.laid_out(*self._preprocess.fixed_size)
        for row, name in enumerate(self._files):
            try:
                size = size_of(self._folder / name, exif=self._preprocess.exif)
                return self._preprocess.shape_of(*size)
            except UndecodableError as error:
                self.broken[row] = str(error)
        raise _refused(
            f"none of the {len(self._files)} images in {self._folder} can be read; "
            f"{self.name_of(0)}: {self.broken[0]}",
            "no-samples",
            "check that they are images",
        )

    def _sizes_differ(self, row: int, shape: tuple[int, ...]) -> RequestError:
        first = next(other for other in range(self.samples) if other not in self.broken)
        return _refused(
            f"the images in {self._folder} have different sizes: {self.name_of(row)} becomes an "
            f"array of shape {shape}, and {self.name_of(first)} one of {self._shape}",
            "image-sizes-differ",
            "give --preprocess imagenet, or a TOML file with the size to crop"
            if self._as_they_are
            else "state the size of both sides: crop = 224, or resize = [224, 224]",
        )


def _hash(path: Path) -> bytes:
    try:
        if path.is_file():  # a pipe would wait for somebody to write
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        pass
    return b"unreadable"


def _notes(others: list[str]) -> tuple[str, ...]:
    """That there are files which are not called as images are; an image may be among them."""
    if not others:
        return ()
    shown = ", ".join(_text(name) for name in others[:_SHOWN])
    more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
    files = "1 file is" if len(others) == 1 else f"{len(others):,} files are"
    return (f"{files} not called as images are, and left out: {shown}{more}",)


def _listed(folder: Path) -> tuple[list[str], list[int], list[str], list[str]]:
    """All images, the class of each, the names of the classes, which may be none; other files."""
    others: list[str] = []
    own, folders = _inside(folder, "", others)
    if own:
        for name in folders:
            below = next(_images(folder, name), None)
            if below is not None:
                raise _refused(
                    f"{folder} holds images of its own, {_text(own[0])}, beside folders of images, "
                    f"{_text(below)}",
                    "images-beside-classes",
                    "give every class a folder, or put all images into one",
                )
        return own, [0] * len(own), [], others
    by_class = [list(_images(folder, name, others)) for name in folders]
    files = [file for images in by_class for file in images]
    if not files:
        raise _refused(f"{folder} holds no images", "no-samples", "an audit needs at least one")
    labels = [label for label, images in enumerate(by_class) for _ in images]
    return files, labels, folders, others


def _images(root: Path, start: str = "", others: list[str] | None = None) -> Iterator[str]:
    """Paths, relative to the root, of all images below a folder of it; each folder once.

    A folder's own come before those of its sub-folders. Files that are none go to `others`.
    """
    waiting, seen = [start], set()
    while waiting:
        folder = waiting.pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            continue  # a link led back here
        seen.add((status.st_dev, status.st_ino))
        images, folders = _inside(root, folder, others)
        yield from images
        waiting += reversed(folders)


def _inside(
    root: Path, folder: str, others: list[str] | None = None
) -> tuple[list[str], list[str]]:
    """The images and the sub-folders that lie in a folder of the root, sorted; no hidden ones.

    Files that are no images by their names go to `others`.
    """
    try:
        with os.scandir(root / folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except OSError as error:
        raise _refused(
            f"the folder {_text(str(root / folder))} cannot be read: {error.strerror}",
            "unreadable-data",
            "check who may read it",
        ) from error
    prefix = f"{folder}/" if folder else ""
    images: list[str] = []
    folders: list[str] = []
    for entry in entries:
        if _is_folder(entry):
            folders.append(prefix + entry.name)
        elif entry.name.lower().endswith(_SUFFIXES):
            images.append(prefix + entry.name)
        elif others is not None:
            others.append(prefix + entry.name)
    return sorted(images), sorted(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _text(name: str) -> str:
    """A name that any report can hold; not all are UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _refused(message: str, code: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code=code, stage="data")
