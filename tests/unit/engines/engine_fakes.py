"""Data, models and tallies that are known exactly."""

import os
from collections.abc import Callable, Collection
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, DataRequest, Dataset, Feed
from compaudit.engines.base import Batch, Pass
from compaudit.engines.inference import open_samples
from compaudit.models.base import Feeds, Source
from compaudit.workers.workspace import Workspace

X = np.arange(20, dtype=np.float64).reshape(10, 2)
FEEDS = (Feed("input", "x", "float32", None),)


class Samples(Dataset):
    """Samples of two numbers, 2i and 2i + 1, and an array nobody feeds.

    `bad` cannot be read; `unlabelled` have no label. The samples before each of `edges` have
    another shape than those from it on.
    """

    kind = "fake"

    def __init__(
        self,
        samples: int = 10,
        bad: Collection[int] = (),
        unlabelled: Collection[int] = (),
        edges: Collection[int] = (),
    ) -> None:
        self.samples = samples
        self.bad, self.unlabelled, self.edges = set(bad), set(unlabelled), sorted(edges)
        self.arrays = (ArrayInfo("x", "float64", (2,)), ArrayInfo("labels", "int64", ()))
        self.broken: dict[int, str] = {}
        self.asked: list[set[str] | None] = []

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        self.asked.append(None if names is None else set(names))
        rows = np.arange(start, min(stop, self.samples))
        read = names is None or set(names) & {"x", "ids"}
        for index in rows.tolist():
            if read and index in self.bad:
                self.broken[index] = "it is torn"
            if not read and index in self.unlabelled:
                self.broken[index] = "it has no label"
        rows = rows[~np.isin(rows, list(self.broken))]
        x = np.stack([2.0 * rows, 2.0 * rows + 1], axis=1)
        assert len({np.searchsorted(self.edges, row, "right") for row in rows}) <= 1
        all_arrays = {"x": x, "ids": rows, "labels": rows * 10}
        return {name: all_arrays[name] for name in (all_arrays if names is None else names)}

    def digest(self) -> str:
        return "0"

    def uniform(self, start: int, stop: int) -> int:
        return min([edge for edge in self.edges if edge > start] + [stop])


class FakeRunner:
    """Doubles `x`; `fixed` refuses any other number of samples. Remembers how many it got."""

    inputs = outputs = ()
    named_outputs = True
    providers = ("fake",)

    def __init__(
        self, fixed: int | None = None, answer: Callable[[NDArray[Any]], Any] | None = None
    ) -> None:
        self.fixed, self.answer = fixed, answer
        self.sizes: list[int] = []

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        x = feeds["input"]
        assert x.flags.c_contiguous
        assert len(x)
        assert self.fixed is None or len(x) == self.fixed
        self.sizes.append(len(x))
        return {"y": x * 2} if self.answer is None else {"y": self.answer(x)}


def workspace_of(runner: FakeRunner, dataset: Dataset | None = None) -> Workspace:
    workspace = Workspace()
    workspace.hold(Source("m", "fake"), runner)  # type: ignore[arg-type]
    workspace.dataset = dataset or Samples()
    return workspace


class FakeWorker:
    """Calls functions in this process, when their result is waited for."""

    def __init__(self, runner: FakeRunner, make: Callable[[], Dataset] = Samples) -> None:
        self.workspace = workspace_of(runner, make())
        self.make = make
        self.under_way = 0
        self.killed = False

    def call(self, stage: str, function: Any, *args: Any) -> Any:
        if function is open_samples:
            self.workspace.dataset = self.make()
            return self.workspace.dataset.samples
        return function(self.workspace, *args)

    def begin(self, stage: str, function: Any, *args: Any) -> Any:
        assert self.under_way == 0, "a worker does one thing at a time"
        self.under_way += 1

        def wait() -> Any:
            self.under_way -= 1
            return function(self.workspace, *args)

        return wait

    def kill(self) -> None:
        self.killed = True


class Recorder:
    """Remembers every row: index, label, and the first number of both models' outputs."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Any, float, float]] = []
        self.batches: list[list[int]] = []

    def update(self, batch: Batch) -> None:
        indices = batch.indices.tolist()
        labels = [None] * len(indices) if batch.labels is None else batch.labels.tolist()
        self.batches.append(indices)
        self.rows += zip(
            indices,
            labels,
            batch.original["y"].reshape(len(indices), -1)[:, 0].tolist(),
            batch.compressed["y"].reshape(len(indices), -1)[:, 0].tolist(),
            strict=True,
        )

    def merge(self, other: Self) -> None:
        self.rows += other.rows
        self.batches += other.batches


class Notes:
    """What an audit tells: the notes, and the stages."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[str] = []

    def stage(self, what: str, share: float | None = None) -> None:
        self.stages.append(what)

    def note(self, text: str) -> None:
        self.notes.append(text)


def a_pass(
    samples: int = 10,
    batch_sizes: tuple[int, int] = (4, 4),
    fixed: tuple[int | None, int | None] = (None, None),
    **more: Any,
) -> Pass:
    original, compressed = ((Feed("input", "x", "float32", size),) for size in fixed)
    return Pass(
        data=DataRequest(),
        start=more.pop("start", 0),
        stop=samples,
        batch_sizes=batch_sizes,
        original=original,
        compressed=compressed,
        **more,
    )


def crash(workspace: Workspace) -> None:
    """Have the model's process die at its third run from now."""
    runner, runs = workspace.runner, [0]
    genuine = runner.run

    def run(feeds: Any) -> Any:
        runs[0] += 1
        if runs[0] == 3:
            os.abort()
        return genuine(feeds)

    runner.run = run  # type: ignore[method-assign]
