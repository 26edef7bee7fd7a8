"""What comparing outputs costs beside the bare inference loop, and its memory over sample count.

    python benchmarks/evaluate.py                 # all tables, some minutes
    python benchmarks/evaluate.py --only cost     # or memory, or workers

*Cost.* The same batches of the same models, one thread each, in turns:

- ``one after the other``: a loop that runs the original, then the compressed model, batch by batch,
  in one process, and throws the outputs away;
- ``at once``: two processes, each with such a loop for its own model, at the same time: the least
  that anything with a process for each model can take;
- ``compaudit``: the audit of divergence and accuracy, all its figures, ``--workers 1``, no cache.

Each is timed from its second batch to its last: starting up and loading are in none of them. Beside
the seconds that pass stands the processor time of all processes: on a machine that others use too,
it is the figure that can be repeated.

*Memory.* The audit of a model that hardly needs any, over more and more samples: the most that the
command, and the larger of its workers, held at once of their own memory (mapped files left out).

*Workers.* An evaluation that computes a lot, one thread a model, with one pair of processes and
with two, and with one Ray worker and with two, in turns. A pair of processes runs both models at
once, so one pair keeps two processors busy where the models are equally slow; a Ray worker's models
take turns, so that it needs the one processor that it reserved. Seconds are those of all samples at
the rate between the first progress and the last; *whole* has everything, the start of Ray too.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
ROUNDS = 5
SAMPLE_COUNTS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_POLL_S = 0.02


@dataclass(frozen=True)
class Case:
    """A pair of models and their data.

    Attributes:
        width, layers: of the hidden layers; `classes` of the last.
        tokens: the length of a sequence; 0 for one row of numbers a sample.
        slim: the layers of the compressed model, where it has fewer.
    """

    name: str
    width: int
    layers: int
    classes: int
    samples: int
    batch: int
    tokens: int = 0
    slim: int | None = None

    @property
    def task(self) -> str:
        """As ``--task`` has it."""
        return "causal-lm" if self.tokens else "classification"


CASES = (
    Case("10 classes", 512, 6, 10, 40_000, 64),
    Case("1,000 classes", 1024, 6, 1_000, 12_800, 64),
    Case("32,000 tokens, sequences of 128", 1024, 6, 32_000, 60, 1, tokens=128),
)
HEAVY = (
    Case("as slow as the original", 1024, 8, 1_000, 30_000, 64),
    Case("an eighth of its layers", 1024, 8, 1_000, 30_000, 64, slim=1),
)
TINY = Case("tiny", 16, 1, 10, 0, 1024)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("cost", "memory", "workers"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--case", help="only those whose name begins so")
    parser.add_argument("--most", type=int, default=SAMPLE_COUNTS[-1], help="samples")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(CHILDREN[options.child[0]](*options.child[1:])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.only in (None, "cost"):
            cases = [case for case in CASES if case.name.startswith(options.case or "")]
            _print_costs(folder, options.rounds, cases)
        if options.only in (None, "workers"):
            _print_workers(folder, options.rounds)
        if options.only in (None, "memory"):
            _print_memory(folder, [n for n in SAMPLE_COUNTS if n <= options.most])


# ------------------------------------------------------------------------------ models and data


def write_case(case: Case, folder: Path, samples: int) -> tuple[Path, Path, Path]:
    """The original, a copy whose weights are rounded to 8 bits, and the data."""
    random = np.random.default_rng(0)
    weights = {}
    sizes = [case.width] * (case.layers + 1) + [case.classes]
    for place, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        scale = np.sqrt(2 / rows) if place < case.layers else 4 / np.sqrt(rows)
        weights[f"w{place}"] = random.normal(scale=scale, size=(rows, columns)).astype(np.float32)
    if case.tokens:
        table = random.normal(size=(case.classes, case.width))
        weights["table"] = table.astype(np.float32)
    rounded = {}
    for name, weight in weights.items():
        step = np.abs(weight).max() / 127
        rounded[name] = (np.round(weight / step) * step).astype(np.float32)
    paths = tuple(folder / f"{case.width}-{case.classes}-{which}.onnx" for which in "ab")
    slim = case if case.slim is None else dataclasses.replace(case, layers=case.slim)
    if slim is not case:
        rounded[f"w{slim.layers}"] = rounded[f"w{case.layers}"]
        rounded = {name: rounded[name] for name in [f"w{n}" for n in range(slim.layers + 1)]}
    for path, of, stored in zip(paths, (case, slim), (weights, rounded), strict=True):
        onnx.save(_model(of, stored), path)
    data = folder / f"{case.width}-{case.classes}-{samples}.npz"
    labels = random.integers(0, case.classes, samples)
    if case.tokens:
        tokens = random.integers(0, case.classes, (samples, case.tokens))
        np.savez(data, input_ids=tokens)
    else:
        values = random.normal(size=(samples, case.width)).astype(np.float32)
        np.savez(data, x=values, labels=labels)
    return paths[0], paths[1], data


def _model(case: Case, stored: dict[str, Any]) -> onnx.ModelProto:
    nodes, last = [], "x"
    value = helper.make_tensor_value_info
    if case.tokens:
        nodes.append(helper.make_node("Gather", ["table", "input_ids"], ["x"]))
        given = value("input_ids", TensorProto.INT64, ["n", "length"])
        gives = value("logits", TensorProto.FLOAT, ["n", "length", case.classes])
    else:
        given = value("x", TensorProto.FLOAT, ["n", case.width])
        gives = value("logits", TensorProto.FLOAT, ["n", case.classes])
    for layer in range(case.layers + 1):
        out = "logits" if layer == case.layers else f"sum{layer}"
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [out]))
        if layer < case.layers:
            nodes.append(helper.make_node("Relu", [out], [f"hidden{layer}"]))
            last = f"hidden{layer}"
    initializers = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "case", [given], [gives], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


# ---------------------------------------------------------------------------------------- cost


@dataclass(frozen=True)
class Taken:
    """What some work took, in seconds: of the clock, and of all processors."""

    wall: float
    cpu: float

    @classmethod
    def until_now(cls) -> Taken:
        """Since some moment in the past; what matters is the difference of two."""
        own = psutil.Process()
        cpu = 0.0
        for process in (own, *own.children(recursive=True)):
            times = process.cpu_times()
            cpu += times.user + times.system
        return cls(time.perf_counter(), cpu)

    def since(self, earlier: Taken) -> list[float]:
        """Wall and processor time from another moment to this one."""
        return [self.wall - earlier.wall, self.cpu - earlier.cpu]


def _print_costs(folder: Path, rounds: int, cases: Sequence[Case]) -> None:
    print(
        "| case | samples | one after the other | at once | compaudit | over the first | over it | "
        "processor time of the first | of compaudit |"
    )
    print("| --- " * 9 + "|")
    for case in cases:
        files = [str(path) for path in write_case(case, folder, case.samples)]
        arguments = [*files, f"{case.batch}", case.task]
        found: dict[str, list[Taken]] = {name: [] for name in ("alone", "at once", "compaudit")}
        for round_ in range(rounds):
            names = list(found)
            for name in names[round_ % 3 :] + names[: round_ % 3]:
                found[name].append(_taken(name, arguments))
        alone, together, ours = (
            statistics.median(taken.wall for taken in all_) for all_ in found.values()
        )
        cpu, _, our_cpu = (
            statistics.median(taken.cpu for taken in all_) for all_ in found.values()
        )
        print(
            f"| {case.name} | {case.samples:,} | {alone:.2f} s | {together:.2f} s | {ours:.2f} s | "
            f"{ours / alone:.2f} × | {ours / together:.2f} × | {cpu:.2f} s | {our_cpu:.2f} s |",
            flush=True,
        )


def _taken(name: str, arguments: Sequence[str]) -> Taken:
    if name == "compaudit":
        return Taken(*_child("audit", *arguments))
    if name == "alone":
        return Taken(*_child("loop", *arguments, "01"))
    children = [_started("loop", *arguments, which) for which in "01"]
    both = [Taken(*_answer(child)) for child in children]
    return Taken(max(one.wall for one in both), sum(one.cpu for one in both))


def _child(*arguments: str) -> Any:
    return _answer(_started(*arguments))


def _started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).resolve()), "--child", *arguments]
    return subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)


def _answer(child: subprocess.Popen[str]) -> Any:
    out, _ = child.communicate()
    if child.returncode:
        sys.exit(f"{child.args} ended with {child.returncode}")
    return json.loads(out.splitlines()[-1])


def _loop(
    original: str, compressed: str, data: str, batch: str, task: str, which: str
) -> list[float]:
    """What the bare loop takes from its second batch on; `which` of the models it runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    paths = (original, compressed)
    sessions = [onnxruntime.InferenceSession(paths[int(place)], options) for place in which]
    name = "input_ids" if task == "causal-lm" else "x"
    with np.load(data) as arrays:
        values = arrays[name]
    step = int(batch)
    began = Taken.until_now()
    for start in range(0, len(values), step):
        for session in sessions:
            session.run(None, {name: values[start : start + step]})
        if start == 0:
            began = Taken.until_now()
    return Taken.until_now().since(began)


