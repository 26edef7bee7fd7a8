"""Fresh workers for each epoch, of which only one is ever awake. The workers here are a record."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from compaudit.data.base import DataRequest
from compaudit.errors import MeasurementError
from compaudit.measure.latency import arms as module
from compaudit.measure.latency.arms import Subject, open_arms_of
from compaudit.measure.latency.blocks import BlockTimes, Warmup
from compaudit.measure.latency.experiment import ArmError, ModelName
from compaudit.measure.latency.plan import ArmCost
from compaudit.models.base import RunSettings, Source
from compaudit.workers.limits import Limits
from compaudit.workers.workspace import Loaded

ANSWERS: dict[str, object] = {
    "load_model": Loaded(0.1, (), (), True, ("CPUExecutionProvider",)),
    "warm_up": Warmup(0.01, 12, False),
    "warm_up_on_device": Warmup(0.004, 12, True),
    "time_block": BlockTimes(0.04, 0.04, [0.01] * 4),
    "time_device_block": BlockTimes(0.08, 0.01, []),
}


class RecordedWorker:
    """Stands in for `Worker`: writes down what happened, and who was awake."""

    events: list[str]
    living: list["RecordedWorker"]
    dies_in: str | None = None

    def __init__(self, model: str, limits: Limits) -> None:
        self.model, self.awake = model, True
        self.living.append(self)

    def __enter__(self) -> "RecordedWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self.living.remove(self)

    def begin(self, stage: str, function: Callable[..., Any], *args: object) -> Callable[[], Any]:
        name = function.__name__
        self.awake = True
        if name != "import_runtime":
            assert [worker for worker in self.living if worker.awake] == [self] or (
                name == "admit_user_modules"
            )
        self.events.append(f"{self.model} {name}")
        if self.dies_in == name:
            raise MeasurementError("died", code="crashed", model=self.model, stage=stage)
        return lambda: ANSWERS.get(name)

    def call(self, stage: str, function: Callable[..., Any], *args: object) -> Any:
        return self.begin(stage, function, *args)()

    def suspend(self) -> None:
        self.awake = False


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[RecordedWorker]]:
    monkeypatch.setattr(module, "Worker", RecordedWorker)
    RecordedWorker.events, RecordedWorker.living = [], []
    yield RecordedWorker
    assert RecordedWorker.living == []


def subject(spec: str, factory: str | None = None) -> Subject:
    source = Source(spec, "onnx", path=spec, factory=factory)
    return Subject(source, RunSettings(), DataRequest(), (), 1, Limits())


SUBJECTS: dict[ModelName, Subject] = {"original": subject("m"), "compressed": subject("m*")}


def test_one_is_loaded_and_warmed_up_while_the_other_sleeps(
    recorded: type[RecordedWorker],
) -> None:
    with open_arms_of(SUBJECTS)(("original", "compressed"), False) as arms:
        assert not any(worker.awake for worker in recorded.living)
        assert [(arm.name, arm.cost.call_s, arm.steady) for arm in arms] == [
            ("original", 0.01, False),
            ("compressed", 0.01, False),
        ]
    prepared = ["load_model", "bind_inputs", "call_once", "warm_up"]
    assert recorded.events[2:] == [f"{name} {step}" for name in ("m", "m*") for step in prepared]


def test_the_second_first_loads_the_second_first_and_keeps_the_places(
    recorded: type[RecordedWorker],
) -> None:
    with open_arms_of(SUBJECTS)(("original", "compressed"), True) as arms:
        assert [arm.name for arm in arms] == ["original", "compressed"]
    assert recorded.events[2] == "m* load_model"


def test_after_a_block_the_worker_sleeps_again(recorded: type[RecordedWorker]) -> None:
    with open_arms_of(SUBJECTS)(("original", "compressed"), False) as arms:
        for arm in (arms[0], arms[1], arms[1], arms[0]):
            assert arm.block(4, True) == ANSWERS["time_block"]
            assert not any(worker.awake for worker in recorded.living)


def test_on_a_gpu_the_device_is_warmed_up_and_timed_too(
    recorded: type[RecordedWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Loaded(0.1, (), (), True, ("CUDAExecutionProvider",), on_gpu=True)
    monkeypatch.setitem(ANSWERS, "load_model", loaded)
    with open_arms_of(SUBJECTS)(("original",), False) as (arm,):
        assert arm.cost == ArmCost(0.01, on_gpu=True, device_call_s=0.004)
        assert recorded.events[2:] == [
            f"m {step}" for step in ("bind_inputs", "call_once", "warm_up", "warm_up_on_device")
        ]
        assert arm.device_block(20, True) == ANSWERS["time_device_block"]
        assert not any(worker.awake for worker in recorded.living)


@pytest.mark.parametrize("steady", [True, False])
def test_a_device_that_never_settles_makes_the_arm_unsteady(
    monkeypatch: pytest.MonkeyPatch, steady: bool
) -> None:
    loaded = Loaded(0.1, (), (), True, ("CUDAExecutionProvider",), on_gpu=True)
    monkeypatch.setitem(ANSWERS, "load_model", loaded)
    monkeypatch.setitem(ANSWERS, "warm_up", Warmup(0.01, 12, True))
    monkeypatch.setitem(ANSWERS, "warm_up_on_device", Warmup(0.004, 12, steady))
    with open_arms_of(SUBJECTS)(("original",), False) as (arm,):
        assert arm.steady is steady


def test_the_call_that_compiles_is_made_before_warming_up(recorded: type[RecordedWorker]) -> None:
    compiled = dataclasses.replace(subject("m"), settings=RunSettings(compiled=True))
    with open_arms_of({"original": compiled})(("original",), False):
        pass
    assert recorded.events[1:] == [
        f"m {step}" for step in ("load_model", "bind_inputs", "call_once", "warm_up")
    ]


def test_the_original_against_itself_is_two_processes(recorded: type[RecordedWorker]) -> None:
    with open_arms_of(SUBJECTS)(("original", "original"), False):
        assert [worker.model for worker in recorded.living] == ["m", "m"]


def test_the_users_own_modules_are_admitted_for_a_factory_only(
    recorded: type[RecordedWorker],
) -> None:
    subjects = SUBJECTS | {"compressed": subject("pkg:make", factory="pkg:make")}
    with open_arms_of(subjects)(("original", "compressed"), False):
        pass
    admitted = [event for event in recorded.events if event.endswith("admit_user_modules")]
    assert admitted == ["pkg:make admit_user_modules"]


@pytest.mark.parametrize("step", ["import_runtime", "load_model", "bind_inputs", "warm_up"])
def test_a_death_closes_both_workers_and_tells_whose_it_was(
    recorded: type[RecordedWorker], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(recorded, "dies_in", step)
    with ExitStack() as stack, pytest.raises(ArmError) as caught:
        stack.enter_context(open_arms_of(SUBJECTS)(("original", "compressed"), False))
    assert (caught.value.name, caught.value.error.code) == ("original", "crashed")
    assert recorded.living == []


def test_two_names_of_one_model_are_told_apart_in_death(
    recorded: type[RecordedWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "dies_in", "load_model")
    same = {"one thread": subject("m"), "two threads": subject("m")}
    with ExitStack() as stack, pytest.raises(ArmError) as caught:
        stack.enter_context(open_arms_of(same)(("one thread", "two threads"), True))
    assert caught.value.name == "two threads"
