"""Memory by kind, and its peak, of a real process of its own; and what a model adds to it."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from compaudit.data.base import DataRequest, Feed, SyntheticInput
from compaudit.measure import memory, resident
from compaudit.measure.resident import Resident
from compaudit.models.base import RunSettings, Source
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

SCRIPT = """
import mmap, sys
import msgspec
from compaudit.measure.resident import forget_peak, peak_bytes, resident

def told():
    return [*msgspec.structs.astuple(resident()), peak_bytes()]

seen = [told()]
held = bytearray(64 * 2**20)
seen.append(told())
del held
seen.append(told())
assert forget_peak()
seen.append(told())
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    sum(mapped[:: mmap.PAGESIZE])
    seen.append(told())
sys.stdout.buffer.write(msgspec.json.encode(seen))
"""


@linux
def test_own_memory_mapped_files_and_the_peak_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes(32 * MIB))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)], capture_output=True, check=True, timeout=60
    )
    start, holding, freed, forgotten, mapped = msgspec.json.decode(done.stdout)
    some = pytest.approx(0, abs=2 * MIB)
    for total, anonymous, of_file, _ in (start, holding, freed, forgotten, mapped):
        assert total == anonymous + of_file
    assert holding[1] - start[1] - 64 * MIB == some
    assert holding[2] - start[2] == some
    assert freed[1] - start[1] == some
    assert freed[3] - holding[0] == some  # what was given back still counts
    assert forgotten[3] - forgotten[0] == some
    assert mapped[1] - forgotten[1] == some
    assert mapped[2] - forgotten[2] - 32 * MIB == some


def test_a_system_that_tells_less_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS: no /proc, so neither kinds nor a peak, and nothing to reset."""
    monkeypatch.setattr(resident, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(resident, "_RESET_PEAK", tmp_path / "missing" / "clear_refs")
    now = resident.resident()
    assert now.total > MIB
    assert (now.anonymous, now.file) == (None, None)
    assert resident.peak_bytes() is None
    assert not resident.forget_peak()


def test_shared_memory_is_the_process_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Name:\tpython\nVmHWM:\t    9000 kB\nVmRSS:\t    6000 kB\nRssAnon:\t    1000 kB\n"
        "RssFile:\t    3000 kB\nRssShmem:\t    2000 kB\nThreads:\t1\n"
    )
    monkeypatch.setattr(resident, "_STATUS", status)
    assert resident.resident() == Resident(6000 * 1024, 3000 * 1024, 3000 * 1024)
    assert resident.peak_bytes() == 9000 * 1024


WIDTH = 2_000
WEIGHTS = 4 * WIDTH * WIDTH

onnx_model = """
import numpy as np, onnx
from onnx import helper, numpy_helper
w = np.random.default_rng(0).standard_normal(({n}, {n})).astype(np.float32)
value = lambda name: helper.make_tensor_value_info(name, 1, ["b", {n}])
node = helper.make_node("MatMul", ["x", "w"], ["y"])
weights = [numpy_helper.from_array(w, "w")]
graph = helper.make_graph([node], "g", [value("x")], [value("y")], weights)
opset = [helper.make_opsetid("", 17)]
onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), "{path}")
"""


def first_run(source: Source, folder: Path, *, samples: int = 1) -> memory.FirstRun:
    request = DataRequest(
        synthetic=(SyntheticInput("x", "float32", (WIDTH,), -1.0, 1.0),), samples=samples
    )
    with Worker(source.spec, Limits(scratch=str(folder))) as worker:
        loaded, baseline = memory.load(worker, source, RunSettings())
        feeds = (Feed(loaded.inputs[0].name, "x", "float32", None),)
        return memory.run_first(worker, request, feeds, samples, baseline)


@linux
@pytest.mark.parametrize("samples", [1, 2_000])
def test_a_model_is_what_it_adds_to_its_framework(tmp_path: Path, samples: int) -> None:
    """16 MB of weights: the file's bytes and the session's beside them for a moment, then one.

    2,000 samples are 16 MB more, the outputs as many; only those are the model's.
    """
    path = tmp_path / "model.onnx"
    subprocess.run(
        [sys.executable, "-c", onnx_model.format(n=WIDTH, path=path)], check=True, timeout=60
    )
    run = first_run(Source(str(path), "onnx", path=str(path)), tmp_path, samples=samples)
    outputs = 4 * WIDTH * samples
    assert run.peak_memory_bytes is not None
    assert run.resident_anonymous_bytes is not None
    assert run.resident_file_bytes is not None
    assert WEIGHTS + outputs <= run.peak_memory_bytes <= 3 * WEIGHTS + 2 * outputs + 24 * MIB
    assert WEIGHTS - MIB <= run.resident_anonymous_bytes <= WEIGHTS + 2 * outputs + 16 * MIB
    assert run.resident_file_bytes <= 32 * MIB
    assert run.peak_device_memory_bytes is None


@linux
def test_where_the_peak_cannot_be_reset_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be that of importing the framework."""
    from compaudit.workers.workspace import Workspace

    class Runner:
        settings: ClassVar[dict[str, str]] = {}

        def run(self, feeds: object) -> dict[str, object]:
            return {}

        def peak_device_bytes(self) -> int:
            return 123

    workspace = Workspace()
    workspace.hold(Source("m", "onnx"), Runner())  # type: ignore[arg-type]
    request = DataRequest(synthetic=(SyntheticInput("x", "float32", (1,), 0.0, 1.0),), samples=1)
    feeds = (Feed("x", "x", "float32", None),)
    baseline = memory.memory_baseline(workspace)
    told = memory.first_inference(workspace, request, feeds, 1, baseline)
    assert told.peak_memory_bytes is not None
    assert told.peak_device_memory_bytes == 123
    monkeypatch.setattr(resident, "_RESET_PEAK", tmp_path / "missing" / "clear_refs")
    told = memory.first_inference(workspace, request, feeds, 1, baseline)
    assert told.peak_memory_bytes is None
    assert told.resident_anonymous_bytes is not None
