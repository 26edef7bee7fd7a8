"""Is the interval of δ what it says? Audits of models whose true ratio is known, many times over.

    make calibrate                                   # some hours, writes docs/calibration.md
    python benchmarks/calibrate.py --minutes 60 --write
    python benchmarks/calibrate.py --runs 1 --only "ONNX A/A quiet" --lines /tmp/lines.jsonl

Each scenario is audited again and again by the real tool, as a user would, and the table says how
often it was right. Every audit becomes a line of docs/calibration.jsonl as soon as it is done, and
``--write`` makes docs/calibration.md from all of them: sessions add up, and one that is cut short
loses nothing. The machine shall have nothing else to do: the loads of the loaded scenarios are
started here. (A change of the protocol makes the old lines worthless: begin a new file then.)
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from calibration_page import Audit, append, page, read, table
from known_ratio_onnx import write, write_data
from neighbour import beside

import compaudit
from compaudit import machine
from compaudit.results import Environment

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "calibration.md"
LINES = HERE.parent / "docs" / "calibration.jsonl"
MODULES = HERE / "known_ratio.py"
TORCH_COLUMNS = 4 * 384
"""Of the input of the models in known_ratio.py, which is not imported here: it needs torch."""

PAIRS = {"A/A": (10, 10), "2×": (20, 10), "10 %": (11, 10), "5 %": (21, 20)}
BUDGET_S = 30.0


@dataclass(frozen=True)
class Scenario:
    """A pair of models, what is going on beside them, and what is asked of the audit.

    Attributes:
        pair: a key of `PAIRS`: the calls of the original and of the compressed model.
        load: a key of `neighbour.LOADS`.
    """

    framework: str
    pair: str
    load: str
    threads: int = 1
    budget_s: float = BUDGET_S

    @property
    def name(self) -> str:
        """As the table shows it."""
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        budget = f", {self.budget_s:g} s" if self.budget_s != BUDGET_S else ""
        return f"{self.framework} {self.pair} {self.load}{threads}{budget}"

    @property
    def truth(self) -> float:
        """The exact δ."""
        original, compressed = PAIRS[self.pair]
        return original / compressed

    def models(self, folder: Path) -> tuple[str, ...]:
        """Both models as compaudit takes them."""
        if self.framework == "ONNX":
            return tuple(str(write(calls, folder)) for calls in PAIRS[self.pair])
        return tuple(f"{MODULES}:calls_{calls}" for calls in PAIRS[self.pair])


def scenarios() -> list[Scenario]:
    """Both frameworks under all loads, a short budget, two threads, and a load on one arm."""
    loads = {
        "A/A": ("quiet", "busy core", "load from halfway"),
        "2×": ("quiet", "busy core", "load from halfway"),
        "10 %": ("quiet", "busy core"),
        "5 %": ("quiet", "busy core"),
    }
    full = [
        Scenario(framework, pair, load)
        for framework in ("ONNX", "torch")
        for pair in PAIRS
        for load in loads[pair]
    ]
    return [
        *full,
        *(Scenario("ONNX", "A/A", load, budget_s=5.0) for load in ("quiet", "busy core")),
        Scenario("ONNX", "2×", "quiet", budget_s=5.0),
        *(Scenario("ONNX", pair, "quiet", threads=2) for pair in ("A/A", "2×")),
        Scenario("torch", "A/A", "quiet", threads=2),
        *(Scenario(framework, "A/A", "load on one arm") for framework in ("ONNX", "torch")),
    ]


def audit(scenario: Scenario, seed: int, folder: Path) -> Audit:
    """One audit, as the line that is kept of it. What fails is a line too."""
    here = machine.describe()
    data = folder / ("onnx.npz" if scenario.framework == "ONNX" else "torch.npz")
    original, compressed = scenario.models(folder)
    delta, error, begun = None, None, time.monotonic()
    try:
        with beside(scenario.load, scenario.budget_s):
            report = compaudit.compare(
                original,
                compressed,
                data=str(data),
                measurements=("latency",),
                time_budget_s=scenario.budget_s,
                threads=scenario.threads,
                seed=seed,
            )
        delta = report.delta
        if delta is None:
            error = "no δ" if report.error is None else report.error.message
    except Exception as failure:  # a bug is an answer too, and no reason to lose the session
        error = f"{type(failure).__name__}: {failure}"
    return Audit(
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        scenario=scenario.name,
        machine=f"{here.cpu}, {here.usable_cores} cores",
        environment=", ".join(_software(here)),
        version=_version(),
        seed=seed,
        truth=scenario.truth,
        load=scenario.load,
        threads=scenario.threads,
        budget_s=scenario.budget_s,
        seconds=round(time.monotonic() - begun, 3),
        load_average=here.load_average[0],
        value=delta and delta.value,
        low=delta and delta.low,
        high=delta and delta.high,
        verdict=delta and delta.verdict,
        noise_floor=delta and delta.noise_floor,
        minimal_detectable_effect=delta and delta.minimal_detectable_effect,
        epochs=delta.epochs if delta else 0,
        error=error and error.replace(f"{folder}/", "").replace(f"{HERE}/", ""),
    )


def _software(here: Environment) -> list[str]:
    system = here.os.partition("-")[0]
    names = [name for name in ("onnxruntime", "torch") if name in here.packages]
    return [system, *(f"{name} {here.packages[name]}" for name in names)]


def _version() -> str:
    """The version, and the commit where this is a checkout."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],
        cwd=HERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    commit = found.stdout.strip()
    return f"{compaudit.__version__} ({commit})" if commit else compaudit.__version__


