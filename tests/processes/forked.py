"""The command in a process of its own that is spared its imports.

A process that has imported everything forks for each command, which then does all that it would do
in a fresh interpreter: it has its own arguments, environment, folder and streams, starts its own
workers, and ends with its own exit code. Imports are most of the time of a short command, and a
test suite runs hundreds of them. How an interpreter starts and ends is for tests of real ones.
"""

from __future__ import annotations

import atexit
import io
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import NoReturn

__all__ = ["Ended", "run_forked"]

# What a command imports only when it needs it, and what that imports.
_AHEAD = (
    *("compaudit.cli.main", "compaudit.cli.output", "compaudit.cli.progress", "typer._adapters"),
    *("compaudit.audit", "compaudit.inspection", "compaudit.judging", "compaudit.saved"),
    *("compaudit.cli.step_summary", "compaudit.envelope", "compaudit.models.onnx.ledger"),
    *("compaudit.checkup", "compaudit.measure.macs.in_worker", "safetensors"),
    *("compaudit.report.junit", "compaudit.report.markdown", "compaudit.report.rows.comparison"),
    *("compaudit.report.rows.checkup", "compaudit.report.rows.gate"),
    *("compaudit.report.rows.inspection", "compaudit.report.rows.several"),
    *("compaudit.report.html.document", "compaudit.report.html.charts"),
    *("compaudit.report.html.layers", "jinja2"),
    *("matplotlib.figure", "matplotlib.backends.backend_svg"),
    *("torch", "compaudit.models.torch.checkpoint", "compaudit.models.torch.exported_archive"),
)
_WHOSE = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


@dataclass(frozen=True)
class Ended:
    """How a command ended; the memory is the most that it or one of its workers took."""

    returncode: int
    stdout: bytes
    stderr: bytes
    peak_bytes: int | None


def run_forked(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> Ended:
    """Run ``python -P -m compaudit ARGUMENTS``, without a stdin.

    Raises:
        subprocess.TimeoutExpired: it took longer; it and its workers are killed.
    """
    with tempfile.TemporaryDirectory(prefix="streams-") as folder:
        files = [Path(folder) / name for name in ("stdout", "stderr", "peak")]
        process = _process(list(arguments), cwd, dict(env), files)
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["compaudit", *arguments], timeout)
        stdout, stderr = (path.read_bytes() for path in files[:2])
        peak = int(files[2].read_bytes()) if files[2].exists() else None
        return Ended(process.exitcode, stdout, stderr, peak)


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *_AHEAD])  # without what is not installed
    return context


def _process(
    arguments: list[str], cwd: Path, env: dict[str, str], files: list[Path]
) -> ForkServerProcess:
    given = (arguments, str(cwd), env, [str(path) for path in files], _module_path())
    return _context().Process(target=_be_the_command, args=given)


@cache
def _module_path() -> list[str]:
    """Where ``python -P`` looks for modules: not where pytest does."""
    ask = "import sys; print(*sys.path, sep=chr(0), end='')"
    done = subprocess.run([sys.executable, "-P", "-c", ask], capture_output=True, check=True)
    return os.fsdecode(done.stdout).split("\0")


def _be_the_command(
    arguments: list[str], cwd: str, env: dict[str, str], files: list[str], path: list[str]
) -> NoReturn:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    tempfile.tempdir = None  # which the environment decides
    for descriptor, name in enumerate((os.devnull, *files[:2])):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT
        opened = os.open(name, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        binary = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
        errors = "strict" if descriptor == 1 else "backslashreplace"
        setattr(
            sys, name, io.TextIOWrapper(binary, "utf-8", errors, line_buffering=descriptor == 2)
        )
    sys.path[:] = path
    sys.argv = ["compaudit", *arguments]
    from compaudit.__main__ import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()  # as an interpreter that ends, and a forked one does not
        Path(files[2]).write_text(str(_peak_bytes()), encoding="ascii")


def _peak_bytes() -> int:
    """The most memory of this process, or of one that it waited for."""
    peaks = (resource.getrusage(who).ru_maxrss for who in _WHOSE)
    return max(peaks) * (1 if sys.platform == "darwin" else 1024)
