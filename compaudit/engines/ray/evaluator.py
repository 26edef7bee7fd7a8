"""A Ray worker: it has a pair of models, in worker processes of its own, and is shown shards.

A native crash in a model kills one of those processes, not the Ray worker and not the node, and is
told apart from the Ray worker's own death: the first is the model's fault and ends the audit as it
does anywhere, the second is the cluster's, and another Ray worker takes the shard over.

The models of a pair take turns, so that a Ray worker needs the processors it has reserved.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec

from compaudit.engines.base import Pass
from compaudit.engines.inference import Part
from compaudit.engines.ray.messages import Failure, Job, Member
from compaudit.engines.ray.parcels import Chunk, Parcel, is_here
from compaudit.engines.ray.relocation import Places, relocated
from compaudit.engines.ray.shelf import Shelf
from compaudit.engines.shard import ShardRunner
from compaudit.engines.sources import Live, OutputSource, Which
from compaudit.engines.walk import first_step
from compaudit.errors import CompauditError
from compaudit.models import open as models
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Pending, Worker
from compaudit.workers.workspace import admit_user_modules, import_runtime, load_model

__all__ = ["Counted", "Evaluator"]

Counted = tuple[bytes, dict[int, str]]
"""A tally, pickled, of all samples of a shard; and those that could not be read, and why."""


class Evaluator:
    """Shows shards to tallies. Ray calls its methods, two at a time: `done` while `run` is at it.

    Args:
        job: the pass, encoded.
        key: of the audit, the same for all its workers.
        node: how errors name the node; empty on the machine of the user.
    """

    def __init__(self, job: bytes, key: str, node: str) -> None:
        self._job = msgspec.msgpack.decode(job, type=Job)
        self._key = key
        self._node = node
        self._shelf: Shelf | None = None
        self._owned = ExitStack()
        self._runner: ShardRunner | None = None
        self._done = 0

    def process(self) -> int:
        """The number of this process."""
        return os.getpid()

    def locate(self, parcels: tuple[Parcel, ...], machine: bool) -> tuple[Places, list[int]]:
        """Which parcels are here already, and which have to be sent, by number.

        Args:
            parcels: what the pass needs.
            machine: the node is the machine on which they were packed.
        """
        places, missing = {}, []
        for number, parcel in enumerate(parcels):
            root = Path(parcel.root)
            if not is_here(parcel, same_machine=machine):
                root = self._writable().place_of(parcel)
                missing.append(number)
            places[parcel.purpose] = str(root / parcel.entry)
        return places, missing

    def write(self, parcels: tuple[Parcel, ...], chunk: Chunk) -> Failure | None:
        """Take in pieces of files."""
        try:
            self._writable().write(parcels, chunk)
        except OSError as error:
            return Failure(
                "measurement",
                f"the models and data cannot be written on the node {self._node}: {error.strerror}",
                "make room there, or set TMPDIR before `ray start` to a larger disk",
                "node-not-writable",
                stage="evaluate",
            )
        return None

    def open(self, places: Places, sent: bool) -> int | Failure:
        """Load both models and open the data. Returns how many samples are shown at a time.

        Args:
            places: where everything is.
            sent: some of it was sent, and must stay until this is done.
        """
        job = relocated(self._job, places)
        if sent:
            self._writable()
        try:
            # What the user's own code is found from, by the processes that start here.
            os.chdir(job.folder if Path(job.folder).is_dir() else tempfile.gettempdir())
            original, compressed = (self._live(model, job.limits) for model in job.models)
            runner = ShardRunner((original, _Afterwards(compressed)))
            runner.open(job.evaluation)
            step = first_step(job.evaluation, runner.sources)
        except CompauditError as error:
            return Failure.of(error, self._node)
        self._job, self._runner = job, runner
        return step

    def run(self, start: int, stop: int, step: int) -> Counted | Failure:
        """Show the samples from `start` to `stop` to a tally, `step` at a time at most."""
        assert self._runner is not None, "open comes first"
        self._done = 0
        shard = msgspec.structs.replace(self._job.evaluation, start=start, stop=stop)
        tally = pickle.loads(self._job.make)()
        try:
            broken = self._runner.run(shard, step, tally, self._count)
        except CompauditError as error:
            return Failure.of(error, self._node)
        return pickle.dumps(tally, pickle.HIGHEST_PROTOCOL), broken

    def done(self) -> int:
        """How many samples of the shard under way are done."""
        return self._done

    def close(self) -> None:
        """End both models, and remove what was sent."""
        self._owned.close()
        if self._shelf is not None:
            self._shelf.close()

    def _count(self, samples: int) -> None:
        self._done += samples

    def _writable(self) -> Shelf:
        if self._shelf is None:
            self._shelf = Shelf(self._key)
        return self._shelf

    def _live(self, model: Member, limits: Limits) -> Live:
        def load(worker: Worker) -> None:
            if models.imports_user_modules(model.source):
                worker.call("load", admit_user_modules)
            worker.call("load", import_runtime, model.source)
            worker.call("load", load_model, model.source, model.settings)

        worker = Worker(model.source.spec, limits)
        return Live(self._owned.enter_context(worker), load)


class _Afterwards:
    """A source that begins when it is waited for: after the one that is waited for before it."""

    def __init__(self, source: OutputSource) -> None:
        self._source = source

    def open(self, evaluation: Pass, which: Which) -> None:
        """As the other."""
        self._source.open(evaluation, which)

    def sample_bytes(self) -> int:
        """As the other."""
        return self._source.sample_bytes()

    def begin(self, start: int, stop: int, at_once: int) -> Pending[Part]:
        """Not yet."""
        return lambda: self._source.begin(start, stop, at_once)()

    def keep(self, start: int, stop: int, part: Part) -> None:
        """As the other."""
        self._source.keep(start, stop, part)

    def kill(self) -> None:
        """As the other."""
        self._source.kill()
