"""What a node of the cluster is like, found out on the node, which may lack compaudit itself.

This module is sent as code, not by name: it needs the standard library only.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import socket
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Facts", "look_around"]

Facts = dict[str, str]
"""What a node says of itself: see `look_around`."""


def look_around(packages: Sequence[str]) -> Facts:
    """The host's name, its boot, the versions there, and which of the packages it lacks.

    ``machine`` is the same for processes under one running kernel, containers included; empty where
    the system has no such thing.
    """
    # An empty folder, which an uninstalled package may leave, has a specification without a file.
    specifications = {name: importlib.util.find_spec(name) for name in packages}
    missing = [name for name, spec in specifications.items() if spec is None or spec.origin is None]
    try:
        version = str(importlib.import_module("compaudit.version").__version__)
    except ImportError:
        version = ""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return {
        "host": socket.gethostname(),
        "machine": boot.read_text().strip() if boot.exists() else "",
        "python": platform.python_version(),
        "compaudit": version,
        "missing": ", ".join(missing),
    }
