"""In a process of its own: Ray's driver. The audit calls these functions as it calls a model's."""

from __future__ import annotations

import logging
import os
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from compaudit.engines.ray.messages import WHERE_IT_IS, Connection, Failure, Job, Status
from compaudit.errors import CompauditError, MeasurementError, RequestError
from compaudit.workers.workspace import Workspace

__all__ = ["begin", "connect", "finish", "leave", "proceed"]

_TURN_S = 0.2
_JOIN_S = 15.0
_REQUEST_S = 8
# Tallies and pieces of files pass through it; Ray's least is 75 MiB.
_STORE_BYTES = 200 * 2**20

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}


def connect(workspace: Workspace, connection: Connection) -> None:
    """Join a cluster that runs, or start one.

    Raises:
        RequestError: there is none, or it is of another version.
    """
    os.environ.update(_QUIET)
    if connection.address is None:
        # Ray would write a key into the user's home. With this one nobody else gets in.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        os.environ.pop("RAY_ADDRESS", None)
        os.chdir(connection.folder)  # Ray's processes find modules where they start
    else:
        os.environ.setdefault("RAY_gcs_server_request_timeout_seconds", f"{_REQUEST_S}")
    import ray

    common = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if connection.address is None:
            ray.init(
                address="local",
                num_cpus=connection.cpus,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                _temp_dir=f"{connection.folder}/ray",
                **common,
            )
        else:
            # It may try for minutes. Whoever gave the address ends this process then.
            joining = ThreadPoolExecutor(1).submit(ray.init, address=connection.address, **common)
            joining.result(_JOIN_S)
    except TimeoutError as error:
        raise RequestError(
            f"the Ray cluster at {connection.address} does not answer within {_JOIN_S:.0f} s, "
            "or something else listens there",
            hint=WHERE_IT_IS,
            code="no-ray-cluster",
            stage="evaluate",
        ) from error
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        raise _no_cluster(connection, error) from error


def begin(workspace: Workspace, job: Job) -> None:
    """Start Ray workers for a pass, on the nodes that can run the models."""
    workspace.cluster = _Passing(job)


def proceed(workspace: Workspace) -> Status:
    """Go on with the pass for a moment, and tell how far it is."""
    status: Status = workspace.cluster.proceed()
    return status


def finish(workspace: Workspace) -> None:
    """End the Ray workers of the pass."""
    if workspace.cluster is not None:
        workspace.cluster.end()
        workspace.cluster = None


def leave(workspace: Workspace) -> None:
    """Leave the cluster; one that was started here ends."""
    import ray

    ray.shutdown()


class _Passing:
    """A pass: first what takes long to prepare, beside; then the fleet."""

    def __init__(self, job: Job) -> None:
        from compaudit.engines.ray.muster import Muster

        self._job = job
        self._muster = Muster(job)
        self._preparing: Future[Any] = ThreadPoolExecutor(1).submit(self._muster.prepare)
        self._fleet: Any = None

    def proceed(self) -> Status:
        try:
            return self._turn()
        except CompauditError as error:
            return Status(failure=Failure.of(error))
        except Exception as error:
            if not type(error).__module__.startswith("ray."):
                raise
            said = " ".join(str(error).split())
            lost = MeasurementError(
                f"the Ray cluster failed: {said}",
                hint="`ray status` tells how it is",
                code="ray-cluster-failed",
                stage="evaluate",
            )
            return Status(failure=Failure.of(lost))

    def end(self) -> None:
        if self._fleet is not None:
            self._fleet.end()

    def _turn(self) -> Status:
        if self._fleet is None:
            try:
                self._preparing.result(_TURN_S)
            except TimeoutError:
                return Status(stage=self._muster.stage)
            self._fleet = self._muster.fleet()
        fleet = self._fleet
        fleet.proceed(_TURN_S)
        notes = (*self._muster.notes, *fleet.notes)
        self._muster.notes.clear()
        fleet.notes.clear()
        stage = "" if fleet.at_work else "starting Ray workers and loading the models there"
        if not fleet.finished:
            return Status(stage=stage, done=fleet.done, notes=notes)
        if fleet.failure is not None:
            return Status(notes=notes, failure=fleet.failure)
        tally, broken = fleet.result()
        return Status(done=fleet.done, notes=notes, tally=tally, broken=broken)


def _no_cluster(connection: Connection, error: Exception) -> RequestError:
    # Ray wraps what it found out into an error that says no more than that it failed.
    said = " ".join(str(error.__cause__ or error).split())
    if "ersion mismatch" in said:
        return RequestError(
            f"the Ray cluster at {connection.address} runs other versions than this machine: "
            f"{said.partition('ersion mismatch')[2].lstrip(': ')}",
            hint="Ray wants the same Ray and Python on every machine",
            code="ray-version-mismatch",
            stage="evaluate",
        )
    if connection.address is None:
        return RequestError(
            f"no Ray cluster could be started on this machine: {said}",
            hint="leave --engine ray out",
            code="no-ray-cluster",
            stage="evaluate",
        )
    cause = f"the Ray cluster at {connection.address} cannot be joined: {said}"
    if "o node info found" in said:
        cause = f"this machine is no node of the Ray cluster at {connection.address}"
    return RequestError(
        cause,
        hint=f"run `ray start --address={connection.address} --num-cpus=0` on this machine first",
        code="no-ray-cluster",
        stage="evaluate",
    )
