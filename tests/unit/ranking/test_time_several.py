"""All models of a ranking timed, on a fake clock: groups, deaths, budgets."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace

import pytest
from engine_fakes import Notes
from entrants import entrant
from synthetic_machine import SyntheticMachine, several

from compaudit.config import Config
from compaudit.errors import CompauditError, InternalError, MeasurementError
from compaudit.measure.latency.experiment import Arm, ArmError
from compaudit.timing import several as module
from compaudit.timing.several import ORIGINAL, Groups, time_several

CALLS = several(original=0.010, twice=0.005, slow=0.020, mortal=0.008)
DEATH = MeasurementError("it crashed", code="crashed", stage="latency")


def config(time_budget_s: float | None = 40.0) -> Config:
    return Config(original="o", compressed="", time_budget_s=time_budget_s, lock=False)


class Timed:
    """What came of timing these groups on one fake machine."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        groups: Groups,
        *,
        dies: dict[str, int] | None = None,
        error: CompauditError = DEATH,
        budget_s: float | None = 40.0,
    ) -> None:
        self.machine = SyntheticMachine(CALLS, setup_s=0.5, whole_blocks=True)
        self.progress = Notes()
        self.died: list[tuple[str, CompauditError]] = []
        epochs: dict[str, int] = {}

        @contextmanager
        def open_arms(models: Sequence[str], second_first: bool) -> Iterator[Sequence[Arm]]:
            for name in dict.fromkeys(models):
                epochs[name] = epochs.get(name, 0) + 1
                if epochs[name] > (dies or {}).get(name, 1000):
                    raise ArmError(name, error)
            with self.machine.open_arms(models, second_first) as arms:
                yield arms

        opener: Callable[..., AbstractContextManager[Sequence[Arm]]] = open_arms
        monkeypatch.setattr(module, "open_arms_of", lambda subjects: opener)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=self.machine.clock))
        self.traces = time_several(
            config(budget_s), groups, self.progress, lambda *death: self.died.append(death)
        )


def group(*names: str) -> dict[str, module.Entrant]:
    return {name: entrant(name, 1) for name in names}


def models_of(timed: Timed) -> list[set[str]]:
    return [{block.model for block in trace.blocks} for trace in timed.traces]


def test_one_group_is_one_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, [group("twice", "slow")])
    assert models_of(timed) == [{ORIGINAL, "twice", "slow"}]
    assert timed.died == []
    assert all("timing 3 models in turns, " in stage for stage in timed.progress.stages)
    assert any("s left" in stage for stage in timed.progress.stages)


def test_each_group_has_the_original_and_its_share_of_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timed = Timed(monkeypatch, [group("twice", "slow"), group("mortal")], budget_s=50.0)
    assert models_of(timed) == [{ORIGINAL, "twice", "slow"}, {ORIGINAL, "mortal"}]
    assert [trace.budget_s for trace in timed.traces] == [30.0, 20.0]


def test_one_that_dies_leaves_its_epochs_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timed = Timed(monkeypatch, [group("twice", "mortal")], dies={"mortal": 4})
    assert timed.died == [("mortal", DEATH)]
    (trace,) = timed.traces
    assert trace.between(ORIGINAL, "mortal").epochs == 4
    assert trace.between(ORIGINAL, "twice").epochs >= 6


def test_when_all_die_what_they_finished_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    dies = {"twice": 3, ORIGINAL: 3}
    timed = Timed(monkeypatch, [group("twice")], dies=dies)
    assert {name for name, _ in timed.died} == {"twice", ORIGINAL}
    (trace,) = timed.traces
    assert trace.between(ORIGINAL, "twice").epochs == 3


def test_a_group_that_never_starts_leaves_nothing_and_the_next_is_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The original dies in the first group; what it did before in others is not asked here."""
    timed = Timed(monkeypatch, [group("mortal"), group("twice")], dies={"mortal": 0})
    assert [name for name, _ in timed.died] == ["mortal"]
    assert models_of(timed)[-1] == {ORIGINAL, "twice"}


def test_a_bug_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    bug = InternalError("Traceback …", code="internal-error")
    with pytest.raises(InternalError):
        Timed(monkeypatch, [group("twice", "mortal")], dies={"mortal": 2}, error=bug)
