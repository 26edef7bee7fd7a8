"""Whether PyTorch is here and recent enough. Nothing of it is imported before this is asked."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator

from compaudit.errors import RequestError
from compaudit.models.base import Source

__all__ = ["first_line", "quiet", "require_torch"]

_OLDEST = (2, 10)


def require_torch(source: Source) -> None:
    """Raise RequestError where PyTorch is missing or older than 2.10."""
    try:
        import torch
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "torch"
        problem = "is not installed" if missing else f"cannot be imported: {first_line(error)}"
        raise RequestError(
            f"{source.spec} is a PyTorch model and PyTorch {problem}",
            hint="pip install 'compaudit[torch]'",
            code="runtime-missing",
            model=source.spec,
            stage="open",
        ) from error
    version = re.match(r"(\d+)\.(\d+)", torch.__version__)
    if version is None or (int(version[1]), int(version[2])) < _OLDEST:
        raise RequestError(
            f"PyTorch {torch.__version__} is too old to read {source.spec} safely",
            hint="pip install 'torch>=2.10'",
            code="runtime-too-old",
            model=source.spec,
            stage="open",
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's warnings and log lines to itself: they are no part of a report."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def first_line(error: BaseException, limit: int = 300) -> str:
    """``Type: first line of the message``, short enough for one line of output."""
    text = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    return f"{name}: {text}"[:limit] if text else name
