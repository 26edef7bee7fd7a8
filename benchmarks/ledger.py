"""How fast the ledger is, beside NumPy and beside other tools, and what those count wrong.

Everything is measured in one run on one machine: the same files, already in the page cache, the
contestants taking turns, the median of several repetitions. Three tables:

1. compaudit's engine against ``numpy.count_nonzero`` over the same bytes (the goals: counts and
   nonzeros within 1.5x, with entropy within 3x);
2. the whole command ``compaudit inspect`` against onnx-tool, Polygraphy's ``inspect model`` and
   torchinfo, with the peak memory of each;
3. trap models with a parameter count by hand, and what each tool says.

To run it, from the repository's root, in the development environment::

    pip install --no-deps --target build/peers -c constraints.txt -r benchmarks/requirements.txt
    python benchmarks/ledger.py --peers build/peers

The other tools then see the same onnx, NumPy and torch as compaudit, and nothing of the environment
changes. ``--full`` takes the goal's sizes (1.9 GiB one file, 4 GiB external data and
safetensors: 10 GiB of disk, and as much memory for the page cache); the default is smaller.
Linux only: the memory is read from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from networks import write_external, write_one_file, write_resnet50, write_safetensors
from processes import Command, Cost, measure
from traps import MODULES, ONNX_TRAPS, write_traps

HERE = Path(__file__).resolve().parent
GIB = 2**30
GOALS = {"nonzeros": 1.5, "entropy": 3.0}


def main() -> None:
    """Write the models, run the three parts, print their tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path, help="folder the other tools are installed in")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="the goal's sizes; needs 10 GiB")
    parser.add_argument("--folder", type=Path, help="keep the models here (default: temporary)")
    parser.add_argument("--only", choices=("engine", "commands", "traps"), action="append")
    options = parser.parse_args()
    parts = options.only or ["engine", "commands", "traps"]
    peers = {"PYTHONPATH": str(options.peers.resolve())} if options.peers else {}
    print(_machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if "engine" in parts or "commands" in parts:
            models = _models(folder, options.full)
        if "engine" in parts:
            _engine(models, options.repetitions)
        if "commands" in parts:
            _commands(models, folder, options.repetitions, peers)
        if "traps" in parts:
            _traps(folder, peers)


def _machine() -> str:
    import numpy
    import onnx

    return (
        f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, NumPy {numpy.__version__}, onnx {onnx.__version__}"
    )


def _models(folder: Path, full: bool) -> dict[str, Path]:
    one, large = (int(1.9 * GIB), 4 * GIB) if full else (GIB, GIB)
    wanted = {
        "ResNet-50": (folder / "resnet50.onnx", write_resnet50),
        f"{one / GIB:.1f} GiB one file": (
            folder / "one.onnx",
            lambda path: write_one_file(path, one),
        ),
        f"{large / GIB:.1f} GiB external": (
            folder / "external.onnx",
            lambda path: write_external(path, large),
        ),
        f"{large / GIB:.1f} GiB safetensors": (
            folder / "model.safetensors",
            lambda path: write_safetensors(path, large),
        ),
    }
    return {name: path if path.exists() else write(path) for name, (path, write) in wanted.items()}


# ------------------------------------------------------------------------------- the engine


def _engine(models: Mapping[str, Path], repetitions: int) -> None:
    rows = []
    for name, path in models.items():
        command = [sys.executable, "engine.py", str(path), str(repetitions)]
        result = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
        measured = json.loads(result.stdout)
        median = {
            key: statistics.median(measured[key])
            for key in ("numpy", "nonzeros", "entropy", "hash")
        }
        ratios = {key: median[key] / median["numpy"] for key in GOALS}
        held = all(ratios[key] <= GOALS[key] for key in GOALS)
        rows.append(
            [
                name,
                f"{measured['bytes'] / 1e6:,.0f} MB",
                *(f"{median[key] * 1e3:,.0f} ms" for key in ("numpy", "nonzeros")),
                f"{ratios['nonzeros']:.2f}x",
                f"{median['entropy'] * 1e3:,.0f} ms",
                f"{ratios['entropy']:.2f}x",
                "yes" if held else "NO",
                f"{median['hash'] * 1e3:,.0f} ms",
            ]
        )
    header = [
        "model",
        "bytes",
        "numpy.count_nonzero",
        "counts, nonzeros",
        "(goal 1.5x)",
        "with entropy",
        "(goal 3x)",
        "goals held",
        "hash, apart",
    ]
    _print("1. The engine against numpy.count_nonzero", header, rows)


# ------------------------------------------------------------------------- whole commands


def _commands(
    models: Mapping[str, Path], folder: Path, repetitions: int, peers: Mapping[str, str]
) -> None:
    rows = []
    for name, path in models.items():
        theirs = _onnx_peers(path, peers) if path.suffix == ".onnx" else []
        rows += _compared(name, [_inspect(str(path))], theirs, repetitions)
    from modules import save_resnet50

    ours = []
    for suffix in (".pt2", ".safetensors", ".pt"):
        saved = folder / f"resnet50{suffix}"
        if not saved.exists():
            save_resnet50(saved)
        ours.append(_inspect(str(saved), f" {suffix}"))
    ours.append(_inspect("modules:resnet50", " module:factory"))
    arguments = [sys.executable, "count.py", "torchinfo", "modules:resnet50"]
    rows += _compared(
        "ResNet-50, torch", ours, [Command("torchinfo", arguments, HERE, peers)], repetitions
    )
    header = ["model", "command", "median", "fastest", "CPU", "VmHWM", "own memory", "compaudit is"]
    _print("2. Whole commands", header, rows)


def _inspect(spec: str, what: str = "") -> Command:
    arguments = [sys.executable, "-m", "compaudit", "inspect", spec]
    return Command(f"compaudit inspect{what}", arguments, HERE, {})


def _onnx_peers(path: Path, peers: Mapping[str, str]) -> list[Command]:
    polygraphy = [sys.executable, "-c", "from polygraphy.tools import main; main()"]
    inspect = [*polygraphy, "inspect", "model", str(path)]
    onnx_tool = [sys.executable, "-m", "onnx_tool", "-i", str(path)]
    return [
        Command("onnx-tool", onnx_tool, HERE, peers),
        Command("polygraphy inspect model", inspect, HERE, peers),
        Command("polygraphy … --show weights", [*inspect, "--show", "weights"], HERE, peers),
    ]


def _compared(
    name: str, ours: Sequence[Command], theirs: Sequence[Command], repetitions: int
) -> list[list[str]]:
    costs = measure([*ours, *theirs], repetitions)
    rows = []
    for command in [*ours, *theirs]:
        cost = costs[command.name]
        faster = "" if command in ours else _faster(cost, [costs[one.name] for one in ours])
        rows.append([name, command.name, *_figures(cost), cost.error[:60] or faster])
        name = ""
    return rows


def _faster(theirs: Cost, ours: Sequence[Cost]) -> str:
    """How many times faster each of ours is; below one it is slower."""
    ratios = [
        f"{theirs.seconds / one.seconds:.2f}" for one in ours if theirs.seconds and one.seconds
    ]
    return f"{', '.join(ratios)} times faster" if ratios else ""


def _figures(cost: Cost) -> list[str]:
    memory = [f"{cost.peak_bytes / 1e6:,.0f} MB", f"{cost.anonymous_bytes / 1e6:,.0f} MB"]
    if cost.seconds is None:
        return ["failed", "", "", *memory]
    seconds = [cost.seconds, min(cost.all_seconds), cost.cpu_seconds]
    return [*(f"{value:.2f} s" for value in seconds), *memory]


# ----------------------------------------------------------------------------------- traps


def _traps(folder: Path, peers: Mapping[str, str]) -> None:
    written = folder / "traps"
    written.mkdir(exist_ok=True)
    paths = write_traps(written)
    tools = ("compaudit", "onnx-tool", "polygraphy")
    wrong = dict.fromkeys((*tools, "torchinfo"), 0)
    rows = []
    for trap in ONNX_TRAPS:
        row = [trap.name, f"{trap.parameters}"]
        for tool in tools:
            row.append(_said(tool, str(paths[trap.name]), trap.parameters, peers, wrong))
        rows.append([*row, "", trap.why])
    for name, factory, parameters, why in MODULES:
        ours = _said("compaudit", factory, parameters, peers, wrong)
        theirs = _said("torchinfo", factory, parameters, peers, wrong)
        rows.append([name, f"{parameters}", ours, "", "", theirs, why])
    asked = {tool: len(ONNX_TRAPS) for tool in tools} | {"torchinfo": len(MODULES)}
    asked["compaudit"] += len(MODULES)
    totals = [f"{wrong[tool]} of {asked[tool]}" for tool in (*tools, "torchinfo")]
    rows.append(["wrong or failed", "", *totals, ""])
    header = ["model", "true", "compaudit", "onnx-tool", "Polygraphy", "torchinfo", "by hand"]
    _print("3. Parameters of the trap models", header, rows)


def _said(tool: str, model: str, true: int, peers: Mapping[str, str], wrong: dict[str, int]) -> str:
    command = [sys.executable, "count.py", tool, model]
    environment = {**os.environ, **peers}
    result = subprocess.run(
        command, cwd=HERE, env=environment, capture_output=True, text=True, check=False
    )
    answer = json.loads(result.stdout) if result.stdout.strip() else {"error": "no answer"}
    if answer.get("parameters") == true:
        return f"{true}"
    wrong[tool] += 1
    return f"{answer['parameters']} !" if "parameters" in answer else answer["error"][:40]


# ---------------------------------------------------------------------------------- tables


def _print(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    print(f"\n{title}\n")
    for number, row in enumerate(table):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        if number == 0:
            print("  ".join("-" * width for width in widths))


if __name__ == "__main__":
    main()
