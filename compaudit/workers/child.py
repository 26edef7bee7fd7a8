"""The process that holds a model: it waits for a request, calls the function, sends the result."""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Sequence

from compaudit.errors import CompauditError, InternalError, MeasurementError, RequestError
from compaudit.workers import protocol
from compaudit.workers.shared import Room
from compaudit.workers.workspace import Workspace

__all__ = ["main", "serve"]


def serve(requests: int, replies: int, places: Sequence[int] = ()) -> None:
    """Answer requests from one descriptor on the other until the first is closed.

    Args:
        requests: where they come from.
        replies: where the answers go.
        places: memory that is shared with whoever asks (`compaudit.workers.shared`).
    """
    for descriptor in (requests, replies, *places):
        # Programs that the model starts must not hold the pipes open after its death.
        os.set_inheritable(descriptor, False)
    workspace = Workspace()
    rooms = [Room(place) for place in places]
    with os.fdopen(requests, "rb") as stream:
        while prefix := stream.read(protocol.PREFIX_BYTES):
            body = stream.read(protocol.frame_length(prefix))
            try:
                request = protocol.decode(body, protocol.Request)
            except protocol.MalformedError:
                _send(replies, _bug())
                continue
            room = None if request.place is None else rooms[request.place]
            _send(replies, _answer(workspace, request), room)


def _answer(workspace: Workspace, request: protocol.Request) -> protocol.Reply:
    try:
        module, _, name = request.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        kinds = protocol.argument_types(function)
        arguments = [
            protocol.convert(value, kind)
            for value, kind in zip(request.arguments, kinds, strict=True)
        ]
        return protocol.Reply(function(workspace, *arguments), None)
    except RequestError as error:
        return _failed("request", error)
    except MeasurementError as error:
        return _failed("measurement", error)
    except MemoryError:
        return _failed(
            "measurement",
            MeasurementError(
                "it ran out of memory",
                hint="use a smaller --batch-size, or a machine with more memory",
                code="out-of-memory",
            ),
        )
    except Exception:
        return _bug()


def _bug() -> protocol.Reply:
    return _failed("bug", InternalError(traceback.format_exc(), code="internal-error"))


def _failed(kind: str, error: CompauditError) -> protocol.Reply:
    texts = (_sendable(text) for text in (error.message, error.hint, error.code))
    return protocol.Reply(None, protocol.ReplyError(kind, *texts))


def _sendable(text: str) -> str:
    """Messages may quote file names that are not Unicode."""
    return text.encode("utf-8", "backslashreplace").decode()


def _send(replies: int, reply: protocol.Reply, room: Room | None = None) -> None:
    if room is not None:
        room.clear()
    try:
        frame = protocol.encode(reply, room)
    except Exception:
        frame = protocol.encode(_bug())
    view = memoryview(frame)
    while view:
        view = view[os.write(replies, view) :]


def main(arguments: list[str], ahead: list[str]) -> None:
    """Entry point of the command that `Worker` starts; imports some modules ahead."""
    requests, replies, *places = (int(text) for text in arguments)
    for name in ahead:
        importlib.import_module(name)
    serve(requests, replies, places)
