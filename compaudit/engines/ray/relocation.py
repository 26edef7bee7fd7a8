"""What a pass reads, as parcels; and the same pass where those lie elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from compaudit.data.base import DataRequest
from compaudit.engines.ray.messages import Job, Member
from compaudit.engines.ray.parcels import Parcel, pack, pack_folder, python_files
from compaudit.models.base import Source

__all__ = ["Places", "parcels_of", "relocated"]

Places = dict[str, str]
"""Where what the user named is on a node, by purpose; what is not in it is where it was."""

_SIDES = ("original", "compressed")


def parcels_of(job: Job, *, hashed: bool) -> tuple[Parcel, ...]:
    """All files that a pass reads.

    Args:
        job: the pass, as it is run on this machine.
        hashed: whether a node may not share this machine's files.

    Raises:
        RequestError: a file cannot be read.
    """
    return tuple(_parcels(job, hashed))


def relocated(job: Job, places: Places) -> Job:
    """The pass with what it reads at these places."""
    original, compressed = (
        _moved(model, side, places) for side, model in zip(_SIDES, job.models, strict=True)
    )
    evaluation = msgspec.structs.replace(
        job.evaluation, data=_moved_data(job.evaluation.data, places)
    )
    return msgspec.structs.replace(
        job,
        models=(original, compressed),
        evaluation=evaluation,
        folder=places.get("code", job.folder),
    )


def _parcels(job: Job, hashed: bool) -> Iterator[Parcel]:
    for side, model in zip(_SIDES, job.models, strict=True):
        named = _file_of(model.source)
        if named is not None:
            yield pack(side, named, model.files or (named,), hashed=hashed)
        for place, library in enumerate(model.settings.custom_op_libraries):
            yield pack(f"{side} operators {place}", library, [library], hashed=hashed)
    data = job.evaluation.data
    for purpose, path in (("samples", data.spool), ("data", data.uri if not data.spool else None)):
        if path is not None:
            yield pack_folder(purpose, path, hashed=hashed)
    if data.preprocess is not None and Path(data.preprocess).is_file():
        yield pack("preprocess", data.preprocess, [data.preprocess], hashed=hashed)
    if job.own_code and (modules := python_files(job.folder)):
        yield pack("code", job.folder, modules, hashed=hashed)


def _file_of(source: Source) -> str | None:
    """The file that a model is loaded from; None for a factory without weights."""
    return source.path if source.path is not None else source.weights


def _moved(model: Member, side: str, places: Places) -> Member:
    source, settings = model.source, model.settings
    name = "path" if source.path is not None else "weights"
    if side in places:
        source = msgspec.structs.replace(source, **{name: places[side]})
    libraries = tuple(
        places.get(f"{side} operators {place}", library)
        for place, library in enumerate(settings.custom_op_libraries)
    )
    settings = msgspec.structs.replace(settings, custom_op_libraries=libraries)
    return msgspec.structs.replace(model, source=source, settings=settings)


def _moved_data(data: DataRequest, places: Places) -> DataRequest:
    return msgspec.structs.replace(
        data,
        uri=places.get("data", data.uri),
        spool=places.get("samples", data.spool),
        preprocess=places.get("preprocess", data.preprocess),
    )
