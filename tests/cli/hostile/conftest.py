"""Many hostile files through the real command, quickly: each in a forked process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from forked import Ended, run_forked

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

LONGEST_S = 150.0  # of what takes 15 s on an idle machine at most; what hangs is killed
# Memory with the interpreter and all it has imported. The largest graph here takes 600 MB, PyTorch
# 350 MB; what a file makes grow would take many times that.
MOST_BYTES = 1 << 30

Inspect = Callable[..., "dict[str, Outcome]"]


@pytest.fixture(scope="session")
def inspect_all(outcome: Callable[..., Outcome], quiet_folder: Path) -> Inspect:
    """Inspect every file, each in a process of its own; bounded in time and memory.

    Args: the files by name, further options.
    """
    settings = {"TMPDIR": str(quiet_folder), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}

    def inspect(command: tuple[str, ...]) -> Ended:
        env = {**os.environ, **settings}
        return run_forked(command, cwd=Path.cwd(), env=env, timeout=LONGEST_S)

    def inspect_files(files: Mapping[str, Path], *options: str) -> dict[str, Outcome]:
        commands = {name: ("inspect", str(path), *options) for name, path in files.items()}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = dict(zip(commands, pool.map(inspect, commands.values()), strict=True))
        strayed = {name: how for name, how in found.items() if not _is_in_bounds(how)}
        assert not strayed, strayed
        return {
            name: outcome(
                commands[name], how.returncode, how.stdout.decode(), how.stderr.decode(), 0.0
            )
            for name, how in found.items()
        }

    return inspect_files


def _is_in_bounds(how: Ended) -> bool:
    return (
        how.peak_bytes is not None
        and how.peak_bytes < MOST_BYTES
        and how.returncode in (0, 2, 4)
        and b"Traceback" not in how.stderr
    )
