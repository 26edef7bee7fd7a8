"""What of a model fell back: by hand from placements and profiles."""

from types import SimpleNamespace
from typing import Any

import pytest

from compaudit.errors import MeasurementError
from compaudit.execution.profiling import Profiling
from compaudit.measure.profile.fallback import fallback_of, falls_back
from compaudit.models.base import RunSettings, Source
from compaudit.models.profiled import ExecutedNode, ProfiledRun
from compaudit.pair import Pair, Side
from compaudit.workers.limits import Limits
from compaudit.workers.workspace import Loaded

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def loaded(**nodes: int) -> Loaded:
    names = {"cuda": CUDA, "cpu": CPU}
    placed = {names[name]: count for name, count in nodes.items()}
    settings = {f"operators on {CPU}": "Shape ×2, Gather"}
    return Loaded(0.1, (), (), True, tuple(placed), placed, settings, True)


def executed(op: str, provider: str, seconds: float) -> ExecutedNode:
    return ExecutedNode(name=f"{op}{seconds}", op=op, provider=provider, seconds=seconds, calls=1)


RUN = ProfiledRun(
    runs=3,
    total_s=0.010,
    nodes=(
        executed("MatMul", CUDA, 0.0001),  # only submitted: the time of it is in the total
        executed("Gather", CPU, 0.0005),
        executed("Shape", CPU, 0.0002),
        executed("Shape", CPU, 0.0001),
        executed("NonZero", CPU, 0.0017),
    ),
)


def test_whether_something_falls_back() -> None:
    assert falls_back(loaded(cuda=5, cpu=3))
    assert not falls_back(loaded(cuda=5))
    assert not falls_back(loaded(cpu=5))
    assert not falls_back(Loaded(0.1, (), (), True, ("torch-cpu",)))  # it is not told


def test_shares_of_nodes_and_of_time() -> None:
    found = fallback_of(loaded(cuda=5, cpu=3), RUN)
    assert (found.wanted, found.providers) == (CUDA, (CPU,))
    assert (found.nodes, found.total_nodes) == (3, 8)
    assert found.time_share == pytest.approx(0.25)  # 2.5 ms of 10
    assert found.operators == "NonZero, Gather, Shape"


def test_without_a_profile_the_share_of_nodes_stands() -> None:
    found = fallback_of(loaded(cuda=5, cpu=3), None)
    assert (found.nodes, found.total_nodes, found.time_share) == (3, 8, None)
    assert found.operators == "Shape ×2, Gather"


def test_five_operators_at_most() -> None:
    many = tuple(executed(f"Op{i}", CPU, 0.001 - i * 1e-5) for i in range(7))
    run = ProfiledRun(runs=1, total_s=1.0, nodes=many)
    assert fallback_of(loaded(cuda=1, cpu=7), run).operators == "Op0, Op1, Op2, Op3, Op4 and 2 more"


@pytest.fixture
def of_a_pair() -> Any:
    """The profiling of two models, of which the compressed one fell back."""
    sides = [Side("original", Source("a", "onnx")), Side("compressed", Source("b", "onnx"))]
    for side in sides:
        side.feeds = ()
    sides[0].loaded, sides[1].loaded = loaded(cuda=8), loaded(cuda=5, cpu=3)
    notes: list[str] = []
    progress = SimpleNamespace(stage=lambda *_: None, note=notes.append)
    samples: Any = SimpleNamespace(request=None)
    return Profiling(Pair(*sides), samples, Limits(), progress), notes  # type: ignore[arg-type]


def test_only_the_model_that_fell_back_is_profiled_and_only_once(
    of_a_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiling, _ = of_a_pair
    profiled: list[tuple[str, RunSettings]] = []

    def profile(source: Source, settings: RunSettings, *rest: Any) -> ProfiledRun:
        profiled.append((source.spec, settings))
        return RUN

    monkeypatch.setattr("compaudit.execution.profiling.profile_model", profile)
    fallbacks = profiling.fallbacks()
    assert [spec for spec, _ in profiled] == ["b"]
    assert fallbacks.keys() == {"compressed"}
    assert fallbacks["compressed"].time_share == pytest.approx(0.25)
    runs, why_not = profiling.both()  # --profile as well
    assert [spec for spec, _ in profiled] == ["b", "a"]
    assert runs.keys() == {"original", "compressed"}
    assert why_not == ""


def test_a_profile_that_fails_takes_only_the_share_of_time(
    of_a_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiling, notes = of_a_pair

    def fail(*_: Any) -> None:
        raise MeasurementError("it broke", hint="none", code="profile-empty")

    monkeypatch.setattr("compaudit.execution.profiling.profile_model", fail)
    fallbacks = profiling.fallbacks()
    assert fallbacks["compressed"].time_share is None
    assert fallbacks["compressed"].nodes == 3
    assert "profile-empty" in notes[0]
    assert profiling.both() == ({}, "a could not be profiled: it broke")
