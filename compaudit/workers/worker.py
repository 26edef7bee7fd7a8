"""The parent's side of a worker: start it, call it, suspend it, limit it, and see that it dies.

This contains faults: a crash, a hang or an out-of-memory in native code becomes one clear error. It
is not a sandbox.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import msgspec
import psutil

from compaudit.errors import CompauditError, InternalError, MeasurementError, RequestError
from compaudit.units import format_bytes, format_seconds
from compaudit.workers import protocol
from compaudit.workers.limits import Limits, anonymous_memory
from compaudit.workers.workspace import Workspace

__all__ = ["Pending", "Worker"]

_POLL_S = 0.25
_START = "import sys; sys.path.append(sys.argv[1]); from compaudit.workers import child; "
_START += "child.main(sys.argv[2:])"

P = ParamSpec("P")
R = TypeVar("R")
Pending = Callable[[], R]
"""A call under way; calling it waits for the result."""


class Worker:
    """One child process that holds one model. A context manager: leaving it kills the process.

    Args:
        model: how the user named the model, for errors.
        limits: time and memory it may take.
    """

    def __init__(self, model: str, limits: Limits) -> None:
        self.model = model
        self._limits = limits
        self._suspended = False
        self._log = tempfile.TemporaryFile()
        requests_child, self._requests = os.pipe()
        self._replies, replies_child = os.pipe()
        try:
            self._process = subprocess.Popen(
                self._command(requests_child, replies_child),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(requests_child, replies_child),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._requests)
            os.close(self._replies)
            raise
        finally:
            os.close(requests_child)
            os.close(replies_child)
        self._handle = psutil.Process(self._process.pid)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._replies, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process that holds the model."""
        return self._process.pid

    def call(
        self,
        stage: str,
        function: Callable[Concatenate[Workspace, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a module-level function in the worker and wait for what it returns.

        Args:
            stage: what is being done, for errors: ``load``, ``warm-up`` …
            function: called there as ``function(workspace, *args)``.
            args: anything MessagePack holds, typed structs, and arrays.
            kwargs: not supported; here for the type checker.

        Raises:
            RequestError: the function refused the request (exit 2).
            MeasurementError: the process crashed, hung, or outgrew its memory (exit 4).
        """
        return self.begin(stage, function, *args, **kwargs)()

    def begin(
        self,
        stage: str,
        function: Callable[Concatenate[Workspace, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Pending[R]:
        """Start a call and return at once; the returned function waits for its result."""
        assert not kwargs, "a worker takes positional arguments only"
        self.resume()
        request = protocol.Request(protocol.function_name(function), list(args))
        deadline = time.monotonic() + self._limits.timeout_s
        self._write(protocol.encode(request), stage, deadline)
        kind = protocol.result_type(function)

        def wait() -> R:
            reply: protocol.Reply = protocol.decode(
                self._read_frame(stage, deadline), protocol.Reply
            )
            if reply.error is not None:
                raise self._translate(reply.error, stage)
            try:
                result: R = protocol.convert(reply.value, kind)
            except msgspec.ValidationError as error:
                raise InternalError(
                    f"a worker's reply to {function.__qualname__} is malformed: {error}",
                    code="internal-error",
                ) from error
            return result

        return wait

    def suspend(self) -> None:
        """Stop every thread of the worker until it is resumed: the idle one disturbs nobody."""
        if self._suspended or self._process.poll() is not None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            self._handle.suspend()
            self._suspended = True
            until = time.monotonic() + _POLL_S
            while self._handle.status() != psutil.STATUS_STOPPED and time.monotonic() < until:
                time.sleep(0.0002)

    def resume(self) -> None:
        """Let a suspended worker go on."""
        if self._suspended:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._handle.resume()
            self._suspended = False

    def close(self) -> None:
        """Kill the worker with everything it started, and free what belongs to it."""
        if self._log.closed:
            return
        self._kill()
        self._selector.close()
        os.close(self._requests)
        os.close(self._replies)
        self._log.close()

    # ------------------------------------------------------------------------------ inside

    @staticmethod
    def _command(requests: int, replies: int) -> list[str]:
        # -P keeps the current folder off the module path: no file there stands in for a module.
        package_root = Path(__file__).parents[2]
        numbers = [str(requests), str(replies), str(os.getpid())]
        return [sys.executable, "-P", "-c", _START, str(package_root), *numbers]

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _write(self, frame: bytes, stage: str, deadline: float) -> None:
        """Send a frame; a worker that died meanwhile is reported as such, not as a broken pipe."""
        view = memoryview(frame)
        try:
            while view:
                view = view[os.write(self._requests, view[: 1 << 16]) :]
                if time.monotonic() > deadline:
                    raise self._hung(stage)
        except BrokenPipeError:
            raise self._died(stage) from None

    def _read_frame(self, stage: str, deadline: float) -> bytes:
        prefix = self._read(protocol.PREFIX_BYTES, stage, deadline)
        return self._read(protocol.frame_length(prefix), stage, deadline)

    def _read(self, size: int, stage: str, deadline: float) -> bytes:
        received = bytearray()
        while len(received) < size:
            self._wait_until_readable(stage, deadline)
            part = os.read(self._replies, min(size - len(received), 1 << 20))
            if not part:
                raise self._died(stage)
            received += part
        return bytes(received)

    def _wait_until_readable(self, stage: str, deadline: float) -> None:
        """Wait for the next bytes, and kill a worker that takes too long or too much."""
        while not self._selector.select(_POLL_S):
            if time.monotonic() > deadline:
                raise self._hung(stage)
            used = anonymous_memory(self._handle)
            if used > self._limits.memory:
                self._kill()
                raise self._error(
                    f"used {format_bytes(used)} while {_doing(stage)}, above the limit of "
                    f"{format_bytes(self._limits.memory)}",
                    "raise --memory-limit, or use a smaller --batch-size",
                    "out-of-memory",
                    stage,
                )

    def _hung(self, stage: str) -> MeasurementError:
        self._kill()
        return self._error(
            f"did not answer within {format_seconds(self._limits.timeout_s)} while {_doing(stage)}",
            "raise --timeout if it is only slow",
            "timeout",
            stage,
        )

    def _died(self, stage: str) -> MeasurementError:
        self._kill()
        status = self._process.returncode
        if status < 0:
            cause = f"crashed with {signal.Signals(-status).name}"
        else:
            cause = f"ended its process with exit status {status}"
        return self._error(
            f"{cause} while {_doing(stage)}",
            self._last_words() or "the fault is in the model or in what runs it",
            "crashed",
            stage,
        )

    def _last_words(self) -> str:
        """The last line the worker wrote, printable characters only."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2000))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        text = "".join(character for character in (lines or [""])[-1] if character.isprintable())
        return f"its last words: {text[:300]}" if text else ""

    def _error(self, what: str, hint: str, code: str, stage: str) -> MeasurementError:
        return MeasurementError(
            f"{self.model} {what}", hint=hint, code=code, model=self.model, stage=stage
        )

    def _translate(self, error: protocol.ReplyError, stage: str) -> CompauditError:
        kinds: dict[str, type[CompauditError]] = {
            "request": RequestError,
            "measurement": MeasurementError,
        }
        message = error.message
        if error.kind in kinds and self.model not in message:
            message = f"{self.model}: {message}"
        return kinds.get(error.kind, InternalError)(
            message, hint=error.hint, code=error.code, model=self.model, stage=stage
        )


_STAGES = {
    "read": "being read",
    "load": "being loaded",
    "memory": "running its first inference",
    "warm-up": "warming up",
    "latency": "being timed",
    "evaluate": "being evaluated",
}


def _doing(stage: str) -> str:
    return _STAGES.get(stage, stage)
