"""What a node of the cluster is like, found out on the node, which may lack compaudit itself.

`look_around` is sent as code, not by name: it needs the standard library only.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Facts", "Node", "look_around", "misses"]

Facts = dict[str, str]
"""What a node says of itself: see `look_around`."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that can run the models.

    Attributes:
        id: Ray's.
        name: for the user: the host and its address.
        machine: tells whether two nodes, or a node and the caller, share their files; see
            `look_around`.
        slots: how many Ray workers it has room for.
    """

    id: str
    name: str
    machine: str
    slots: int


def look_around(packages: Sequence[str]) -> Facts:
    """The host's name, its boot, the versions there, and which of the packages it lacks.

    ``machine`` is the same for processes under one running kernel, containers included; empty where
    the system has no such thing.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
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


def misses(facts: Facts, version: str) -> str:
    """What keeps a node from evaluating, in words that follow its name; empty where nothing does.

    Args:
        facts: of the node.
        version: compaudit's here.
    """
    if not facts["compaudit"]:
        return "has no compaudit"
    if facts["compaudit"] != version:
        return f"has compaudit {facts['compaudit']}, and this machine {version}"
    return f"has no {facts['missing']}" if facts["missing"] else ""
