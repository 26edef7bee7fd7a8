"""What a worker holds between calls, and the memory it is said to take."""

import sys
from pathlib import Path

import pytest
import worker_functions as does

from compaudit.data.base import DataRequest, Feed, SyntheticInput
from compaudit.errors import RequestError
from compaudit.measure import memory
from compaudit.measure.latency import blocks
from compaudit.models.base import RunSettings, Source
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import Workspace, admit_user_modules, import_runtime, load_model

MB = 1_000_000
FEEDS = (Feed("x", "x", "float32", None),)


def made_up(width: int = 4, samples: int = 2) -> DataRequest:
    recipe = SyntheticInput("x", "float32", (width,), 0.0, 1.0)
    return DataRequest(synthetic=(recipe,), samples=samples)


class TestWorkspace:
    def test_it_begins_empty(self) -> None:
        workspace = Workspace()
        assert workspace.source is None
        with pytest.raises(AssertionError, match="load_model comes first"):
            workspace.runner  # noqa: B018
        with pytest.raises(AssertionError, match="bind_inputs comes first"):
            blocks.time_block(workspace, 1, False)

    def test_it_holds_a_model_and_its_inputs(self) -> None:
        workspace = Workspace()
        does.hold_hungry_model(workspace, 10, 10)
        assert workspace.source == Source("hungry", "onnx")
        # Two samples fill a batch of eight four times over.
        assert blocks.bind_inputs(workspace, made_up(), FEEDS, 8) == 8
        assert blocks.time_block(workspace, 3, True).times_s
        assert blocks.warm_up(workspace, 0.0).calls >= 1

    def test_a_format_that_cannot_run_is_refused(self) -> None:
        with pytest.raises(RequestError):
            load_model(Workspace(), Source("w", "safetensors", path="w"), RunSettings())

    def test_importing_nothing_for_a_format_that_cannot_run(self) -> None:
        import_runtime(Workspace(), Source("w", "safetensors", path="w"))

    def test_a_missing_runtime_is_left_for_loading_to_explain(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        import_runtime(Workspace(), Source("m.onnx", "onnx", path="m.onnx"))

    def test_user_modules_are_found_from_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", ["elsewhere"])
        for _ in range(2):
            admit_user_modules(Workspace())
        assert sys.path == [str(tmp_path), "elsewhere"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestMemory:
    """In a worker, as the peak of this process has seen all the other tests."""

    def peak_of(self, weights: int, bytes_per_run: int, data: DataRequest) -> int:
        with Worker("hungry", Limits(timeout_s=120.0)) as worker:
            # Whatever the worker took before that is no part of it.
            worker.call("load", does.take_for_a_moment, 200 * MB)
            baseline = worker.call("load", memory.memory_baseline)
            worker.call("load", does.hold_hungry_model, weights, bytes_per_run)
            first = memory.run_first(worker, data, FEEDS, 2, baseline)
        assert first.first_inference_s > 0
        assert first.peak_memory_bytes is not None
        return first.peak_memory_bytes

    def test_the_peak_is_what_model_and_run_took(self) -> None:
        assert self.peak_of(40 * MB, 80 * MB, made_up()) == pytest.approx(120 * MB, rel=0.1)

    def test_the_samples_are_not_counted(self) -> None:
        # 2 x 8 M numbers of 4 bytes, and a model of 60 MB that doubles them when it runs.
        peak = self.peak_of(60 * MB, 10, made_up(width=8 * MB))
        assert peak == pytest.approx(124 * MB, rel=0.1)

    def test_a_peak_while_loading_counts(self) -> None:
        with Worker("hungry", Limits(timeout_s=120.0)) as worker:
            baseline = worker.call("load", memory.memory_baseline)
            worker.call("load", does.hold_hungry_model, 1, 1)
            worker.call("load", does.take_for_a_moment, 150 * MB)
            first = memory.run_first(worker, made_up(), FEEDS, 2, baseline)
        assert first.peak_memory_bytes == pytest.approx(150 * MB, rel=0.1)
