"""``--data package.module:function``: what the user's function yields becomes a spool.

The function is called once, in a process of its own, so that both models get the same samples from
a loader that shuffles.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from compaudit.data.batches import arrays_of
from compaudit.data.function import find_function, where_and_what
from compaudit.data.spool import BatchError, SpoolWriter, samples_in
from compaudit.errors import RequestError

__all__ = ["spool_batches"]


def spool_batches(workspace: object, function: str, folder: str, limit: int | None) -> int:
    """Call the user's function and write what it yields. Runs in a worker.

    Args:
        workspace: not used; a worker hands it to whatever it calls.
        function: ``package.module:function``.
        folder: where to write; it is made.
        limit: stop after so many samples, and close the generator.

    Returns:
        How many samples were written.

    Raises:
        RequestError: the function or a batch is not what it should be, the function raises, it
            yields nothing, or there is no room.
    """
    batches = _called(function)
    path = Path(folder)
    try:
        with contextlib.closing(_Closing(batches)), SpoolWriter(path) as writer:
            for number in count(1):
                try:
                    batch = next(batches)
                except StopIteration:
                    break
                except Exception as error:
                    raise _raised(function, error, number, writer.samples) from error
                _take(writer, batch, function, number, limit)
                if limit is not None and writer.samples >= limit:
                    break
    except OSError as error:
        raise _refused(
            f"the samples of {function} cannot be kept in a temporary file after "
            f"{samples_in(path):,} of them: {error.strerror or error}",
            "data-not-kept",
            "point TMPDIR to a larger disk, or take fewer with --limit",
        ) from error
    if writer.samples == 0:
        raise _refused(f"{function} yields no samples", "no-samples", "an audit needs at least one")
    return writer.samples


class _Closing:
    """Closes an iterator that can be closed, as a generator can."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches

    def close(self) -> None:
        # What it raises while it is told to stop concerns no sample.
        with contextlib.suppress(Exception):
            getattr(self._batches, "close", lambda: None)()


def _called(function: str) -> Iterator[Any]:
    """What the function returned, ready to be asked for batches."""
    make = find_function(function)
    try:
        made = make()
    except Exception as error:
        place, what = where_and_what(error)
        raise _refused(
            f"{function} raised {what}",
            "function-failed",
            f"it is called without arguments; look at {place}",
        ) from error
    # Iterating over these would give keys, characters, samples, or inputs and then labels.
    if isinstance(made, Mapping | tuple | str | bytes) or hasattr(made, "__array__"):
        splits = isinstance(made, Mapping) and all(hasattr(one, "iter") for one in made.values())
        raise _refused(
            f"{function} returned a {type(made).__name__}, not batches",
            "not-batches",
            f"return the batches of one split: [{next(iter(made))!r}].iter(batch_size=64)"
            if splits and made
            else "return a list of batches or a loader, or yield them one by one",
        )
    try:
        return iter(made)
    except Exception as error:
        name = "nothing" if made is None else f"a {type(made).__name__}"
        raise _refused(
            f"{function} returned {name}, which holds no batches",
            "not-batches",
            "return a list of batches or a loader, or yield them one by one",
        ) from error


def _take(
    writer: SpoolWriter, batch: object, function: str, number: int, limit: int | None
) -> None:
    try:
        arrays = arrays_of(batch)
        size = len(next(iter(arrays.values())))
        if limit is not None:
            size = min(size, limit - writer.samples)
            arrays = {name: values[:size] for name, values in arrays.items()}
        if size > 0:
            writer.append(arrays)
    except BatchError as error:
        raise _refused(
            f"batch {number} of {function} {error} ({writer.samples:,} samples were read before)",
            "bad-batch",
            error.hint,
        ) from error


def _raised(function: str, error: Exception, number: int, samples: int) -> RequestError:
    place, what = where_and_what(error)
    return _refused(
        f"{function} raised {what} in batch {number}, after {samples:,} samples",
        "function-failed",
        f"look at {place}",
    )


def _refused(message: str, code: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code=code, stage="data")
