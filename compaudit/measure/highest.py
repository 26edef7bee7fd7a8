"""The classes with the highest scores of many rows, without sorting them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["highest_classes"]

# Of rows this wide the lowest of the highest is found among those of so many interleaved groups,
_WIDE = 256
_GROUP = 32
# and of rows this wide the others are looked for in the groups that hold one.
_VERY_WIDE = 4096

Places = NDArray[np.int64]


def highest_classes(values: NDArray[Any], count: int) -> Places:
    """The classes with the highest scores of each row, the highest first; of equal ones the first.

    Args:
        values: (rows, classes).
        count: how many are wanted.

    Returns:
        Class numbers, (rows, at most `count`); −1 in all of a row that holds a NaN.
    """
    rows, classes = values.shape
    count = min(count, classes)
    whole = classes // _GROUP * _GROUP if classes >= _WIDE else 0
    grouped = values[:, :whole].reshape(rows, _GROUP, whole // _GROUP)
    # As many groups hold an element that high. A NaN is higher than all, and nothing reaches it.
    tops = np.concatenate((grouped.max(axis=1), values[:, whole:]), axis=1)
    bound = np.partition(tops, -count, axis=-1)[:, -count, None]
    bound[np.isnan(tops).any(axis=-1)] = np.nan
    place, among = _that_reach(bound, values, tops, whole)
    order = np.lexsort((among, -values[place, among], place))
    place, among = place[order], among[order]
    rank = np.arange(len(place)) - np.searchsorted(place, place)
    first = rank < count
    found = np.full((rows, count), -1, dtype=np.int64)
    found[place[first], rank[first]] = among[first]
    return found


def _that_reach(
    bound: NDArray[Any], values: NDArray[Any], tops: NDArray[Any], whole: int
) -> tuple[Places, Places]:
    """Rows and classes of all elements that are at least as high as their row's bound."""
    if values.shape[1] < _VERY_WIDE:
        return _places(values >= bound)
    width = whole // _GROUP
    place, top = _places(tops >= bound)
    alone = top >= width
    rows, members = place[~alone], top[~alone, None] + width * np.arange(_GROUP)
    hit, member = _places(values[rows[:, None], members] >= bound[rows])
    return (
        np.concatenate((place[alone], rows[hit])),
        np.concatenate((whole + top[alone] - width, members[hit, member])),
    )


def _places(wanted: NDArray[np.bool_]) -> tuple[Places, Places]:
    """Rows and columns of what is true."""
    rows, columns = np.divmod(np.flatnonzero(wanted), max(1, wanted.shape[1]))
    return rows, columns
