"""From ``--data`` to samples. A new kind of file is one line in `files`; of a folder, one here."""

from __future__ import annotations

from pathlib import Path

from compaudit.data.base import DataRequest, Dataset
from compaudit.data.files import kind_of, unknown_data, unreadable
from compaudit.data.images import ImageFolder, is_image_folder
from compaudit.data.shards import holds_data_files, open_folder
from compaudit.data.spool import SpoolDataset
from compaudit.data.synthetic import SyntheticDataset

__all__ = ["open_data"]


def open_data(request: DataRequest) -> Dataset:
    """The samples that were asked for.

    Raises:
        RequestError: the file or folder is missing, of an unknown kind, or broken.
    """
    if request.spool is not None:
        return SpoolDataset(request)
    if request.uri is None:
        return SyntheticDataset(request)
    path = Path(request.uri)
    try:
        path.stat()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if path.is_dir():
        # Data files that lie openly in the folder count for more than a picture somewhere below.
        if not holds_data_files(path) and is_image_folder(path):
            return ImageFolder(request)
        return open_folder(request)
    kind = kind_of(path) if path.is_file() else None
    if kind is None:
        raise unknown_data(path)
    return kind.open(request)
