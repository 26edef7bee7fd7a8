"""The engine on real workers that hold the sample models."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_fakes import Recorder, crash

from compaudit.data.base import Answers, DataRequest, Feed
from compaudit.engines.base import Pass, Seen
from compaudit.engines.local import LocalEngine
from compaudit.engines.sources import Live
from compaudit.errors import MeasurementError
from compaudit.models import open as models
from compaudit.models.base import RunSettings
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import load_model

SAMPLES = Path(__file__).parents[3] / "sample_models"
FEEDS = (Feed("image", "image", "float32", None),)


class Sums(Recorder):
    """Sums and counts alone: the outputs are not called ``y``."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, list[Any]] = {"original": [], "compressed": [], "labels": []}

    def update(self, batch: Any) -> None:
        (original,) = batch.original.values()
        (compressed,) = batch.compressed.values()
        self.batches.append(batch.indices.tolist())
        for name, values in (
            ("original", original),
            ("compressed", compressed),
            ("labels", batch.labels),
        ):
            self.outputs[name].append(np.array(values))

    def merge(self, other: Any) -> None:
        self.batches += other.batches
        for name, values in other.outputs.items():
            self.outputs[name] += values


def load(worker: Worker) -> None:
    worker.call("load", load_model, models.recognise(worker.model), RunSettings())


@pytest.fixture(scope="module")
def pairs() -> Iterator[list[tuple[Live, Live]]]:
    """Two pairs of the float and the int8 model; they load when they are first used."""
    with ExitStack() as stack:
        yield [
            tuple(  # type: ignore[misc]
                Live(
                    stack.enter_context(
                        Worker(str(SAMPLES / f"{name}.onnx"), Limits(timeout_s=60))
                    ),
                    load,
                )
                for name in ("digits", "digits_int8")
            )
            for _ in range(2)
        ]


def a_pass(batch: int, stop: int) -> Pass:
    return Pass(
        data=DataRequest(uri=str(SAMPLES / "digits_test.npz")),
        start=0,
        stop=stop,
        batch_sizes=(batch, batch),
        original=FEEDS,
        compressed=FEEDS,
        answers=Answers("labels"),
    )


def run(pairs: list[tuple[Live, Live]], evaluation: Pass) -> Seen[Sums]:
    return LocalEngine(*pairs).evaluate(evaluation, Sums, lambda done: None)


@pytest.mark.parametrize("batch", [16, 7])
def test_several_workers_give_bit_for_bit_what_one_gives(
    pairs: list[tuple[Live, Live]], batch: int
) -> None:
    import onnxruntime

    alone = run(pairs[:1], a_pass(batch, 200)).tally
    together = run(pairs, a_pass(batch, 200)).tally
    assert together.batches == alone.batches
    assert len(alone.batches) == -(-200 // batch)
    for name, values in alone.outputs.items():
        np.testing.assert_array_equal(
            np.concatenate(together.outputs[name]), np.concatenate(values)
        )
    with np.load(SAMPLES / "digits_test.npz") as data:
        images, labels = data["image"][:200], data["labels"][:200]
    np.testing.assert_array_equal(np.concatenate(alone.outputs["labels"]), labels)
    session = onnxruntime.InferenceSession(str(SAMPLES / "digits.onnx"))
    (expected,) = session.run(None, {"image": images})
    np.testing.assert_allclose(np.concatenate(alone.outputs["original"]), expected, atol=1e-4)


def test_a_worker_that_dies_in_a_shard_ends_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # for `crash`
    names = ("digits", "digits_int8") * 2
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(str(SAMPLES / f"{name}.onnx"), Limits(timeout_s=60)))
            for name in names
        ]
        for worker in workers:
            load(worker)
        workers[3].call("load", crash)
        sources = [Live(worker) for worker in workers]
        with pytest.raises(MeasurementError) as caught:
            run([(sources[0], sources[1]), (sources[2], sources[3])], a_pass(2, 800))
        assert caught.value.code == "crashed"
        assert caught.value.model == str(SAMPLES / "digits_int8.onnx")
        assert "SIGABRT while being evaluated" in caught.value.message
