"""Who will evaluate: nodes that can run the models and have room, and what they may be sent."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import ray
import ray.cloudpickle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from compaudit.engines.ray import probe
from compaudit.engines.ray.calls import RayCalls
from compaudit.engines.ray.fleet import Fleet
from compaudit.engines.ray.messages import Job
from compaudit.engines.ray.nodes import Node, choose, spread
from compaudit.engines.ray.parcels import Chunk, Parcel, chunks
from compaudit.engines.ray.probe import Facts, look_around
from compaudit.engines.ray.relocation import parcels_of
from compaudit.errors import MeasurementError
from compaudit.version import __version__

__all__ = ["Muster"]

_PROBE_S = 60.0


class Muster:
    """Prepares a pass.

    Args:
        job: the pass.

    Attributes:
        stage: what is being done.
        notes: what the user should read.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._machine = look_around(())["machine"]
        self._plan: list[Node] = []
        self._parcels: tuple[Parcel, ...] = ()
        self.stage = "asking the nodes of the Ray cluster what they have"
        self.notes: list[str] = []

    def prepare(self) -> None:
        """Find the nodes, and what they may have to be sent.

        Raises:
            RequestError: no node can run the models, or a file cannot be read.
            MeasurementError: not one node answers.
        """
        job = self._job
        able, notes = choose(self._candidates(), job.cpus, __version__)
        batches = -(
            -(job.evaluation.stop - job.evaluation.start) // max(job.evaluation.batch_sizes)
        )
        self._plan = spread(able, min(job.workers or batches, batches))
        if job.workers is not None and len(self._plan) < min(job.workers, batches):
            notes.append(f"the Ray cluster has room for {len(self._plan)} of {job.workers} workers")
        if not job.same_machine:
            elsewhere = any(node.machine != self._machine for node in able)
            self.stage = "reading what the nodes need, to compare it with what they have"
            self._parcels = parcels_of(job, hashed=elsewhere)
        self.notes += notes

    def fleet(self) -> Fleet:
        """The Ray workers, once everything is prepared."""
        evaluation = self._job.evaluation
        return Fleet(
            RayCalls(self._job, secrets.token_hex(8)),
            self._plan,
            (evaluation.start, evaluation.stop),
            self._parcels,
            machine=self._machine,
            send=self._send,
            timeout_s=self._job.limits.timeout_s,
        )

    def _send(self, missing: list[int]) -> Iterator[Chunk]:
        return chunks(self._parcels, missing)

    def _candidates(self) -> list[tuple[Node, Facts]]:
        """The nodes that answer, with what they say; a node that has no room is left out."""
        ray.cloudpickle.register_pickle_by_value(probe)
        asking = ray.remote(look_around)
        asked: dict[Any, Mapping[str, Any]] = {}
        for node in ray.nodes():
            if node["Alive"]:
                placed = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                at_node = asking.options(scheduling_strategy=placed, num_cpus=0, max_retries=0)
                asked[at_node.remote(self._job.runtimes)] = node
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_PROBE_S)
        found = []
        for reference in answered:
            try:
                facts = ray.get(reference)
            except RayError:
                continue  # it left the cluster
            found.append((self._node(asked[reference], facts), facts))
        if not found:
            raise MeasurementError(
                f"no node of the Ray cluster answered within {_PROBE_S:.0f} s",
                hint="`ray status` tells how the cluster is",
                code="ray-cluster-silent",
                stage="evaluate",
            )
        return found

    def _node(self, node: Mapping[str, Any], facts: Facts) -> Node:
        has = node["Resources"]
        slots = int(has.get("CPU", 0) // self._job.cpus)
        if self._job.gpu:
            slots = min(slots, int(has.get("GPU", 0)))
        if self._job.pair_bytes:
            slots = min(slots, int(has.get("memory", 0) // self._job.pair_bytes))
        name = f"{facts['host']} ({node['NodeManagerAddress']})"
        return Node(node["NodeID"], name, facts["machine"], slots)
