"""Shards and Ray workers, with everything that Ray does done by hand."""

import pickle
from collections.abc import Callable, Sequence
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.engines.ray.fleet import Fleet, LostError
from compaudit.engines.ray.messages import Failure
from compaudit.engines.ray.nodes import Node
from compaudit.engines.ray.parcels import Parcel

A, B = Node("a", "alpha (10.0.0.1)", "one", 2), Node("b", "beta (10.0.0.2)", "two", 2)
DATA = Parcel("data", "/there", "data.npz", ())


class Seen:
    """The samples that a tally has seen, in the order of its merges."""

    def __init__(self, samples: Sequence[int] = ()) -> None:
        self.samples = list(samples)

    def merge(self, other: Self) -> None:
        self.samples += other.samples


class FakeRay:
    """Answers one call at a time, the oldest first, or fails it as `deaths` says.

    `deaths` holds, for the n-th call of `run` or another method, that the worker dies of it.
    """

    def __init__(self, deaths: dict[str, set[int]] | None = None, step: int = 10) -> None:
        self.deaths, self.step = deaths or {}, step
        self.missing: list[int] = []
        self.started: list[Node] = []
        self.ended: list[int] = []
        self.dead: set[int] = set()
        self.dead_nodes: set[str] = set()
        self.calls: list[tuple[int, str, tuple[Any, ...]]] = []
        self.count: dict[str, int] = {}
        self.pending: list[int] = []
        self.answers: dict[str, Callable[..., Any]] = {
            "process": lambda: 1,
            "locate": lambda parcels, machine: ({"data": "/here/data.npz"}, self.missing),
            "write": lambda parcels, chunk: None,
            "open": lambda places, sent: self.step,
            "run": lambda start, stop, step: (pickle.dumps(Seen(range(start, stop))), {}),
            "done": lambda: 1,
            "close": lambda: None,
        }

    def start(self, node: Node) -> int:
        self.started.append(node)
        return len(self.started) - 1

    def call(self, worker: int, method: str, *arguments: Any) -> int:
        self.calls.append((worker, method, arguments))
        self.pending.append(len(self.calls))
        return len(self.calls)

    def ready(self, references: Sequence[int], seconds: float) -> list[int]:
        found = [reference for reference in self.pending if reference in references][:1]
        self.pending = [each for each in self.pending if each not in found]
        return found

    def result(self, reference: int) -> Any:
        worker, method, arguments = self.calls[reference - 1]
        self.count[method] = self.count.get(method, 0) + 1
        if worker in self.dead or self.count[method] in self.deaths.get(method, ()):
            self.dead.add(worker)
            raise LostError("The actor died.")
        return self.answers[method](*arguments)

    def is_alive(self, node: Node) -> bool:
        return node.id not in self.dead_nodes

    def end(self, worker: int) -> None:
        self.ended.append(worker)

    def made(self, method: str) -> list[tuple[Any, ...]]:
        return [arguments for _, name, arguments in self.calls if name == method]


def finish(fleet: Fleet) -> Fleet:
    for _ in range(500):
        fleet.proceed(0.0)
        if fleet.finished:
            return fleet
    pytest.fail("the fleet does not come to an end")


def samples_of(fleet: Fleet) -> list[int]:
    assert fleet.failure is None, fleet.failure
    tally, _ = fleet.result()
    return list(pickle.loads(tally).samples)


# -------------------------------------------------------------------------------------- whole


def test_every_sample_is_counted_once_in_order() -> None:
    ray = FakeRay()
    fleet = finish(Fleet(ray, [A, B], (3, 200)))
    assert samples_of(fleet) == list(range(3, 200))
    assert fleet.done == 197
    # Shards are whole numbers of steps but for the last, so batches are those of a single worker.
    assert all((stop - start) % 10 == 0 for start, stop, _ in ray.made("run")[:-1])


def test_a_result_does_not_hang_on_which_shard_was_first() -> None:
    ray = FakeRay()
    ray.ready = lambda references, seconds: list(reversed(references))[:1]  # type: ignore[method-assign]
    assert samples_of(finish(Fleet(ray, [A, A, B], (0, 100)))) == list(range(100))


def test_samples_that_cannot_be_read_are_told() -> None:
    ray = FakeRay()
    ray.answers["run"] = lambda start, stop, step: (
        pickle.dumps(Seen()),
        {index: "torn" for index in range(start, stop) if index in (7, 42)},
    )
    assert finish(Fleet(ray, [A, B], (0, 50))).result()[1] == {7: "torn", 42: "torn"}


# ------------------------------------------------------------------------------------- deaths


