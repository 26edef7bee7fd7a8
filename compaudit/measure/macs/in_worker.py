"""The calls that a worker answers while multiply-accumulates are counted from a run."""

from __future__ import annotations

from compaudit.data.base import DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.engines.inputs import first_batch, fixed_batch
from compaudit.measure.macs.count import MacCount, count_macs
from compaudit.measure.macs.rules import rule_of
from compaudit.models.base import RunSettings, Source
from compaudit.workers.workspace import Workspace

__all__ = ["count_in_run", "sizes_in_run"]

Sizes = dict[str, tuple[int, ...]]


def sizes_in_run(
    workspace: Workspace,
    source: Source,
    settings: RunSettings,
    data: DataRequest,
    feeds: tuple[Feed, ...],
    wanted: list[str],
) -> Sizes:
    """Sizes that inference left open, from a run on one sample.

    Raises:
        RequestError, MeasurementError: the model does not load, or fails.
    """
    from compaudit.models.onnx.shape_run import shapes_from_run

    sample = first_batch(open_data(data), feeds, fixed_batch(feeds) or 1)
    return shapes_from_run(source, settings, sample, wanted)


def count_in_run(
    workspace: Workspace,
    data: DataRequest,
    feeds: tuple[Feed, ...],
    nonzero_share: dict[str, float],
) -> MacCount:
    """The multiply-accumulates of the PyTorch module that is loaded, from a run on one sample.

    Raises:
        RequestError, MeasurementError: the inputs do not fit, or the module fails.
    """
    from compaudit.models.torch.flops import trace_run
    from compaudit.models.torch.runner import TorchRunner

    runner, source = workspace.runner, workspace.source
    assert isinstance(runner, TorchRunner), "ONNX models are counted from their graph"
    assert source is not None, "load_model comes first"
    sample = first_batch(open_data(data), feeds, fixed_batch(feeds) or 1)
    model, shapes = trace_run(source, runner, sample, _has_rule)
    counted = count_macs(model, shapes, nonzero_share)
    assert counted is not None, "a run has a graph"
    return counted


def _has_rule(op: str) -> bool:
    return rule_of("torch", op) is not None
