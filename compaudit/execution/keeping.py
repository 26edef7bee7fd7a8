"""Outputs that need not be computed twice: kept from one audit to the next, by what they are of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from compaudit import machine
from compaudit.cache import Addition, Cache, CacheError, default_folder
from compaudit.engines.base import Pass
from compaudit.engines.records import TOO_LARGE, BrokenRecordsError, Reader, Writer
from compaudit.engines.sources import Which
from compaudit.execution.crew import Subject
from compaudit.models import open as models
from compaudit.progress import Progress
from compaudit.version import __version__

__all__ = ["Keeper", "outputs_key"]

_PRIVATE = "private"
"""How the names begin of what is kept for one run alone; no name of the user's cache does."""


def outputs_key(
    subject: Subject, evaluation: Pass, which: Which, digest: Callable[[], str]
) -> str | None:
    """A name for what a model gives for the samples of a pass, or of another part of the data.

    It is None where nothing vouches for that being the same in another audit. Whatever can change
    an output is in it: the model's files, the data and how it is fed, how many samples run at once
    (some models scale their numbers by batch), every setting, the software and the processor. The
    user's own code is in no file that was hashed, and a GPU is not told apart from others: what
    they take part in is not kept.

    Args:
        subject: the model, which has been read and loaded.
        evaluation: the pass.
        which: the side of the pass that the model is.
        digest: gives that of the data.
    """
    side = subject.side
    ledger, loaded = side.ledger, side.loaded
    if ledger is None or ledger.sha256 is None or loaded is None or loaded.on_gpu:
        return None
    if models.imports_user_modules(side.source) or evaluation.metrics:
        return None
    return _hash_of(subject, evaluation, which, digest)


def _hash_of(subject: Subject, evaluation: Pass, which: Which, digest: Callable[[], str]) -> str:
    """Of everything that a program can know of what decides an output."""
    side, settings = subject.side, subject.settings
    ledger, loaded = side.ledger, side.loaded
    assert loaded is not None, "it has been loaded"
    here = machine.describe()
    facts = (
        __version__,
        side.source.format,
        side.source.spec if ledger is None or ledger.sha256 is None else ledger.sha256,
        settings,
        [_file_hash(path) for path in settings.custom_op_libraries],
        digest(),
        msgspec.structs.replace(evaluation.data, uri=None, spool=None),
        evaluation.batch_sizes,
        [feed.batch for feed in (*evaluation.original, *evaluation.compressed)],
        getattr(evaluation, which),
        loaded.providers,
        loaded.settings if settings == side.settings else {},
        here.cpu,
        here.instruction_sets,
        here.packages,
    )
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()


def _file_hash(path: str) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Keeper:
    """Finds and keeps outputs; what goes wrong with that is a note, and costs time, not the audit.

    Args:
        cache: where; None to keep nothing.
        progress: gets the notes.
        private: where to keep, for this run alone, what may not be kept there.
    """

    def __init__(
        self, cache: Cache | None, progress: Progress, private: Cache | None = None
    ) -> None:
        self._cache = cache
        self._private = private
        self._scored: dict[str, set[str]] = {}
        """The user's own figures in what is kept for this run alone: other passes have none."""
        self._progress = progress
        self._damaged: set[str] = set()

    @classmethod
    def of_user(cls, wanted: bool, progress: Progress, private: Path | None = None) -> Keeper:
        """What the user's earlier audits have kept; nothing with ``--no-cache``.

        Args:
            wanted: whether to use and to keep any.
            progress: gets the notes.
            private: a folder that is gone with this run, for what is not kept longer.
        """
        kept = Cache(default_folder()) if wanted else None
        return cls(kept, progress, None if private is None else Cache(private))

    def key(
        self, subject: Subject, evaluation: Pass, which: Which, digest: Callable[[], str]
    ) -> str | None:
        """A name for what a model gives, as `outputs_key`; of this run alone where that has none.

        None where nothing is kept.
        """
        if self._cache is not None:
            key = outputs_key(subject, evaluation, which, digest)
            if key is not None:
                return key
        if self._private is None or subject.side.loaded is None:
            return None
        return _PRIVATE + _hash_of(subject, evaluation, which, digest)

    def _cache_of(self, key: str | None) -> Cache | None:
        if key is None:
            return None
        return self._private if key.startswith(_PRIVATE) else self._cache

    def find(self, key: str | None, evaluation: Pass, model: str) -> Reader | None:
        """What a model gave in an earlier audit; None where it has to run.

        Args:
            key: of `outputs_key`.
            evaluation: the pass, all of which must be there.
            model: its name, for the notes.
        """
        cache = self._cache_of(key)
        if cache is None or key is None:
            return None
        entry = cache.find(key)
        if entry is None or not {*evaluation.metrics} <= self._scored.get(key, set()):
            return None
        try:
            reader = Reader(entry)
            if reader.covers(evaluation.start, evaluation.stop):
                return reader
        except BrokenRecordsError as error:
            # It is gone where another audit has just made room. A model has two entries, with and
            # without optimisations; damage to both is told once.
            if entry.exists() and model not in self._damaged:
                self._damaged.add(model)
                self._progress.note(
                    f"the kept outputs of {model} are damaged ({error}): it runs again"
                )
        cache.remove(key)
        return None

    @contextmanager
    def recording(self, key: str | None, evaluation: Pass, model: str) -> Iterator[Writer | None]:
        """Keep what is written in the block, unless it fails; None where nothing can be kept."""
        with ExitStack() as stack:
            cache = self._cache_of(key)
            addition = self._addition(cache, key, model, stack)
            if addition is None or cache is None:
                yield None
                return
            samples = evaluation.stop - evaluation.start
            writer = Writer(addition.folder, samples, cache.entry_bytes)
            try:
                yield writer
            finally:
                writer.close()
            addition.whole = not writer.problem
            if addition.whole and evaluation.metrics:
                self._scored[key or ""] = {*evaluation.metrics}
            if writer.problem not in ("", TOO_LARGE):
                self._tell(model, writer.problem)

    def _addition(
        self, cache: Cache | None, key: str | None, model: str, stack: ExitStack
    ) -> Addition | None:
        if cache is None or key is None:
            return None
        try:
            return stack.enter_context(cache.adding(key))
        except CacheError as error:
            self._tell(model, str(error))
            return None

    def _tell(self, model: str, problem: str) -> None:
        self._progress.note(f"the outputs of {model} are not kept for the next audit: {problem}")