@given(deaths=st.sets(st.integers(1, 8), max_size=2), workers=st.integers(1, 4))
def test_a_shard_of_a_worker_that_died_goes_to_another(deaths: set[int], workers: int) -> None:
    ray = FakeRay({"run": deaths})
    fleet = finish(Fleet(ray, ([A, B] * 2)[:workers], (0, 300)))
    assert samples_of(fleet) == list(range(300))
    assert fleet.done == 300
    # As many were started again as died.
    assert len(ray.started) == workers + len(ray.dead)


def test_what_died_is_told_with_its_node_and_samples() -> None:
    fleet = finish(Fleet(FakeRay({"run": {2}}), [A], (0, 80)))
    assert fleet.notes == [
        "a Ray worker on alpha (10.0.0.1) died at the samples 10 to 19: another takes over "
        "(The actor died.)"
    ]


def test_a_shard_that_kills_every_worker_ends_the_pass() -> None:
    ray = FakeRay({"run": set(range(3, 100))})
    fleet = finish(Fleet(ray, [A, B, A, B], (0, 300)))
    assert fleet.failure is not None
    assert fleet.failure.kind == "measurement"
    assert fleet.failure.code == "ray-workers-died"
    assert len(ray.made("run")) < 20


def test_workers_that_die_at_their_start_are_not_started_for_ever() -> None:
    ray = FakeRay({"process": set(range(1, 100))})
    fleet = finish(Fleet(ray, [A], (0, 10)))
    assert fleet.failure is not None
    assert "and none is left" in fleet.failure.message
    assert len(ray.started) == 3


def test_nothing_is_started_on_a_node_that_is_gone() -> None:
    ray = FakeRay({"run": {1}})
    ray.dead_nodes = {"a"}
    fleet = finish(Fleet(ray, [A, B], (0, 100)))
    assert samples_of(fleet) == list(range(100))
    assert ray.started == [A, B]
    assert ", with its node" in fleet.notes[0]


# -------------------------------------------------------------------------------------- errors


def test_an_error_that_is_answered_is_not_tried_again() -> None:
    ray = FakeRay()
    crashed = Failure("measurement", "m.onnx crashed with SIGSEGV", "", "crashed", "m.onnx")
    ray.answers["run"] = lambda start, stop, step: crashed
    fleet = finish(Fleet(ray, [A], (0, 100)))
    assert fleet.failure == crashed
    assert len(ray.made("run")) == 1


def test_a_cluster_without_a_free_worker_is_waited_for_and_no_longer() -> None:
    now = [0.0]
    ray = FakeRay()
    ray.ready = lambda references, seconds: []  # type: ignore[method-assign]
    fleet = Fleet(ray, [A], (0, 10), timeout_s=300, clock=lambda: now[0])
    now[0] = 299.0
    fleet.proceed(0.0)
    assert fleet.failure is None
    now[0] = 301.0
    fleet.proceed(0.0)
    assert fleet.failure is not None
    assert fleet.failure.code == "ray-cluster-busy"


# ---------------------------------------------------------------------------------- what is sent


def test_a_node_is_sent_what_it_lacks_once() -> None:
    ray = FakeRay()
    ray.missing = [0]
    pieces = [[(0, 0, 0, b"ab")], [(0, 0, 2, b"c")]]
    fleet = Fleet(ray, [A, A, A], (0, 90), [DATA], send=lambda missing: iter(pieces))
    assert samples_of(finish(fleet)) == list(range(90))
    assert ray.made("write") == [((DATA,), pieces[0]), ((DATA,), pieces[1])]
    assert len(ray.made("locate")) == 1
    assert ray.made("open") == [({"data": "/here/data.npz"}, True)] * 3
    fleet.end()
    assert len(ray.made("close")) == 3
    assert len(ray.ended) == 3


def test_when_the_one_that_is_sent_files_dies_another_is() -> None:
    ray = FakeRay({"write": {2}})
    ray.missing = [0]
    pieces = [[(0, 0, 0, b"ab")], [(0, 0, 2, b"c")]]
    fleet = Fleet(ray, [A, A], (0, 90), [DATA], send=lambda missing: iter(pieces))
    assert samples_of(finish(fleet)) == list(range(90))
    assert [chunk for _, chunk in ray.made("write")] == [*pieces, *pieces]


def test_only_the_machine_of_the_user_knows_a_file_without_reading_it() -> None:
    ray = FakeRay()
    finish(Fleet(ray, [A, B], (0, 40), [DATA], machine="one"))
    assert {machine for _, machine in ray.made("locate")} == {True, False}


def test_files_that_are_there_are_not_removed() -> None:
    ray = FakeRay()
    fleet = finish(Fleet(ray, [A], (0, 40), [DATA]))
    fleet.end()
    assert ray.made("open") == [({"data": "/here/data.npz"}, False)]
    assert ray.made("close") == []
