"""What of a report a reader wants to see. JSON is always complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["SORTS", "Sort", "View"]

Sort = Literal["name", "bytes", "parameters", "macs", "sparsity", "bits"]
SORTS: tuple[Sort, ...] = get_args(Sort)


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a report.

    Attributes:
        layers: every layer, instead of where the bytes are or of those that changed most.
        tensors: every stored tensor.
        sort: the order of both, largest first and names from A to Z; that of the model where None.
        top: how many of each; the rest is summed up in one row.
        verdict_only: what was concluded and judged, without what it rests on.
        columns: of a ranking, by name, after the model's; None for those that say most.
        ranked_by: the column that a ranking is sorted by, the best first; as given where None.
        survey: a ranking's table as in Cheng et al. 2017: top-5, speed-up and compression rate.
    """

    layers: bool = False
    tensors: bool = False
    sort: Sort | None = None
    top: int | None = None
    verdict_only: bool = False
    columns: tuple[str, ...] | None = None
    ranked_by: str | None = None
    survey: bool = False
