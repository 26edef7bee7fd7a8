"""The parent's side of a worker: start it, call it, suspend it, limit it, and see that it dies.

This contains faults: a crash, a hang or an out-of-memory in native code becomes one clear error. It
is not a sandbox.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import psutil

from compaudit import interruption
from compaudit.errors import CompauditError, InternalError, MeasurementError, RequestError
from compaudit.units import format_bytes, format_seconds
from compaudit.workers import protocol
from compaudit.workers.limits import Limits, anonymous_memory
from compaudit.workers.workspace import Workspace

__all__ = ["Pending", "Worker"]

_POLL_S = 0.25
# A third faster for large outputs than the usual 64 KiB.
_PIPE_BYTES = 2**20
# The very package that the parent runs, wherever else another compaudit is installed; everything
# else is found as usual.
_START = (
    "import sys; root = sys.argv[1]; sys.path.insert(0, root); import compaudit; "
    "sys.path.remove(root); sys.path.append(root); "
    "from compaudit.workers import child; child.main(sys.argv[2:])"
)

# ONNX Runtime would write a file of its own and keep a thread busy while models are timed.
_ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1"}

P = ParamSpec("P")
R = TypeVar("R")
Pending = Callable[[], R]
"""A call under way; calling it waits for the result."""

_BUSY: set[Worker] = set()
"""Workers that have not answered yet."""


class Worker:
    """One child process that holds one model. A context manager: leaving it kills the process.

    Args:
        model: how the user named the model, for errors.
        limits: time and memory it may take.
    """

    def __init__(self, model: str, limits: Limits) -> None:
        self.model = model
        self._timeout_s = limits.timeout_s
        self._memory_bytes = limits.memory
        self._stage, self._deadline = "", 0.0
        self._suspended = False
        self._unanswered = False
        self._fault: MeasurementError | None = None
        with ExitStack() as owned:
            self._log = owned.enter_context(tempfile.TemporaryFile())
            with ExitStack() as lent:
                requests_child, self._requests = _pipe(lent, owned)
                self._replies, replies_child = _pipe(owned, lent)
                self._process = subprocess.Popen(
                    self._command(requests_child, replies_child),
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    pass_fds=(requests_child, replies_child),
                    start_new_session=True,
                    env=os.environ | _ENVIRONMENT,
                )
                owned.callback(self._kill)
            self._handle = psutil.Process(self._process.pid)
            os.set_blocking(self._requests, False)
            self._readable, self._writable = selectors.PollSelector(), selectors.PollSelector()
            self._readable.register(self._replies, selectors.EVENT_READ)
            self._writable.register(self._requests, selectors.EVENT_WRITE)
            self._owned = owned.pop_all()

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
        interruption.raise_pending()
        self.resume()
        self._stage, self._deadline = stage, time.monotonic() + self._timeout_s
        if self._unanswered:
            # Whoever made the last call gave up on it; its answer must not pass for this one's.
            self._receive()
        self._write(self._request(function, args))
        self._unanswered = True
        _BUSY.add(self)
        kind = protocol.result_type(function)

        def wait() -> R:
            body = self._receive()
            try:
                reply: protocol.Reply = protocol.decode(body, protocol.Reply)
                if reply.error is not None:
                    raise self._translate(reply.error)
                result: R = protocol.convert(reply.value, kind)
            except protocol.MalformedError as error:
                raise InternalError(
                    f"a worker's reply to {function.__qualname__} is malformed: {error}",
                    code="internal-error",
                    model=self.model,
                    stage=self._stage,
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
        self._owned.close()

    # ------------------------------------------------------------------------------ inside

    @staticmethod
    def _command(requests: int, replies: int) -> list[str]:
        # -P keeps the current folder off the module path: no file there stands in for a module.
        package_root = Path(__file__).parents[2]
        numbers = [str(requests), str(replies), str(os.getpid())]
        return [sys.executable, "-P", "-c", _START, str(package_root), *numbers]

    def _kill(self) -> None:
        _BUSY.discard(self)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _request(self, function: Callable[..., Any], args: Sequence[Any]) -> bytearray:
        request = protocol.Request(protocol.function_name(function), list(args))
        try:
            return protocol.encode(request)
        except UnicodeEncodeError as error:
            raise RequestError(
                f"{self.model!r} is, or leads to, a file whose name is not valid UTF-8",
                hint="rename the file",
                code="name-not-utf8",
                model=self.model,
                stage=self._stage,
            ) from error

    def _write(self, frame: bytearray) -> None:
        """Send a frame; a worker that died meanwhile is reported as such, not as a broken pipe."""
        view = memoryview(frame)
        while view:
            try:
                view = view[os.write(self._requests, view) :]
            except BlockingIOError:
                self._wait(self._writable)
            except BrokenPipeError:
                raise self._died() from None

    def _receive(self) -> bytearray:
        """The next reply, not yet decoded."""
        size = protocol.frame_length(self._read(protocol.PREFIX_BYTES))
        if size > self._memory_bytes:
            # It cannot have held that much: something else wrote to the pipe.
            self._kill()
            raise InternalError(
                f"a worker's reply is malformed: it claims {format_bytes(size)}",
                code="internal-error",
                model=self.model,
                stage=self._stage,
            )
        body = self._read(size)
        self._unanswered = False
        _BUSY.discard(self)
        return body

    def _read(self, size: int) -> bytearray:
        received = bytearray(size)
        view = memoryview(received)
        while view:
            self._wait(self._readable)
            count = os.readv(self._replies, [view])
            if not count:
                raise self._died()
            view = view[count:]
        return received

    def _wait(self, pipe: selectors.BaseSelector) -> None:
        """Wait until the pipe is ready, and kill a worker that takes too long or too much.

        Others may be at work meanwhile, and their memory is watched as well.
        """
        while not pipe.select(min(_POLL_S, max(0.0, self._deadline - time.monotonic()))):
            interruption.raise_pending()
            for worker in tuple(_BUSY):
                worker._limit_memory()
            if self._fault is not None:
                raise self._fault
            if time.monotonic() >= self._deadline:
                raise self._hung()
            # A process that it left behind may keep the pipe open; that one will not answer.
            if self._process.poll() is not None and not pipe.select(0):
                raise self._died()

    def _limit_memory(self) -> None:
        used = anonymous_memory(self._handle)
        if used > self._memory_bytes:
            self._kill()
            self._fault = self._error(
                f"used {format_bytes(used)} while {_doing(self._stage)}, above the limit of "
                f"{format_bytes(self._memory_bytes)}",
                "raise --memory-limit, or use a smaller --batch-size",
                "out-of-memory",
            )

    def _hung(self) -> MeasurementError:
        self._kill()
        return self._error(
            f"did not answer within {format_seconds(self._timeout_s)} while {_doing(self._stage)}",
            "raise --timeout if it is only slow",
            "timeout",
        )

    def _died(self) -> MeasurementError:
        """Why a worker ended, or closed its pipes, before it answered."""
        if self._fault is not None:
            return self._fault
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_POLL_S)
        status = self._process.returncode
        self._kill()
        hint = self._last_words() or "the fault is in the model or in what runs it"
        if status is None:
            cause = "closed its connection"
        elif status >= 0:
            cause = f"ended its process with exit status {status}"
        else:
            cause = f"crashed with {_signal_name(-status)}"
            if status == -signal.SIGKILL:
                hint = "the system kills what takes too much memory: use a smaller --batch-size"
        return self._error(f"{cause} while {_doing(self._stage)}", hint, "crashed")

    def _last_words(self) -> str:
        """The last line the worker wrote, printable characters only."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2000))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        text = "".join(character for character in (lines or [""])[-1] if character.isprintable())
        return f"its last words: {text[:300]}" if text else ""

    def _error(self, what: str, hint: str, code: str) -> MeasurementError:
        return MeasurementError(
            f"{self.model} {what}", hint=hint, code=code, model=self.model, stage=self._stage
        )

    def _translate(self, error: protocol.ReplyError) -> CompauditError:
        kinds: dict[str, type[CompauditError]] = {
            "request": RequestError,
            "measurement": MeasurementError,
        }
        message = error.message
        if error.kind in kinds and self.model not in message:
            message = f"{self.model}: {message}"
        return kinds.get(error.kind, InternalError)(
            message, hint=error.hint, code=error.code, model=self.model, stage=self._stage
        )


_STAGES = {
    "read": "being read",
    "load": "being loaded",
    "shapes": "having its sizes inferred",
    "memory": "running its first inference",
    "warm-up": "warming up",
    "latency": "being timed",
    "evaluate": "being evaluated",
}


def _doing(stage: str) -> str:
    return _STAGES.get(stage, stage)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A pipe's two ends, each closed with the stack it belongs to."""
    read, write = os.pipe()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write
