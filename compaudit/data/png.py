"""Small images as PNG, for reports: grey or colour, 8 bits a channel.

Data of arrays needs no Pillow, and a thumbnail no more than this.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["encode_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2
Bytes = NDArray[np.uint8]


def encode_png(pixels: Bytes) -> bytes:
    """The image as the bytes of a file.

    Args:
        pixels: (height, width) for grey, (height, width, 3) for red, green and blue.

    Source: PNG (W3C Recommendation, third edition), sections 9 (filtering) and 11 (chunks).
    """
    height, width = pixels.shape[:2]
    kind = _GREY if pixels.ndim == 2 else _COLOUR
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    channels = 1 if kind == _GREY else 3
    rows = _filtered(pixels.reshape(height, width, channels))
    data = zlib.compress(rows.tobytes(), 9)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def _filtered(pixels: Bytes) -> Bytes:
    """Every row as what its neighbours do not predict, by the filter that leaves least of it."""
    height, width, channels = pixels.shape
    padded = np.zeros((height + 1, width + 1, channels), np.int16)
    padded[1:, 1:] = pixels
    here, left, above, corner = (
        part.reshape(height, -1)
        for part in (padded[1:, 1:], padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1])
    )
    predicted = np.stack(
        (np.zeros_like(here), left, above, (left + above) // 2, _paeth(left, above, corner))
    )
    rest = ((here - predicted) % 256).astype(np.uint8)
    size = np.minimum(rest, 256 - rest.astype(np.int16)).sum(axis=2)
    best = size.argmin(axis=0)
    rows = np.empty((height, 1 + width * channels), np.uint8)
    rows[:, 0] = best
    rows[:, 1:] = rest[best, np.arange(height)]
    return rows


def _paeth(
    left: NDArray[np.int16], above: NDArray[np.int16], corner: NDArray[np.int16]
) -> NDArray[np.int16]:
    """The neighbour that is nearest to left + above − corner; ties go to the left, then above."""
    estimate = left + above - corner
    far_left, far_above, far_corner = (abs(estimate - each) for each in (left, above, corner))
    from_left = (far_left <= far_above) & (far_left <= far_corner)
    return np.where(from_left, left, np.where(far_above <= far_corner, above, corner))
