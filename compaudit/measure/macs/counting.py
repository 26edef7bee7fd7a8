"""From a model that was read to its multiply-accumulates, by whatever way its format offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compaudit.errors import MeasurementError, RequestError
from compaudit.measure.macs.count import MacCount, count_macs
from compaudit.measure.macs.inference import infer
from compaudit.models import open as models
from compaudit.models.base import Model, RunSettings, Source
from compaudit.models.shapes import Shapes, stated_shapes
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

if TYPE_CHECKING:
    from compaudit.data.base import DataRequest, Feed
    from compaudit.measure.ledger import Ledger

__all__ = ["count_from_graph", "count_from_run", "inferring"]

_STAGE = "shapes"


@contextmanager
def inferring(
    source: Source, sizes: Mapping[str, tuple[int, ...]], limits: Limits
) -> Iterator[Callable[[], Shapes] | None]:
    """Sizes being inferred in a worker while something else is done; call it to wait for them.

    None for a format whose graph states its sizes.
    """
    if source.format != "onnx":
        yield None
        return
    with Worker(source.spec, limits) as worker:
        yield worker.begin(_STAGE, infer, source, dict(sizes))


def count_from_graph(
    model: Model,
    ledger: Ledger,
    sizes: Mapping[str, tuple[int, ...]],
    limits: Limits,
    inferred: Callable[[], Shapes] | None = None,
) -> MacCount | None:
    """The MACs of a model with a graph, nothing executed; None without one, or where it fails.

    Args:
        model: as read.
        ledger: its nonzeros, for the MACs that skip zeros.
        sizes: inputs by name with batch 1; others are as the model declares them.
        limits: of the worker that infers sizes: that is native code, and hostile files hang it.
        inferred: the sizes, where `inferring` has begun before.
    """
    if model.graph is None:
        return None
    try:
        shapes = inferred() if inferred is not None else _shapes(model, dict(sizes), limits)
        return count_macs(model, shapes, nonzero_shares(ledger))
    except (RequestError, MeasurementError):
        return None  # what is wrong with the file is said where it is loaded


def count_from_run(
    worker: Worker,
    source: Source,
    model: Model | None,
    ledger: Ledger,
    counted: MacCount | None,
    settings: RunSettings,
    data: DataRequest,
    feeds: tuple[Feed, ...],
    sizes: Mapping[str, tuple[int, ...]],
    limits: Limits,
) -> MacCount | None:
    """What only a run can tell: the MACs of a module without a graph, or sizes still unknown.

    Args:
        worker: holds the loaded model.
        source: which one it is.
        model: what reading told; None where only running code can read it.
        ledger: its nonzeros.
        counted: what its graph told so far.
        settings: how it is loaded.
        data: where the sample comes from.
        feeds: how it is fed.
        sizes: inputs by name with batch 1.
        limits: of the workers.
    """
    from compaudit.measure.macs.in_worker import count_in_run, sizes_in_run

    try:
        if counted is None and models.runtime_of(source) == "torch":
            return worker.call(_STAGE, count_in_run, data, feeds, nonzero_shares(ledger))
        if counted is None or not counted.unknown_shapes or source.format != "onnx":
            return counted
        assert model is not None, "what was counted from its graph was read here"
        with Worker(source.spec, limits) as fresh:
            more = fresh.call(
                _STAGE, sizes_in_run, source, settings, data, feeds, counted.unknown_shapes
            )
        shapes = _shapes(model, dict(sizes), limits).with_values(more)
        return count_macs(model, shapes, nonzero_shares(ledger))
    except (RequestError, MeasurementError):
        return counted


def nonzero_shares(ledger: Ledger) -> dict[str, float]:
    """For each stored tensor, the share of its elements that are not zero."""
    return {
        row.name: row.nonzeros / row.logical_elements
        for row in ledger.tensors
        if row.nonzeros is not None and row.logical_elements
    }


def _shapes(model: Model, sizes: dict[str, tuple[int, ...]], limits: Limits) -> Shapes:
    if model.source.format != "onnx":
        assert model.graph is not None
        return Shapes(stated_shapes(model.graph, sizes))
    with inferring(model.source, sizes, limits) as inferred:
        assert inferred is not None, "it is ONNX"
        return inferred()