def _audit(original: str, compressed: str, data: str, batch: str, task: str) -> list[float]:
    """What the audit's pass over the samples takes, from the second batch on."""
    from compaudit import audit
    from compaudit.config import Config
    from compaudit.progress import Silent

    ends: list[Taken] = []

    class Watch(Silent):
        def stage(self, text: str, share: float | None = None) -> None:
            # Whoever looks at processes at every batch pays for it.
            if text.startswith("comparing outputs") and (not ends or not share or share >= 1):
                ends.append(Taken.until_now())

    config = Config(
        original=original,
        compressed=compressed,
        data=data,
        task=task,
        batch_size=int(batch),
        threads=1,
        measurements=("divergence", "accuracy"),
        cache=False,
    )
    report = audit.compare(config, Watch())
    if report.error is not None or report.divergence is None or report.divergence.kl is None:
        sys.exit(f"the audit failed: {report.error}")
    return ends[-1].since(ends[0])


# ------------------------------------------------------------------------------------- workers

WAYS = (("local", 1), ("local", 2), ("ray", 1), ("ray", 2))


def _print_workers(folder: Path, rounds: int) -> None:
    print("| the compressed model | samples | evaluated by | seconds | whole | over one |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in HEAVY:
        files = [str(path) for path in write_case(case, folder, case.samples)]
        taken: dict[tuple[str, int], list[list[float]]] = {way: [] for way in WAYS}
        for round_ in range(rounds):
            for way in WAYS[round_ % 4 :] + WAYS[: round_ % 4]:
                answer = _child("spread", *files, f"{case.batch}", case.task, way[0], f"{way[1]}")
                taken[way].append(answer)
        rates = {way: statistics.median(answer[0] for answer in taken[way]) for way in WAYS}
        for engine, workers in WAYS:
            whole = statistics.median(answer[1] for answer in taken[engine, workers])
            gain = rates[engine, 1] / rates[engine, workers]
            what = "Ray worker" if engine == "ray" else "pair of processes"
            many = f"{workers} {what.replace('pair', 'pairs') if workers > 1 else what}"
            many += "s" if engine == "ray" and workers > 1 else ""
            print(
                f"| {case.name} | {case.samples:,} | {many} | {rates[engine, workers]:.1f} s | "
                f"{whole:.1f} s | {gain:.2f} × |",
                flush=True,
            )


def _spread(
    original: str, compressed: str, data: str, batch: str, task: str, engine: str, workers: str
) -> tuple[float, float]:
    """Seconds of all samples at the rate of the pass, and of the whole audit."""
    from compaudit import audit
    from compaudit.config import Config
    from compaudit.progress import Silent

    seen: list[tuple[float, int, int]] = []

    class Watch(Silent):
        def stage(self, text: str, share: float | None = None) -> None:
            if text.startswith("comparing outputs"):
                done, total = (int(word) for word in text.split() if word.isdigit())
                seen.append((time.perf_counter(), done, total))

    config = Config(
        original=original,
        compressed=compressed,
        data=data,
        task=task,  # type: ignore[arg-type]
        batch_size=int(batch),
        threads=1,
        measurements=("divergence", "accuracy"),
        cache=False,
        engine=engine,  # type: ignore[arg-type]
        workers=int(workers),
    )
    began = time.perf_counter()
    report = audit.compare(config, Watch())
    whole = time.perf_counter() - began
    if report.error is not None or report.divergence is None or report.divergence.kl is None:
        sys.exit(f"the audit failed: {report.error}")
    (first_s, first, total), (last_s, last, _) = seen[0], seen[-1]
    return (last_s - first_s) * total / (last - first), whole


CHILDREN = {"loop": _loop, "audit": _audit, "spread": _spread}


# -------------------------------------------------------------------------------------- memory


def _print_memory(folder: Path, counts: Sequence[int]) -> None:
    print("| samples | command | its workers | time |")
    print("| --- | --- | --- | --- |")
    for samples in counts:
        original, compressed, data = write_case(TINY, folder, samples)
        command = [sys.executable, "-m", "compaudit", "compare", str(original), str(compressed)]
        command += ["--data", str(data), "--only", "divergence,accuracy", "--batch-size"]
        command += [f"{TINY.batch}", "--no-cache", "--json", "--quiet"]
        began = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        own, workers = _peaks(child)
        if child.returncode:
            sys.exit(f"{samples} samples ended with {child.returncode}")
        seconds = time.monotonic() - began
        print(
            f"| {samples:,} | {own / 1e6:.0f} MB | {workers / 1e6:.0f} MB | {seconds:.1f} s |",
            flush=True,
        )
        data.unlink()


def _peaks(child: subprocess.Popen[bytes]) -> tuple[int, int]:
    """The most of their own memory that a command and the largest of its children held."""
    own = workers = 0
    process = psutil.Process(child.pid)
    while child.poll() is None:
        try:
            own = max(own, _own(child.pid))
            for one in process.children(recursive=True):
                workers = max(workers, _own(one.pid))
        except psutil.Error:
            pass
        time.sleep(_POLL_S)
    return own, workers


def _own(pid: int) -> int:
    """Bytes of a process that no file backs, those that it shares too."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    fields = [line for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(int(field.split()[1]) for field in fields) * 1024


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
