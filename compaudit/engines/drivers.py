"""Several pairs of models at once: a thread drives each, and the first failure stops them all."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from compaudit import interruption
from compaudit.engines.shard import ShardRunner

__all__ = ["drive"]

_POLL_S = 0.05
_END_S = 2.0
"""How long a thread may take to notice that its workers are gone."""

R = TypeVar("R")


def drive(
    pairs: Sequence[ShardRunner],
    prepare: Callable[[ShardRunner], None],
    work: Callable[[ShardRunner, int], R],
    count: int,
) -> list[R]:
    """Do `count` pieces of work, each on the pair that is free next.

    Args:
        pairs: what there is to work on.
        prepare: gets a pair ready; not called for the first, which is.
        work: does the piece of this number on a pair.
        count: of the pieces.

    Returns:
        The results, in the order of the pieces.

    Raises:
        Whatever failed first; nothing is under way any more then.
    """
    if len(pairs) == 1:
        return [work(pairs[0], number) for number in range(count)]
    return _Drivers(prepare, work, count).run(pairs)


class _Drivers(Generic[R]):
    """Threads, the pieces that they have not begun, and the first failure."""

    def __init__(
        self,
        prepare: Callable[[ShardRunner], None],
        work: Callable[[ShardRunner, int], R],
        count: int,
    ) -> None:
        self._prepare = prepare
        self._work = work
        self._count = count
        # Taking the next of a counter is one step for all threads.
        self._next = itertools.count()
        self._results: dict[int, R] = {}
        self._failures: list[BaseException] = []

    def run(self, pairs: Sequence[ShardRunner]) -> list[R]:
        # Daemons: one that hangs in a tally does not keep the program from ending.
        threads = [
            threading.Thread(target=self._drive, args=(pair, place == 0), daemon=True)
            for place, pair in enumerate(pairs)
        ]
        try:
            for thread in threads:
                thread.start()
            while (busy := [thread for thread in threads if thread.is_alive()]) and (
                not self._failures
            ):
                busy[0].join(_POLL_S)
                interruption.raise_pending()
        finally:
            if len(self._results) < self._count:
                self._stop(pairs, threads)
        if self._failures:
            raise self._failures[0]
        return [self._results[number] for number in range(self._count)]

    def _drive(self, pair: ShardRunner, prepared: bool) -> None:
        try:
            if not prepared:
                self._prepare(pair)
            while not self._failures and (number := next(self._next)) < self._count:
                self._results[number] = self._work(pair, number)
        except BaseException as error:
            self._failures.append(error)

    def _stop(self, pairs: Sequence[ShardRunner], threads: Sequence[threading.Thread]) -> None:
        """Kill the workers, on whose answers the threads wait, and see the threads end."""
        self._next = itertools.count(self._count)
        for pair in pairs:
            pair.kill()
        for thread in threads:
            if thread.ident is not None:
                thread.join(_END_S)
