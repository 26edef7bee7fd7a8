"""Interrupt the real command at random moments, and see what is left of it. Run by hand:

    python tests/stress/interruptions.py --runs 200 --seed 0

Every run must end within a second of its signal with 130 (Ctrl-C) or 143 (SIGTERM), or with its
own exit code where it was done by then; leave no process that it started, and no temporary file.
One run in ten is killed instead (SIGKILL): then nobody can tidy up its files, but no process may be
left either. `tests/cli/test_interruptions.py` runs a few of them with every test run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLES = Path(__file__).parents[2] / "sample_models"
MARK = "COMPAUDIT_STRESS"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("compare", "digits.onnx", "digits_int8.onnx", "--time-budget", "3s", "--json"),
    (
        "compare",
        "digits.onnx",
        "digits_int8.onnx",
        "--data",
        "digits_test.npz",
        "--skip",
        "latency",
    ),
    (
        "compare",
        "digits.onnx",
        "digits_int8.onnx",
        "--data",
        "digits_test.npz",
        "--only",
        "divergence",
        "--workers",
        "2",
    ),
    ("doctor", "--noise", "--time-budget", "3s"),
)
# Until then the interpreter may not have come to any code of ours. Shells call -2 and -15 130 and
# 143 all the same.
STARTING_S = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}


@dataclass(frozen=True)
class Case:
    """One run: what is started, when it is interrupted, and how."""

    command: tuple[str, ...]
    after_s: float
    number: signal.Signals
    whole_group: bool


@dataclass(frozen=True)
class Ending:
    """How a run ended; `took_s` is the time from the signal to the end of the process."""

    case: Case
    code: int
    took_s: float
    processes: tuple[str, ...]
    files: tuple[str, ...]
    stderr: str

    @property
    def faults(self) -> list[str]:
        """What is wrong, but for how long it took."""
        wanted = {CODES[self.case.number], 0}
        if self.case.after_s < STARTING_S:
            wanted.add(-self.case.number)
        found = [] if self.code in wanted else [f"exit code {self.code}, not {wanted}"]
        found += [f"left behind: {process}" for process in self.processes]
        if self.case.number is not signal.SIGKILL:
            found += [f"left behind: {file}" for file in self.files]
        if "Traceback" in self.stderr and self.code >= 0:
            found.append(self.stderr)
        return found


def draw(generator: random.Random, longest_s: float) -> Case:
    """A random case; moments are spread over the whole of a run."""
    number = signal.SIGKILL if generator.random() < 0.1 else generator.choice(SIGNALS)
    return Case(
        generator.choice(COMMANDS),
        generator.uniform(0.0, longest_s),
        number,
        generator.random() < 0.5,
    )


def run(case: Case) -> Ending:
    """Start the command, interrupt it, and look at what is left a second later."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "compaudit", *case.command],
            cwd=SAMPLES,
            env=os.environ
            | {MARK: mark, "TMPDIR": folder, "XDG_RUNTIME_DIR": folder, "XDG_CACHE_HOME": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        time.sleep(case.after_s)
        began = time.monotonic()
        try:
            send = os.killpg if case.whole_group else os.kill
            send(process.pid, case.number)
        except ProcessLookupError:
            pass
        try:
            _, stderr = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            _, stderr = process.communicate()
        took_s = time.monotonic() - began
        left = _left(mark)
        files = tuple(str(path) for path in Path(folder).rglob("*") if not _is_kept(path, folder))
    return Ending(case, process.returncode, took_s, left, files, stderr.decode())


def _is_kept(path: Path, folder: str) -> bool:
    """Whether it is of the cache, and what is in there is whole."""
    place = path.relative_to(folder).parts
    return place[0] == "compaudit" and not (len(place) > 1 and place[1].startswith("."))


def _left(mark: str) -> tuple[str, ...]:
    """Processes that carry the mark, after a second to end in; they are killed."""
    until = time.monotonic() + 1.0
    while (found := _marked(mark)) and time.monotonic() < until:
        time.sleep(0.05)
    names = []
    for process in found:
        try:
            names.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
            process.kill()
        except psutil.Error:
            continue
    return tuple(names)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases and print what went wrong. Returns 1 where something did."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=6.0, help="seconds until the last signal")
    parser.add_argument("--within", type=float, default=1.0, help="seconds that an end may take")
    options = parser.parse_args(arguments)
    generator = random.Random(options.seed)
    endings = []
    for number in range(options.runs):
        ending = run(draw(generator, options.longest))
        endings.append(ending)
        late = ending.took_s > options.within and ending.code in (130, 143)
        if late or ending.faults:
            what = [*ending.faults, *([f"took {ending.took_s:.2f} s"] if late else [])]
            print(f"{number}: {ending.case}\n   " + "\n   ".join(what), flush=True)
    interrupted = sorted(ending.took_s for ending in endings if ending.code in (130, 143))
    wrong = sum(bool(ending.faults) for ending in endings)
    late_ones = sum(took_s > options.within for took_s in interrupted)
    print(f"{len(endings)} runs, exit codes {dict(Counter(ending.code for ending in endings))}")
    if interrupted:
        median = interrupted[len(interrupted) // 2]
        longest = interrupted[-1]
        print(f"{len(interrupted)} interrupted: median {median:.2f} s, longest {longest:.2f} s")
    print(f"{wrong} with a fault, {late_ones} later than {options.within:g} s")
    return int(wrong > 0 or late_ones > 0)


if __name__ == "__main__":
    sys.exit(main())