def main() -> None:
    """Audit the scenarios in turns, so that a change of the machine meets all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, help="audits of each scenario (default 20)")
    parser.add_argument("--minutes", type=float, help="stop when so many are over")
    parser.add_argument("--only", action="append", help="scenarios whose name holds this")
    parser.add_argument("--lines", type=Path, default=LINES, help="the file of all audits")
    parser.add_argument("--write", action="store_true", help="write docs/calibration.md from it")
    options = parser.parse_args()
    known = scenarios()
    chosen = [s for s in known if not options.only or any(part in s.name for part in options.only)]
    if not chosen:
        sys.exit(f"no scenario holds {options.only}; there are: {[s.name for s in known]}")
    runs = options.runs if options.runs is not None else None if options.minutes else 20
    end = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    try:
        _run(chosen, runs, end, options.lines)
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept", flush=True)
    audits, order = read(options.lines), [scenario.name for scenario in known]
    print(table(audits, order))
    if options.write:
        PAGE.write_text(page(audits, order), encoding="utf-8")


def _run(chosen: Sequence[Scenario], runs: int | None, end: float, lines: Path) -> None:
    """Rounds of all scenarios, each round in an order of its own, until runs or time are over.

    Seeds go on where the earlier sessions stopped.
    """
    seeds = {s.name: sum(one.scenario == s.name for one in read(lines)) for s in chosen}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_data(folder)
        samples = np.random.default_rng(0).normal(size=(8, TORCH_COLUMNS))
        np.savez(folder / "torch.npz", x=samples.astype(np.float32))
        for round_ in itertools.count() if runs is None else range(runs):
            turns = list(chosen)
            random.Random(f"{round_} {os.getpid()}").shuffle(turns)
            for scenario in turns:
                if time.monotonic() + scenario.budget_s > end:
                    return
                line = audit(scenario, seeds[scenario.name], folder)
                append(lines, line)
                seeds[scenario.name] += 1
                print(round_, scenario.name, _said(line), flush=True)


def _said(line: Audit) -> str:
    if line.value is None:
        return f"failed: {line.error}"
    low, high = (f"{end:.3f}" if end is not None else "?" for end in (line.low, line.high))
    return f"{line.value:.3f} [{low}, {high}] {line.verdict} in {line.seconds:.1f} s"


if __name__ == "__main__":
    main()
