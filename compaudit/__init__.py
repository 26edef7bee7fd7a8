"""compaudit: an auditor for compressed neural networks.

The public API: `compare`, `inspect`, `rank` and `bench` return the document that the JSON report
holds. Everything else is imported where it is used, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compaudit.version import __version__

__all__ = [
    "Benchmark",
    "Comparison",
    "CompauditError",
    "Inspection",
    "Ranking",
    "__version__",
    "bench",
    "compare",
    "inspect",
    "rank",
]

if TYPE_CHECKING:
    from compaudit.api import bench, compare, inspect, rank
    from compaudit.errors import CompauditError
    from compaudit.results import Benchmark, Comparison, Inspection, Ranking

_HOMES = {
    "bench": "compaudit.api",
    "compare": "compaudit.api",
    "inspect": "compaudit.api",
    "rank": "compaudit.api",
    "CompauditError": "compaudit.errors",
    "Benchmark": "compaudit.results",
    "Comparison": "compaudit.results",
    "Inspection": "compaudit.results",
    "Ranking": "compaudit.results",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
