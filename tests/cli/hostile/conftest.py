"""Many hostile files through the real command, quickly: see `forks.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

FORKS = Path(__file__).parent / "forks.py"
IMPORTS = (
    *("compaudit.cli.main", "compaudit.cli.progress", "compaudit.audit", "compaudit.report.table"),
    *("compaudit.models.onnx.ledger", "safetensors"),
)
LONGEST_S = 1200.0
# Memory with the interpreter and all it has imported. The largest graph here takes 600 MB, PyTorch
# 350 MB; what a file makes grow would take many times that. `forks.py` kills what hangs.
MOST_BYTES = 1 << 30

Inspect = Callable[..., "dict[str, Outcome]"]


@pytest.fixture(scope="session")
def inspect_all(outcome: Callable[..., Outcome], quiet_folder: Path) -> Inspect:
    """Inspect every file, each in a process of its own; bounded in time and memory.

    Args: the files by name, further options, modules to import before (torch, where it is needed).
    """

    def inspect_files(
        files: Mapping[str, Path], *options: str, preload: Iterable[str] = ()
    ) -> dict[str, Outcome]:
        commands = {name: ["inspect", str(path), *options] for name, path in files.items()}
        workers = os.cpu_count() or 1
        count = max(1, min(2 * workers, len(commands) // 12))
        parts = [list(commands)[part::count] for part in range(count)]
        with ThreadPoolExecutor(workers) as pool:
            ended = pool.map(
                lambda part: _run([commands[name] for name in part], preload, quiet_folder),
                parts,
            )
            found = {
                name: (commands[name], how)
                for part, hows in zip(parts, ended, strict=True)
                for name, how in zip(part, hows, strict=True)
            }
        strayed = {name: how for name, (_, how) in found.items() if not _is_in_bounds(how)}
        assert not strayed, strayed
        return {
            name: outcome(tuple(command), how["code"], how["stdout"], how["stderr"], how["seconds"])
            for name, (command, how) in found.items()
        }

    return inspect_files


def _is_in_bounds(how: Mapping[str, Any]) -> bool:
    return (
        how["peak_bytes"] < MOST_BYTES
        and how["code"] in (0, 2, 4)
        and "Traceback" not in how["stderr"]
    )


def _run(
    commands: list[list[str]], preload: Iterable[str], temporary: Path
) -> list[dict[str, Any]]:
    settings = {"TMPDIR": str(temporary), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-P", FORKS],
        input=json.dumps([[*IMPORTS, *preload], commands]),
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=True,
    )
    outcomes: list[dict[str, Any]] = json.loads(ended.stdout)
    return outcomes
