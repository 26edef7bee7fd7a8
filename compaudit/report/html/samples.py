"""The samples that suffered most, with pictures where the report has them."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass

from compaudit.report.rows.base import Cell
from compaudit.report.rows.worst import worst_section
from compaudit.results import Comparison

__all__ = ["Gallery", "Picture", "gallery_of", "picture_from"]

_MOST = 10
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">8s4x4sII")
_LARGEST_SIDE, _LARGEST_FILE = 512, 65_536


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG in base64, and its size in pixels."""

    data: str
    width: int
    height: int

    @property
    def coarse(self) -> bool:
        """Whether single pixels are to be seen: smoothing would show what is not there."""
        return max(self.width, self.height) <= 48


@dataclass(frozen=True, slots=True)
class Gallery:
    """Cards of samples: a picture, and the cells of their row, each with the title above it."""

    title: str
    note: str
    cards: tuple[tuple[Picture | None, tuple[tuple[str, Cell], ...]], ...]


def gallery_of(report: Comparison) -> Gallery | None:
    """The samples as cards; None where none of them has a picture, and a table does."""
    section = worst_section(report, _MOST)
    if section is None:
        return None
    pictures = [picture_from(sample.image) for sample in report.worst[: len(section.rows)]]
    if not any(pictures):
        return None
    titles = [column.title for column in section.columns]
    cards = tuple(
        (picture, tuple(zip(titles, row, strict=True)))
        for picture, row in zip(pictures, section.rows, strict=True)
    )
    return Gallery(section.title, section.note, cards)


def picture_from(image: str | None) -> Picture | None:
    """A picture of a report, which anybody may have altered; None for what is no small PNG."""
    if image is None or len(image) > _LARGEST_FILE:
        return None
    try:
        content = base64.b64decode(image, validate=True)
        signature, name, width, height = _HEADER.unpack_from(content)
    except (binascii.Error, ValueError, struct.error):
        return None
    if signature != _SIGNATURE or name != b"IHDR":
        return None
    if not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
        return None
    return Picture(image, width, height)
