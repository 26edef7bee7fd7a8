"""Runs the real command many times, each in a process forked from one that has imported it all.

Reads a list of argument lists as JSON from stdin, and writes how each ended to stdout. What takes
its time in a fresh process is imports; everything that the command does happens after the fork.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

LONGEST_S = 150  # of what takes 15 s on an idle machine at most; what hangs is killed


def main() -> None:
    preload, cases = json.load(sys.stdin)
    for name in preload:
        __import__(name)
    json.dump([_outcome(arguments) for arguments in cases], sys.stdout)


def _outcome(arguments: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(arguments, Path(folder))
        _, status, used = os.wait4(child, 0)
        seconds = time.monotonic() - began
        return {
            "code": os.waitstatus_to_exitcode(status),
            "stdout": (Path(folder) / "stdout").read_text("utf-8"),
            "stderr": (Path(folder) / "stderr").read_text("utf-8"),
            "seconds": seconds,
            # Kibibytes on Linux, bytes on macOS; of workers too, where they took more.
            "peak_bytes": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        }


def _become(arguments: list[str], folder: Path) -> NoReturn:
    """Be the command, with its output in files; killed where it hangs."""
    try:
        os.setsid()
        signal.alarm(LONGEST_S)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for place, name in enumerate(("stdin", "stdout", "stderr")):
            handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
            os.dup2(handle, place)
        sys.argv = ["compaudit", *arguments]
        from compaudit.cli.main import main as command

        command()
    except SystemExit as stop:
        sys.stdout.flush()
        os._exit(stop.code if isinstance(stop.code, int) else 1)
    finally:
        os._exit(99)


if __name__ == "__main__":
    main()
