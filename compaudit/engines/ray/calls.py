"""What a fleet asks for, done by Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from compaudit.engines.ray.evaluator import Evaluator
from compaudit.engines.ray.fleet import LostError
from compaudit.engines.ray.messages import Job
from compaudit.engines.ray.nodes import Node
from compaudit.errors import InternalError

__all__ = ["RayCalls"]


class RayCalls:
    """Calls of Ray workers of one audit.

    Args:
        job: what they are for.
        key: of the audit.
    """

    def __init__(self, job: Job, key: str) -> None:
        self._encoded = msgspec.msgpack.encode(job)
        self._key = key
        self._same_machine = job.same_machine
        # `run` and, meanwhile, `done`. Nothing is tried again by Ray itself.
        self._class = ray.remote(Evaluator)
        self._options = {
            "num_cpus": job.cpus,
            "num_gpus": 1 if job.gpu else 0,
            "max_concurrency": 2,
            "max_restarts": 0,
            "max_task_retries": 0,
        }

    def start(self, node: Node) -> Any:
        """A Ray worker on this node."""
        placed = self._class.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
            **self._options,
        )
        return placed.remote(self._encoded, self._key, "" if self._same_machine else node.name)

    def call(self, worker: Any, method: str, *arguments: Any) -> Any:
        """A reference to what the method will return."""
        return getattr(worker, method).remote(*arguments)

    def ready(self, references: Sequence[Any], seconds: float) -> list[Any]:
        """Those whose results are there; waits so long for the first."""
        if not references:
            return []
        found, _ = ray.wait(list(references), num_returns=1, timeout=seconds)
        if found:
            found, _ = ray.wait(list(references), num_returns=len(references), timeout=0)
        return list(found)

    def result(self, reference: Any) -> Any:
        """What was returned. Raises LostError, or InternalError with the traceback there."""
        try:
            return ray.get(reference)
        except RayTaskError as error:
            raise InternalError(str(error), code="internal-error", stage="evaluate") from error
        except RayError as error:
            raise LostError(_sentence(error)) from error

    def is_alive(self, node: Node) -> bool:
        """Whether the node is still in the cluster."""
        return any(each["NodeID"] == node.id and each["Alive"] for each in ray.nodes())

    def end(self, worker: Any) -> None:
        """Kill it."""
        ray.kill(worker)


def _sentence(error: RayError) -> str:
    """The line of Ray's several that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "died" in line.lower() or "killed" in line.lower()]
    return (told or lines or [type(error).__name__])[-1]
