"""SciPy's special functions, imported when the first is needed: that takes 0.2 s or more."""

from __future__ import annotations

from typing import Any

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    from scipy import special

    return getattr(special, name)
