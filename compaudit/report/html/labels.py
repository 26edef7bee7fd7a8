"""Names beside the points of a drawing, none over another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Box", "place", "write_names"]

_RADII = (7.0, 11.0, 16.0, 23.0, 32.0, 43.0, 56.0, 72.0, 90.0, 112.0, 140.0)
"""How far from its point a name may stand, in pixels; beyond the first few a line leads to it."""
_UNLED = 16.0
_MARKER = 5.0
_COVERED = 100.0
"""What a pixel that is covered costs beside a pixel of distance, or of a line that is crossed."""
# To the right and the left first, then above and below, then between.
_DIRECTIONS = tuple(
    math.radians(a) for a in (0, 180, 90, 270, 35, 325, 145, 215, 60, 300, 120, 240)
)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in pixels."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def center(self) -> tuple[float, float]:
        """Its middle."""
        return self.left + self.width / 2, self.bottom + self.height / 2

    def shared(self, other: Box) -> float:
        """The area that both cover."""
        wide = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        high = min(self.bottom + self.height, other.bottom + other.height) - max(
            self.bottom, other.bottom
        )
        return max(wide, 0.0) * max(high, 0.0)


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    lines: Sequence[Box] = (),
) -> list[Box]:
    """Where each name stands: near its point, within the frame, over no point and no other name.

    Where that cannot be had, a name stands where it covers least. It rather stands a little further
    away than over a line.

    Args:
        points: in pixels.
        sizes: width and height of each name.
        frame: of the drawing.
        lines: as thin boxes.
    """
    markers = [Box(x - _MARKER, y - _MARKER, 2 * _MARKER, 2 * _MARKER) for x, y in points]
    placed: dict[int, Box] = {}
    # Those in a crowd first, while there is room around them.
    for at in sorted(range(len(points)), key=lambda at: _loneliness(points, at)):
        taken = [*markers, *placed.values()]
        least = math.inf
        for radius, box in _around(points[at], sizes[at]):
            covered = box.width * box.height - box.shared(frame)
            covered += sum(box.shared(one) for one in taken)
            crossed = sum(box.shared(one) for one in lines)
            cost = _COVERED * covered + crossed + radius
            if cost < least:
                least, placed[at] = cost, box
    return [placed[at] for at in range(len(points))]


def write_names(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
) -> None:
    """Write a name beside each point.

    Args:
        axes: with its limits set.
        points: in the data's own units.
        names: one for each.
        lines: upright and level ones, from end to end, that names had better not cross.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    # In the middle, for text that stands outside has no size.
    written = [axes.text(0.5, 0.5, name, transform=axes.transAxes, fontsize=8.5) for name in names]
    figure.draw_without_rendering()  # so that the frame stands where it will
    extents = [text.get_window_extent() for text in written]
    frame = axes.get_window_extent()

    def pixels(point: tuple[float, float]) -> tuple[float, float]:
        x, y = axes.transData.transform(point)
        return float(x), float(y)

    boxes = place(
        [pixels(point) for point in points],
        [(extent.width, extent.height) for extent in extents],
        Box(frame.x0, frame.y0, frame.width, frame.height),
        [_thin(pixels(start), pixels(end)) for start, end in lines],
    )
    to_points = 72 / figure.dpi
    for text, name, point, box in zip(written, names, points, boxes, strict=True):
        text.remove()
        x, y = pixels(point)
        across, up = box.center[0] - x, box.center[1] - y
        gap = max(abs(across) - box.width / 2, abs(up) - box.height / 2)
        axes.annotate(
            name,
            point,
            (across * to_points, up * to_points),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8.5,
            annotation_clip=False,
            arrowprops=_leader(axes) if gap > _UNLED else None,
        )


def _leader(axes: Axes) -> dict[str, object]:
    ink = axes.xaxis.label.get_color()
    return {"arrowstyle": "-", "linewidth": 0.6, "color": ink, "shrinkA": 1, "shrinkB": 4}


def _thin(start: tuple[float, float], end: tuple[float, float]) -> Box:
    (left, right), (bottom, top) = (sorted(pair) for pair in zip(start, end, strict=True))
    return Box(left - 1, bottom - 1, right - left + 2, top - bottom + 2)


def _around(point: tuple[float, float], size: tuple[float, float]) -> Iterator[tuple[float, Box]]:
    (x, y), (width, height) = point, size
    for radius, angle in itertools.product(_RADII, _DIRECTIONS):
        across, up = math.cos(angle), math.sin(angle)
        center_x = x + across * (radius + width / 2)
        center_y = y + up * (radius + height / 2)
        yield radius, Box(center_x - width / 2, center_y - height / 2, width, height)


def _loneliness(points: Sequence[tuple[float, float]], at: int) -> float:
    others = (math.dist(points[at], one) for place, one in enumerate(points) if place != at)
    return min(others, default=math.inf)
