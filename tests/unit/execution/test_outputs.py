from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_fakes import FakeRunner, FakeWorker, Notes, Recorder, Samples, a_pass

from compaudit.cache import Cache
from compaudit.engines.sources import Live
from compaudit.errors import MeasurementError
from compaudit.execution import keeping
from compaudit.execution.crew import Subject
from compaudit.execution.keeping import Keeper
from compaudit.execution.outputs import AuditEngine, KeptOutputs, LiveOutputs
from compaudit.models.base import RunSettings, Source
from compaudit.pair import Side

EXPECTED = [(i, None, 4.0 * i, 6.0 * i) for i in range(10)]


class FakeCrew:
    """Two models; `held` is what was loaded, in order."""

    def __init__(self, apart: bool = False) -> None:
        self.apart = apart
        self.held: list[str] = []
        self.runners = {
            "original": FakeRunner(),
            "compressed": FakeRunner(answer=lambda x: x * 3),
            "twin": FakeRunner(answer=lambda x: x * 2 + 1),
        }

    def worker(self, subject: Subject) -> Any:
        self.held.append(subject.name)
        return FakeWorker(self.runners[subject.name])

    def more(self, subject: Subject, count: int, owned: ExitStack) -> list[Live]:
        return [Live(self.worker(subject)) for _ in range(count)]


@pytest.fixture(autouse=True)
def fake_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compaudit.engines.labels.open_data", lambda request: Samples())
    monkeypatch.setattr(
        keeping,
        "outputs_key",
        lambda subject, evaluation, which, digest: (
            None if evaluation.metrics else f"{subject.name}0"
        ),
    )


class Audit:
    """One audit of the fake models."""

    def __init__(
        self, folder: Path, *, apart: bool = False, pairs: int = 1, cache: bool = True
    ) -> None:
        self.crew = FakeCrew(apart)
        self.progress = Notes()
        self.keeper = Keeper(Cache(folder / "cache") if cache else None, self.progress)
        self.scratch = folder
        self.pairs = pairs
        self.original = self.kept("original")

    def kept(self, name: str) -> KeptOutputs:
        return KeptOutputs(
            self.subject(name),
            self.crew,  # type: ignore[arg-type]
            self.keeper,
            10 if name == "original" else None,
            str(self.scratch),
            lambda: "digest",
            self.progress,
        )

    def subject(self, name: str) -> Subject:
        side = Side("compressed" if name == "compressed" else "original", Source(name, "onnx"))
        return Subject(name, side, RunSettings())

    def run(self, samples: int = 10) -> Any:
        compressed = LiveOutputs(self.subject("compressed"), self.crew)  # type: ignore[arg-type]
        engine = AuditEngine(self.original, compressed, self.pairs)
        return engine.evaluate(a_pass(samples), Recorder, lambda done: None).tally.rows

    def run_floor(self) -> Any:
        engine = AuditEngine(self.original, self.kept("twin"))
        return engine.evaluate(a_pass(6), Recorder, lambda done: None).tally.rows


@pytest.mark.parametrize("pairs", [1, 2])
def test_the_next_audit_does_not_run_the_original(tmp_path: Path, pairs: int) -> None:
    first = Audit(tmp_path, pairs=pairs)
    assert first.run() == EXPECTED
    assert first.crew.held == [*["original"] * pairs, *["compressed"] * pairs]
    second = Audit(tmp_path, pairs=pairs)
    assert second.run() == EXPECTED
    assert second.crew.held == ["compressed"] * pairs
    assert second.crew.runners["original"].sizes == []
    # The same batches as before.
    assert sorted(second.crew.runners["compressed"].sizes) == sorted(
        first.crew.runners["compressed"].sizes
    )


def test_the_noise_floor_is_kept_as_well(tmp_path: Path) -> None:
    floor = [(i, None, 4.0 * i, 4.0 * i + 1) for i in range(6)]
    first = Audit(tmp_path)
    first.run()
    assert first.run_floor() == floor
    assert first.crew.held == ["original", "compressed", "twin"]
    second = Audit(tmp_path)
    second.run()
    assert second.run_floor() == floor
    assert second.crew.held == ["compressed"]


def test_a_pass_of_one_batch_takes_one_pair(tmp_path: Path) -> None:
    audit = Audit(tmp_path, pairs=3, cache=False)
    assert audit.run(4) == EXPECTED[:4]
    assert audit.crew.held == ["original", "compressed"]


@pytest.mark.parametrize("apart", [True, False])
def test_a_first_look_is_not_kept_in_place_of_the_whole(tmp_path: Path, apart: bool) -> None:
    for loaded in (True, False):
        audit = Audit(tmp_path, apart=apart)
        assert audit.run(3) == EXPECTED[:3]
        assert audit.run() == EXPECTED
        assert ("original" in audit.crew.held) == loaded


def test_without_a_cache_all_models_run(tmp_path: Path) -> None:
    for _ in range(2):
        audit = Audit(tmp_path, cache=False)
        assert audit.run() == EXPECTED
        audit.run_floor()
        assert audit.crew.held == ["original", "compressed", "original", "twin"]
    assert list(tmp_path.iterdir()) == []


def test_damaged_outputs_are_computed_again(tmp_path: Path) -> None:
    Audit(tmp_path).run()
    data = tmp_path / "cache" / "original0" / "data"
    data.write_bytes(data.read_bytes()[:-1])
    audit = Audit(tmp_path)
    assert audit.run() == EXPECTED
    assert audit.crew.held == ["original", "compressed"]
    assert len(audit.progress.notes) == 1
    again = Audit(tmp_path)
    assert again.run() == EXPECTED
    assert again.crew.held == ["compressed"]


# ---------------------------------------------------------------------- one after the other


@pytest.mark.parametrize("cache", [True, False])
def test_one_after_the_other_gives_the_same(tmp_path: Path, cache: bool) -> None:
    together = Audit(tmp_path / "together", cache=False)
    apart = Audit(tmp_path, apart=True, cache=cache)
    assert apart.run() == together.run() == EXPECTED
    # Each of them was loaded once, and ran on the same batches.
    assert apart.crew.held == ["original", "compressed"]
    for name in ("original", "compressed"):
        assert apart.crew.runners[name].sizes == together.crew.runners[name].sizes
    assert apart.run_floor() == together.run_floor()
    assert apart.crew.held == ["original", "compressed", "twin"]
    # What ran alone is kept for the next audit too.
    later = Audit(tmp_path, apart=True, cache=cache)
    assert later.run() == EXPECTED
    assert later.crew.held == (["compressed"] if cache else ["original", "compressed"])


def test_no_room_for_what_ran_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, values: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("compaudit.engines.records.Writer._put", full)
    with pytest.raises(MeasurementError, match="No space left on device") as caught:
        Audit(tmp_path, apart=True, cache=False).run()
    assert caught.value.code == "outputs-not-stored"
    assert "TMPDIR" in caught.value.hint


def test_a_model_that_dies_leaves_nothing_behind(tmp_path: Path) -> None:
    audit = Audit(tmp_path)

    def die(x: np.ndarray[Any, Any]) -> Any:
        raise MeasurementError("it died", code="crashed")

    audit.crew.runners["compressed"].answer = die
    with pytest.raises(MeasurementError):
        audit.run()
    assert list((tmp_path / "cache").iterdir()) == []
