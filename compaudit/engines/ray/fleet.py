"""Shards of a pass, handed to Ray workers; what they count, merged once it is whole.

A shard counts when its tally has arrived, and a Ray worker that dies takes its shard's tally with
it: the shard goes to another one, from its first sample on. So nothing is counted twice, and
nothing is lost. An error that a Ray worker *answers* with (a model crashed, a label is missing)
would come again: it ends the pass.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from compaudit.engines.local import cut
from compaudit.engines.ray.messages import Failure
from compaudit.engines.ray.nodes import Node
from compaudit.engines.ray.parcels import Chunk, Parcel
from compaudit.engines.ray.relocation import Places
from compaudit.errors import MeasurementError

__all__ = ["Calls", "Fleet", "LostError"]

_ATTEMPTS = 3
"""So many Ray workers may die on a shard, or on a node, before that is no accident any more."""
_WATCH_S = 0.5
_CLOSE_S = 2.0

Task = Literal["locate", "wait", "send", "open", "rest", "run"]


class LostError(Exception):
    """A Ray worker is gone; the message says how Ray puts it."""


class Calls(Protocol):
    """What a fleet needs of Ray. References are opaque, and may be keys."""

    def start(self, node: Node) -> Any:
        """A Ray worker on this node; at once, whenever it gets there."""
        ...

    def call(self, worker: Any, method: str, *arguments: Any) -> Any:
        """A reference to what a method of `Evaluator` will return."""
        ...

    def ready(self, references: Sequence[Any], seconds: float) -> list[Any]:
        """Those whose results are there; waits so long for the first."""
        ...

    def result(self, reference: Any) -> Any:
        """What was returned. Raises LostError where the Ray worker died first."""
        ...

    def is_alive(self, node: Node) -> bool:
        """Whether the node is still in the cluster."""
        ...

    def end(self, worker: Any) -> None:
        """Kill a Ray worker."""
        ...


@dataclass(slots=True)
class _Base:
    """A node, and how far it is: what it lacks is sent by one of its workers for all."""

    node: Node
    places: Places | None = None
    sent: bool = False
    deaths: int = 0
    scout: _Station | None = None


@dataclass(slots=True, eq=False)
class _Station:
    """A Ray worker, and what it is doing."""

    base: _Base
    worker: Any
    task: Task = "wait"
    reference: Any = None
    shard: int = -1
    done: int = 0
    watch: Any = None
    chunks: Iterator[Chunk] = field(default_factory=lambda: iter(()))
    found: Places = field(default_factory=dict)


class Fleet:
    """Ray workers on a pass.

    Args:
        calls: Ray.
        plan: the node of every Ray worker that is wanted.
        span: the first sample and the end.
        parcels: what a node must have; none on the machine of the caller.
        machine: that machine, as nodes name it.
        send: gives the contents of these parcels, by number.
        timeout_s: how long to wait for the first Ray worker.
        clock: seconds.

    Attributes:
        notes: what the user should read; whoever reads them takes them away.
        failure: why there will be no result.
    """

    def __init__(
        self,
        calls: Calls,
        plan: Sequence[Node],
        span: tuple[int, int],
        parcels: Sequence[Parcel] = (),
        *,
        machine: str = "",
        send: Callable[[list[int]], Iterator[Chunk]] = lambda missing: iter(()),
        timeout_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._span = span
        self._parcels = tuple(parcels)
        self._machine = machine
        self._send = send
        self._timeout_s = timeout_s
        self._clock = clock
        self._began = self._watched = clock()
        bases = {node.id: _Base(node) for node in plan}
        self._planned = len(plan)
        self._stations: list[_Station] = []
        self._shards: list[tuple[int, int]] = []
        self._step = 1
        self._waiting: deque[int] = deque()
        self._attempts: dict[int, int] = {}
        self._arrived: dict[int, bytes] = {}
        self._merged = 0
        self._tally: Any = None
        self._broken: dict[int, str] = {}
        self._counted = 0
        self.notes: list[str] = []
        self.failure: Failure | None = None
        for node in plan:
            self._start(bases[node.id])

    @property
    def finished(self) -> bool:
        """Whether all samples are counted, or will never be."""
        whole = bool(self._shards) and self._merged == len(self._shards)
        return self.failure is not None or whole

    @property
    def done(self) -> int:
        """How many samples are done; those of a shard that is lost are not any more."""
        return self._counted + sum(each.done for each in self._stations if each.task == "run")

    @property
    def at_work(self) -> int:
        """How many Ray workers have their models loaded."""
        return sum(station.task in ("run", "rest") for station in self._stations)

    def result(self) -> tuple[bytes, dict[int, str]]:
        """The tally of all samples, pickled, and those that could not be read."""
        return pickle.dumps(self._tally, pickle.HIGHEST_PROTOCOL), dict(
            sorted(self._broken.items())
        )

    def proceed(self, seconds: float) -> None:
        """Take in what Ray workers have answered, and give them more to do."""
        by_reference = {each.reference: each for each in self._stations if each.reference}
        watches = {each.watch: each for each in self._stations if each.watch}
        for reference in self._calls.ready([*by_reference, *watches], seconds):
            station = by_reference.get(reference) or watches[reference]
            if station not in self._stations or self.finished:
                continue
            try:
                answer = self._calls.result(reference)
            except LostError as lost:
                self._lose(station, str(lost))
                continue
            if reference in by_reference:
                self._take_in(station, answer)
            elif station.watch is reference:
                station.watch, station.done = None, answer
        if not self.finished:
            self._hand_out()

    def end(self) -> None:
        """Kill the Ray workers; what was sent to their nodes is removed before, if they can."""
        users = [each for each in self._stations if each.base.sent]
        closing = [self._calls.call(each.worker, "close") for each in users]
        until = self._clock() + _CLOSE_S
        while closing and (left_s := until - self._clock()) > 0:
            ready = self._calls.ready(closing, left_s)
            closing = [each for each in closing if each not in ready]
        for station in self._stations:
            self._calls.end(station.worker)
        self._stations.clear()

    # ------------------------------------------------------------------------------ inside

    def _start(self, base: _Base) -> None:
        station = _Station(base, self._calls.start(base.node))
        self._stations.append(station)
        self._ask(station, "wait", "process")

    def _ask(self, station: _Station, task: Task, method: str, *arguments: Any) -> None:
        station.task = task
        station.reference = self._calls.call(station.worker, method, *arguments)

    def _take_in(self, station: _Station, answer: Any) -> None:
        station.reference = None
        if isinstance(answer, Failure):
            self.failure = answer
            return
        match station.task:
            case "wait" | "rest":  # it has started
                self._settle(station)
            case "locate":
                station.found, missing = answer
                station.base.sent = bool(missing)
                station.chunks = self._send(missing)
                self._send_on(station)
            case "send":
                self._send_on(station)
            case "open":
                station.task = "rest"
                self._cut(answer)
            case "run":
                self._count(station, *answer)

    def _settle(self, station: _Station) -> None:
        """A worker that has started waits for what its node lacks, and then loads its models."""
        base = station.base
        station.task = "wait"
        if base.places is None and not self._parcels:
            base.places = {}
        if base.places is not None:
            self._ask(station, "open", "open", base.places, base.sent)
        elif base.scout is None:
            base.scout = station
            same = base.node.machine != "" and base.node.machine == self._machine
            self._ask(station, "locate", "locate", self._parcels, same)

    def _send_on(self, station: _Station) -> None:
        chunk = next(station.chunks, None)
        if chunk is not None:
            self._ask(station, "send", "write", self._parcels, chunk)
            return
        station.base.places, station.base.scout = station.found, None
        for other in self._stations:
            if other.base is station.base and (other is station or self._idles(other)):
                self._settle(other)

    @staticmethod
    def _idles(station: _Station) -> bool:
        return station.task == "wait" and station.reference is None

    def _cut(self, step: int) -> None:
        """Once a model has told how large its outputs are, samples become shards."""
        if not self._shards:
            self._step = step
            # More than for processes on one machine: what dies with a Ray worker is a shard.
            self._shards = cut(*self._span, step, 2 * self._planned)
            self._waiting.extend(range(len(self._shards)))

    def _count(self, station: _Station, tally: bytes, broken: dict[int, str]) -> None:
        start, stop = self._shards[station.shard]
        self._arrived[station.shard] = tally
        self._broken.update(broken)
        self._counted += stop - start
        station.task, station.done, station.watch = "rest", 0, None
        # In the order of the samples, so that a figure does not hang on which shard was first.
        while self._merged in self._arrived:
            arrived = pickle.loads(self._arrived.pop(self._merged))
            if self._tally is None:
                self._tally = arrived
            else:
                self._tally.merge(arrived)
            self._merged += 1

    def _lose(self, station: _Station, reason: str) -> None:
        """A Ray worker died: another takes its place, and its shard."""
        base = station.base
        self._stations.remove(station)
        base.deaths += 1
        what = "at its start"
        if station.task == "run":
            start, stop = self._shards[station.shard]
            what = f"at the samples {start} to {stop - 1}"
            self._attempts[station.shard] = self._attempts.get(station.shard, 0) + 1
            self._waiting.appendleft(station.shard)
        alive = self._calls.is_alive(base.node)
        died = f"a Ray worker on {base.node.name} died {what}" + (
            "" if alive else ", with its node"
        )
        if self._attempts.get(station.shard, 0) >= _ATTEMPTS:
            self._give_up(f"{died}, as {_ATTEMPTS - 1} others did", reason)
            return
        if base.scout is station:
            base.scout = None
            for other in self._stations:
                if other.base is base and self._idles(other):
                    self._settle(other)
                    break
        if alive and base.deaths < _ATTEMPTS:
            self._start(base)
        if not self._stations:
            self._give_up(f"{died}, and none is left", reason)
            return
        self.notes.append(f"{died}: another takes over ({reason})" if reason else died)

    def _give_up(self, what: str, reason: str) -> None:
        self.failure = Failure(
            "measurement",
            what,
            f"Ray says: {reason}" if reason else "look at the memory of its node",
            "ray-workers-died",
            stage="evaluate",
        )

    def _hand_out(self) -> None:
        now = self._clock()
        for station in self._stations:
            if station.task == "rest" and self._waiting:
                station.shard = self._waiting.popleft()
                start, stop = self._shards[station.shard]
                self._ask(station, "run", "run", start, stop, self._step)
            elif station.task == "run" and not station.watch and now - self._watched >= _WATCH_S:
                station.watch = self._calls.call(station.worker, "done")
        if now - self._watched >= _WATCH_S:
            self._watched = now
        unborn = all(each.task == "wait" and each.reference for each in self._stations)
        if unborn and now - self._began > self._timeout_s:
            error = MeasurementError(
                "no worker of the Ray cluster was ready to evaluate within "
                f"{self._timeout_s:.0f} s",
                hint="others may have reserved its processors: `ray status` tells; raise --timeout "
                "to wait longer",
                code="ray-cluster-busy",
                stage="evaluate",
            )
            self.failure = Failure.of(error)
