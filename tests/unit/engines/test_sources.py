from pathlib import Path

import numpy as np
from engine_fakes import FakeRunner, FakeWorker, a_pass

from compaudit.engines.inference import Part
from compaudit.engines.records import Reader, Writer
from compaudit.engines.sources import Live, Recorded, Stored


def test_what_is_recorded_is_what_is_read_again(tmp_path: Path) -> None:
    writer = Writer(tmp_path, samples=8)
    source = Recorded(Live(FakeWorker(FakeRunner())), writer)  # type: ignore[arg-type]
    source.open(a_pass(8), "original")
    for start, stop in ((0, 3), (3, 8)):
        part = source.begin(start, stop, 4)()
        source.keep(start, stop, part)
    writer.close()
    stored = Stored(Reader(tmp_path))
    stored.open(a_pass(8), "original")
    # Twice the samples, which are twice their place.
    assert stored.begin(2, 6, 4)().outputs["y"][:, 0].tolist() == [8, 12, 16, 20]
    assert stored.sample_bytes() == source.sample_bytes() == 8


def test_the_users_figures_are_for_the_passes_that_have_some(tmp_path: Path) -> None:
    writer = Writer(tmp_path, samples=2)
    writer.write(0, 2, Part({"y": np.zeros(2)}, {}, {"margin": np.array([1.0, 2.0])}))
    writer.close()
    stored = Stored(Reader(tmp_path))
    stored.open(a_pass(2, metrics=("m:margin",)), "original")
    assert stored.begin(0, 2, 2)().scores["margin"].tolist() == [1, 2]
    stored.open(a_pass(2), "original")
    assert stored.begin(0, 2, 2)().scores == {}


def test_a_worker_that_is_killed_is_the_one_that_holds_the_model(tmp_path: Path) -> None:
    worker = FakeWorker(FakeRunner())
    Recorded(Live(worker), Writer(tmp_path, 1)).kill()  # type: ignore[arg-type]
    assert worker.killed
