"""From ``--data`` to samples. A new kind of data is one new file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compaudit.data.base import DataRequest, Dataset
from compaudit.data.npy import NpyDataset, is_npy
from compaudit.data.npz import NpzDataset, is_npz
from compaudit.data.synthetic import SyntheticDataset
from compaudit.errors import RequestError

__all__ = ["open_data"]

_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[DataRequest], Dataset]], ...] = (
    (is_npz, NpzDataset),
    (is_npy, NpyDataset),
)


def open_data(request: DataRequest) -> Dataset:
    """The samples that were asked for.

    Raises:
        RequestError: the file is missing, of an unknown kind, or broken.
    """
    if request.uri is None:
        return SyntheticDataset(request)
    path = Path(request.uri)
    try:
        path.stat()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        why = "does not exist" if missing else f"cannot be opened: {error}"
        raise RequestError(
            f"the data file {request.uri} {why}",
            hint="check --data",
            code="missing-data",
            stage="data",
        ) from error
    if path.is_file():
        for recognises, dataset in _KINDS:
            if recognises(path):
                return dataset(request)
    raise RequestError(
        f"{request.uri} is not data compaudit can read",
        hint="save the inputs under their names with numpy.savez, and labels as 'labels'",
        code="unknown-data",
        stage="data",
    )
