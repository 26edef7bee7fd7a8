"""What unpickling would cost, found without doing it.

torch's restricted unpickler runs no foreign code, but what it allows can still end the process: 500
bytes of pickle that call ``bytearray(2**40)``, or a dict whose key is a tuple in a tuple a million
deep (hashing it overflows the stack). The opcodes are followed here with notes in place of values.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

__all__ = ["why_too_costly"]

_DEEPEST = 100
_PICKLES = 5  # as many as torch's old format begins with


class _Note(NamedTuple):
    """What is remembered of a value.

    Attributes:
        depth: tuples inside tuples.
        number: it is, or holds, a number or a tensor.
        allocates: it is, or holds, ``bytearray``, which makes as many bytes as a number says.
    """

    depth: int = 0
    number: bool = False
    allocates: bool = False


_Stack = list[_Note | None]
"""None is a mark."""

_NUMBERS = frozenset(
    ("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "PERSID", "BINPERSID")
)
_PUT = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GET = frozenset(("GET", "BINGET", "LONG_BINGET"))
_TUPLES = frozenset(("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"))
_CALLS = frozenset(("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"))


def why_too_costly(stream: IO[bytes]) -> str | None:
    """Why unpickling this would exhaust memory or stack; None where it would not.

    Args:
        stream: one pickle, or those that torch's old format begins with.
    """
    for _ in range(_PICKLES):
        try:
            found = next(_excesses(stream), None)
        except (ValueError, IndexError, KeyError, UnicodeError, OverflowError, MemoryError):
            return None  # broken: whoever loads it says how
        if found is not None:
            return found
    return None


def _excesses(stream: IO[bytes]) -> Iterator[str]:
    stack: _Stack = []
    memo: dict[int, _Note] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        place = argument if isinstance(argument, int) else 0
        if name == "MARK":
            stack.append(None)
        elif name in _PUT:
            memo[place] = _top(stack)
        elif name == "MEMOIZE":
            memo[len(memo)] = _top(stack)
        elif name in _GET:
            stack.append(memo.get(place, _Note()))
        elif name in _NUMBERS:
            if name == "BINPERSID":
                stack.pop()
            stack.append(_Note(number=True))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            del stack[len(stack) - len(opcode.stack_before) :]
            stack.append(_Note(allocates=not argument or str(argument).endswith("bytearray")))
        else:
            held = _joined(_popped(stack, opcode))
            if name in _TUPLES:
                held = held._replace(depth=held.depth + 1)
                if held.depth > _DEEPEST:
                    yield f"nests tuples more than {_DEEPEST} deep"
            elif name in _CALLS:
                if held.allocates and held.number:
                    yield "makes a bytearray of a number, which takes as much memory as it says"
                held = held._replace(allocates=False)
            stack.extend([held] * len(opcode.stack_after))


def _top(stack: _Stack) -> _Note:
    return (stack[-1] if stack else None) or _Note()


def _popped(stack: _Stack, opcode: pickletools.OpcodeInfo) -> list[_Note | None]:
    """Take what the opcode takes, down to the topmost mark where it takes one."""
    before = opcode.stack_before
    wanted = len(before)
    taken: list[_Note | None] = []
    if pickletools.markobject in before or (opcode.name == "POP" and stack and stack[-1] is None):
        while stack and stack[-1] is not None:
            taken.append(stack.pop())
        if stack:
            stack.pop()
        wanted = before.index(pickletools.markobject) if pickletools.markobject in before else 0
    for _ in range(min(wanted, len(stack))):
        taken.append(stack.pop())
    return taken


def _joined(notes: Iterable[_Note | None]) -> _Note:
    held = [note for note in notes if note is not None]
    return _Note(
        max((note.depth for note in held), default=0),
        any(note.number for note in held),
        any(note.allocates for note in held),
    )
