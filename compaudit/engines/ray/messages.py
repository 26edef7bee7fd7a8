"""What an audit and the process with Ray's driver say to one another."""

from __future__ import annotations

from typing import Self

import msgspec

from compaudit.engines.base import Pass
from compaudit.errors import CompauditError, InternalError, MeasurementError, RequestError
from compaudit.models.base import RunSettings, Source
from compaudit.workers.limits import Limits

__all__ = ["WHERE_IT_IS", "Connection", "Failure", "Job", "Member", "Status"]

WHERE_IT_IS = (
    "give the address that `ray start --head` printed, HOST:6379 mostly; `ray status` tells "
    "whether the cluster runs"
)

_KINDS: dict[str, type[CompauditError]] = {
    "request": RequestError,
    "measurement": MeasurementError,
    "bug": InternalError,
}


class Connection(msgspec.Struct, frozen=True):
    """Which cluster.

    Attributes:
        address: of one that runs; None to start one here.
        cpus: how many processors one that is started here says it has.
        folder: where that one keeps its files; somebody else removes it.
    """

    address: str | None
    cpus: int = 1
    folder: str = ""


class Member(msgspec.Struct, frozen=True):
    """A model of the pair, and the files it consists of."""

    source: Source
    settings: RunSettings
    files: tuple[str, ...] = ()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A pass, and all that it takes to run it elsewhere.

    Attributes:
        models: the original and the compressed model.
        make: makes an empty tally, pickled.
        workers: how many Ray workers are wanted; None for all there is room for.
        pair_bytes: the memory of both models together; 0 where nobody needs to care.
        limits: of each model's process.
        folder: where the user stands, which relative names are relative to.
        runtimes: the packages that run the models.
        own_code: modules of the user's take part, which are found from `folder`.
        gpu: every Ray worker takes one.
        same_machine: the cluster was started here, so everything is where it is.
    """

    evaluation: Pass
    models: tuple[Member, Member]
    make: bytes
    workers: int | None
    pair_bytes: int
    limits: Limits
    folder: str
    runtimes: tuple[str, ...]
    own_code: bool
    gpu: bool
    same_machine: bool

    @property
    def cpus(self) -> int:
        """Processors of one Ray worker: its models take turns, so the threads of one of them."""
        return max(model.settings.threads for model in self.models)


class Failure(msgspec.Struct, frozen=True):
    """An error on its way; everything of it arrives, the model that it is about too."""

    kind: str
    message: str
    hint: str
    code: str
    model: str | None = None
    stage: str | None = None

    @classmethod
    def of(cls, error: CompauditError, where: str = "") -> Self:
        """This error; of a node, if one is named."""
        kind = next((kind for kind, type_ in _KINDS.items() if isinstance(error, type_)), "bug")
        message = error.message
        if where and kind != "bug":
            message = f"{message} (on the node {where})"
        return cls(kind, message, error.hint, error.code, error.model, error.stage)

    def error(self) -> CompauditError:
        """The error again."""
        return _KINDS[self.kind](
            self.message, hint=self.hint, code=self.code, model=self.model, stage=self.stage
        )


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How far a pass is.

    Attributes:
        stage: what is going on; empty while samples are evaluated.
        done: samples that tallies have taken in.
        notes: what the user should read, each only once.
        failure: why there will be no result.
        tally: that of all samples, pickled, once they are done.
        broken: the samples that could not be read, by index, and why; once they are done.
    """

    stage: str = ""
    done: int = 0
    notes: tuple[str, ...] = ()
    failure: Failure | None = None
    tally: bytes | None = None
    broken: dict[int, str] = {}
