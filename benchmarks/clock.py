"""How well compaudit and other tools measure a speed-up that is known.

Same models, same budget, one run, in turns: compaudit, Polygraphy, optimum-benchmark,
``torch.utils.benchmark``, and the loop everybody writes first (200 calls of one model, then 200 of
the other), each with one thread and with as many as it takes if nobody says anything.
`peers_of_the_clock` says how each is run. To run it, from the repository's root, in the development
environment::

    pip install --no-deps --target build/peers -c constraints.txt -r benchmarks/requirements.txt
    python benchmarks/clock.py --peers build/peers --minutes 60 --write
    python benchmarks/clock.py --overhead --write

Every verdict becomes a line of docs/clock.jsonl as soon as it is there; ``--write`` makes the
tables of docs/clock.md from all of them, so that sessions add up. The machine shall have nothing
else to do: the load of the loaded rounds is started here. ``--overhead`` measures what the harness
adds to a call instead.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from clock_page import OURS, Answer, Overhead, append, fill, measured, overheads, read
from known_ratio_onnx import write, write_data
from neighbour import beside
from peers_of_the_clock import METHODS

import compaudit
from compaudit import machine

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "clock.md"
LINES = HERE.parent / "docs" / "clock.jsonl"
PAIRS = {"A/A": (10, 10), "2×": (20, 10), "10 %": (11, 10)}
BUDGETS_S = (13.0, 30.0)
THREADS = {"one thread": 1, "default threads": None}
OVERHEADS = {"50": 0.05, "1000": 0.01}
"""Microseconds of a call, and how much longer it may take in the harness."""
_LIMIT_S = 300.0


@dataclass(frozen=True)
class Turn:
    """What one tool is asked."""

    method: str
    pair: str
    load: str
    threads: str
    budget_s: float

    def __str__(self) -> str:
        return f"{self.method}, {self.pair}, {self.load}, {self.threads}, {self.budget_s:g} s"


def main() -> None:
    """Ask everybody in turns, print and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peers", type=Path, help="folder the other tools are installed in")
    parser.add_argument("--runs", type=int, help="verdicts of each kind (default 9)")
    parser.add_argument("--minutes", type=float, help="stop when so many are over")
    parser.add_argument("--budget", type=float, action="append", help="seconds (default 13 and 30)")
    parser.add_argument("--only", action="append", help="turns with all of these: quiet, naive, 2×")
    parser.add_argument("--overhead", action="store_true", help="what the harness adds to a call")
    parser.add_argument("--lines", type=Path, default=LINES, help="the file of all verdicts")
    parser.add_argument("--json", action="store_true", help="print all lines, not the tables")
    parser.add_argument("--write", action="store_true", help="fill the tables of docs/clock.md")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    try:
        if options.overhead:
            _overhead(options.lines, 30.0)
        else:
            turns = _turns(options.budget or BUDGETS_S, options.only or [])
            runs = options.runs if options.runs is not None else None if options.minutes else 9
            _ask(turns, runs, end, options.lines, options.peers)
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept", file=sys.stderr)
    answers, costs = read(options.lines)
    if options.json:
        print(options.lines.read_text(encoding="utf-8"), end="")
    else:
        print(measured(answers))
        print(overheads(costs) if costs else "", end="")
    if options.write:
        fill(PAGE, answers, costs)


# ----------------------------------------------------------------------------------- the tools


def _turns(budgets: Sequence[float], only: Sequence[str]) -> list[Turn]:
    every = [
        Turn(*condition)
        for condition in itertools.product(METHODS, PAIRS, ("quiet", "busy core"), THREADS, budgets)
    ]
    # One part of every word that is given: --only quiet --only naive asks the naive loop, quiet.
    chosen = [turn for turn in every if all(word in str(turn) for word in only)]
    if not chosen:
        sys.exit(f"no turn holds {list(only)}; there are, for instance: {every[0]}; {every[-1]}")
    return chosen


def _ask(
    turns: Sequence[Turn], runs: int | None, end: float, lines: Path, peers: Path | None
) -> None:
    """Rounds of all turns, each in an order of its own, until runs or time are over."""
    earlier, _ = read(lines)
    seed = 1 + max((one.seed for one in earlier), default=-1)
    environment = {**os.environ}
    if peers is not None:
        environment["PYTHONPATH"] = str(peers.resolve())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = write_data(folder)
        for round_ in itertools.count() if runs is None else range(runs):
            order = list(turns)
            random.Random(f"{seed} {round_}").shuffle(order)
            for turn in order:
                if time.monotonic() + turn.budget_s > end:
                    return
                answer = _answer(turn, folder, data, seed + round_, environment)
                append(lines, answer)
                said = answer.error or {key: round(one, 3) for key, one in answer.deltas.items()}
                print(round_, turn, said, answer.verdict or "", file=sys.stderr, flush=True)


def _answer(
    turn: Turn, folder: Path, data: Path, seed: int, environment: Mapping[str, str]
) -> Answer:
    calls = PAIRS[turn.pair]
    models = [str(write(number, folder)) for number in calls]
    threads = THREADS[turn.threads]
    command = ["peers_of_the_clock.py", turn.method, *models, str(data), f"{turn.budget_s}"]
    # Only the tools see the folder of the tools: compaudit runs on what it is tested with.
    own = dict(os.environ)
    begun = time.monotonic()
    with beside(turn.load, turn.budget_s):
        said = _child(
            [*command, f"{threads or 0}", f"{seed}"],
            own if turn.method == OURS else environment,
        )
    here = machine.describe()
    return Answer(
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine=f"{here.cpu}, {here.usable_cores} cores",
        versions=_versions(environment),
        method=turn.method,
        pair=turn.pair,
        truth=calls[0] / calls[1],
        load=turn.load,
        threads=threads,
        budget_s=turn.budget_s,
        seed=seed,
        seconds=round(time.monotonic() - begun, 3),
        deltas=said.get("deltas", {}),
        verdict=said.get("verdict"),
        low=said.get("low"),
        high=said.get("high"),
        error=said.get("error"),
    )


def _child(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Any:
    """What the child prints as the last line, or ``{"error": …}``."""
    try:
        result = subprocess.run(
            [sys.executable, *command],
            cwd=HERE,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        return json.loads(result.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {_LIMIT_S:g} s"}
    except (IndexError, ValueError):
        lines = result.stderr.strip().splitlines() or [f"exit {result.returncode}"]
        return {"error": lines[-1]}


def _versions(environment: Mapping[str, str]) -> dict[str, str]:
    """Of everything that takes part; what is not installed is left out."""
    path = [environment["PYTHONPATH"], *sys.path] if "PYTHONPATH" in environment else sys.path
    names = ("onnxruntime", "optimum-benchmark", "polygraphy", "torch")
    found = {name: next(iter(metadata.distributions(name=name, path=path)), None) for name in names}
    versions = {name: one.version for name, one in found.items() if one is not None}
    return {"compaudit": compaudit.__version__, **versions}


# --------------------------------------------------------------------------------- the harness


def _overhead(lines: Path, seconds: float) -> None:
    here = machine.describe()
    for framework, (microseconds, goal) in itertools.product(
        ("onnxruntime", "torch"), OVERHEADS.items()
    ):
        said = _child(["harness_overhead.py", framework, microseconds, f"{seconds}"])
        if "error" in said:
            print(framework, microseconds, said["error"], file=sys.stderr)
            continue
        line = Overhead(
            date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            machine=f"{here.cpu}, {here.usable_cores} cores",
            framework=framework,
            goal=goal,
            **said,
        )
        append(lines, line)
        print(framework, microseconds, said, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
