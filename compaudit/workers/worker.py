"""The parent's side of a worker: start it, call it, suspend it, limit it, and see that it dies.

This contains faults: a crash, a hang or an out-of-memory in native code becomes one clear error. It
is not a sandbox.
"""

from __future__ import annotations

import math
import os
import selectors
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from compaudit import interruption
from compaudit.errors import CompauditError, InternalError, MeasurementError, RequestError
from compaudit.units import format_bytes, format_seconds
from compaudit.workers import protocol, spare
from compaudit.workers.limits import Limits, outgrown
from compaudit.workers.process import ModelProcess
from compaudit.workers.shared import Places
from compaudit.workers.wording import cause_of_death, doing, memory_hint
from compaudit.workers.workspace import Workspace

__all__ = ["Pending", "Worker"]

_POLL_S = 0.25

P = ParamSpec("P")
R = TypeVar("R")
Pending = Callable[[], R]
"""A call under way; calling it waits for the result."""

_BUSY: set[Worker] = set()
"""Workers that have not answered yet."""
_looked_at = -math.inf
"""When their memory was looked at."""


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
        self._unanswered = False
        self._fault: MeasurementError | None = None
        self._process = spare.take(limits.scratch) or ModelProcess(limits.scratch)
        self._places = Places(self._process.places, self._memory_bytes)
        self._readable, self._writable = selectors.PollSelector(), selectors.PollSelector()
        self._readable.register(self._process.replies, selectors.EVENT_READ)
        self._writable.register(self._process.requests, selectors.EVENT_WRITE)

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
        place = self._places.free()
        self._write(self._request(function, args, place))
        self._unanswered = True
        _BUSY.add(self)
        kind = protocol.result_type(function)
        shared = None if place is None else partial(self._places.map, place)

        def wait() -> R:
            body = self._receive()
            try:
                reply: protocol.Reply = protocol.decode(body, protocol.Reply, shared)
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
        self._process.suspend()

    def resume(self) -> None:
        """Let a suspended worker go on."""
        self._process.resume()

    def kill(self) -> None:
        """Kill the worker; whoever waits for it, in another thread, learns that it died."""
        _BUSY.discard(self)
        self._process.kill()

    def close(self) -> None:
        """Kill the worker with everything it started, and free what belongs to it."""
        _BUSY.discard(self)
        self._process.close()

    # ------------------------------------------------------------------------------ inside

    def _request(
        self, function: Callable[..., Any], args: Sequence[Any], place: int | None
    ) -> bytearray:
        request = protocol.Request(protocol.function_name(function), list(args), place)
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
                view = view[os.write(self._process.requests, view) :]
            except BlockingIOError:
                self._wait(self._writable)
            except BrokenPipeError:
                raise self._died() from None

    def _receive(self) -> bytearray:
        """The next reply, not yet decoded; all of it has to come before the deadline."""
        if self._readable.select(0):
            # It may have been waiting for us, who listened to another.
            self._deadline = max(self._deadline, time.monotonic() + self._timeout_s)
        size = protocol.frame_length(self._read(protocol.PREFIX_BYTES))
        if size > self._memory_bytes:
            # It cannot have held that much: something else wrote to the pipe.
            self.kill()
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
            count = os.readv(self._process.replies, [view])
            if not count:
                raise self._died()
            view = view[count:]
        return received

    def _wait(self, pipe: selectors.BaseSelector) -> None:
        """Wait until the pipe is ready, and kill a worker that takes too long or too much.

        Others may be at work meanwhile, and their memory is watched as well.
        """
        while True:
            left_s = self._deadline - time.monotonic()
            ready = pipe.select(min(_POLL_S, max(0.0, left_s)))
            interruption.raise_pending()
            _limit_memory()
            if self._fault is not None:
                raise self._fault
            if ready and left_s > 0:
                return
            if left_s <= 0:
                raise self._hung()
            # A process that it left behind may keep the pipe open; that one will not answer.
            if self._process.status is not None and not pipe.select(0):
                raise self._died()

    def limit_memory(self) -> None:
        """Kill the worker where it holds more than it may; whoever waits for it learns why."""
        used = outgrown(self._process.handle, self._memory_bytes)
        if used is not None:
            self.kill()
            self._fault = self._error(
                f"used {format_bytes(used)} while {doing(self._stage)}, above the limit of "
                f"{format_bytes(self._memory_bytes)}",
                memory_hint(self._stage),
                "out-of-memory",
            )

    def _hung(self) -> MeasurementError:
        self.kill()
        return self._error(
            f"did not answer within {format_seconds(self._timeout_s)} while {doing(self._stage)}",
            "raise --timeout if it is only slow",
            "timeout",
        )

    def _died(self) -> MeasurementError:
        """Why a worker ended, or closed its pipes, before it answered."""
        if self._fault is not None:
            return self._fault
        status = self._process.wait(_POLL_S)
        self.kill()
        cause, hint = cause_of_death(status, self._process.last_words())
        return self._error(f"{cause} while {doing(self._stage)}", hint, "crashed")

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
        if error.kind == "measurement":
            message = f"{message} (while {doing(self._stage)})"
        return kinds.get(error.kind, InternalError)(
            message, hint=error.hint, code=error.code, model=self.model, stage=self._stage
        )


def _limit_memory() -> None:
    """Look at the memory of every worker that is at work, so often and no more."""
    global _looked_at
    now = time.monotonic()
    if now - _looked_at >= _POLL_S:
        _looked_at = now
        for worker in tuple(_BUSY):
            worker.limit_memory()
