"""A Ray cluster, joined once for as many passes as there are. Imports no Ray: a process does."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import tempfile
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from compaudit import interruption
from compaudit.engines.ray.driver import connect, leave
from compaudit.engines.ray.messages import WHERE_IT_IS, Connection
from compaudit.errors import CompauditError, RequestError
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

__all__ = ["Cluster", "require_ray"]

_STAGE = "evaluate"
_NAME = "the Ray cluster"
_REACH_S = 3.0
_START_S = 120.0
_UNLIMITED = 2**62
_LONGEST_FOLDER = 36
"""Ray puts 70 characters behind it, to the name of a socket, which has at most 107."""


def require_ray() -> None:
    """Raises RequestError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise RequestError(
            "--engine ray takes Ray, which is not installed",
            hint="pip install 'compaudit[ray]'",
            code="missing-dependency",
            stage=_STAGE,
        )


class Cluster:
    """A cluster that is joined when it is first needed, or started on this machine.

    A context manager: leaving it leaves the cluster, and ends one that was started here. It may be
    entered again.

    Args:
        address: as ``--ray-address``; None to start a cluster.
        scratch: the folder for what is started; None for the usual one.
    """

    def __init__(self, address: str | None, scratch: str | None) -> None:
        self.address = address
        self._scratch = scratch or ""
        self._driver: Worker | None = None
        self._cpus = 0
        self._owned = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._driver is not None:
            with contextlib.suppress(CompauditError):  # it is ended in any case
                self._driver.call("leaving the cluster", leave)
        self.close()

    def holds(self, cpus: int) -> bool:
        """Whether there is a process in the cluster already, and enough processors."""
        return self._driver is not None and (self.address is not None or cpus <= self._cpus)

    def driver(self, cpus: int = 1) -> Worker:
        """A process in the cluster.

        Args:
            cpus: the processors that a cluster has at least which is started here.

        Raises:
            RequestError: there is no cluster, or it cannot be joined.
            MeasurementError: joining it killed the process.
        """
        if self._driver is None or not self.holds(cpus):
            self.close()
            if self.address is not None:
                _require_answer(self.address)
            with ExitStack() as stack:
                folder = self._folder(stack)
                # Ray's own processes, and all the models that run here, are its children.
                limits = Limits(_START_S, _UNLIMITED, folder or None)
                driver = stack.enter_context(Worker(_NAME, limits))
                driver.call("being joined", connect, Connection(self.address, cpus, folder))
                self._owned = stack.pop_all()
            self._driver, self._cpus = driver, cpus
        return self._driver

    def close(self) -> None:
        """Kill the process, and with it a cluster that was started here."""
        self._driver, owned = None, self._owned
        self._owned = ExitStack()
        owned.close()

    def _folder(self, stack: ExitStack) -> str:
        if self.address is not None or 0 < len(self._scratch) <= _LONGEST_FOLDER:
            return self._scratch
        short = "/tmp" if len(tempfile.gettempdir()) > _LONGEST_FOLDER - 20 else None
        return str(stack.enter_context(interruption.temporary_folder("compaudit-", short)))


def _require_answer(address: str) -> None:
    """Raises RequestError where nobody listens; Ray itself would try for a long time."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "timed out"
        raise RequestError(
            f"nothing answers at the Ray address {address}: {reason.lower()}",
            hint=WHERE_IT_IS,
            code="no-ray-cluster",
            stage=_STAGE,
        ) from error
