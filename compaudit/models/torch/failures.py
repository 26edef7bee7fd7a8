"""What PyTorch raises, as errors of ours.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import re

import torch

from compaudit.errors import CompauditError, MeasurementError, RequestError
from compaudit.models.base import Source
from compaudit.models.torch.compilation import compile_failure
from compaudit.models.torch.runtime import first_line

__all__ = ["failure"]

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_GUARDS = ("Guard failed", "Expected input at")
_NOT_IN_TABLE = "index out of range in self"
# What layers say to an input of another size, rank or kind of number than theirs.
_MISFIT = re.compile(
    r"shapes cannot be multiplied|expected input\[|expected input with shape|input to conv"
    r"|expected \S+D input|should contain \d+ elements|must be equal to input_size"
    r"|must match the size of tensor|is invalid for input of size"
    rf"|{_NOT_IN_TABLE}|one of the following scalar types"
)


def failure(source: Source, error: Exception, stage: str) -> CompauditError:
    """The error for what loading or running a module raised."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        sign in text for sign in _NO_MEMORY
    ):
        return MeasurementError(
            f"{source.spec} ran out of memory: {first_line(error)}",
            hint="use a smaller --batch-size or another --device",
            code="out-of-memory",
            model=source.spec,
            stage=stage,
        )
    if isinstance(error, AssertionError | RuntimeError) and any(
        text.startswith(sign) or f" {sign}" in text[:200] for sign in _GUARDS
    ):
        return RequestError(
            f"the inputs do not fit {source.spec}: {text.partition(chr(10))[0][:300]}",
            hint="it was exported for other sizes: give --input-shape, or export it again",
            code="inputs-do-not-fit",
            model=source.spec,
            stage=stage,
        )
    if isinstance(error, RuntimeError | ValueError | IndexError) and _MISFIT.search(text[:300]):
        return RequestError(
            f"the inputs do not fit {source.spec}: {first_line(error)}",
            hint="a number that it is fed, such as a token id, is beyond a table of the model: "
            "check --data against its vocabulary"
            if _NOT_IN_TABLE in text
            else "say which it takes, as in --input-shape NAME=1x3x224x224, or give data of its "
            "own with --data",
            code="inputs-do-not-fit",
            model=source.spec,
            stage=stage,
        )
    return compile_failure(source, error, stage) or MeasurementError(
        f"{source.spec} failed: {first_line(error)}",
        hint="run it on the same inputs in Python to see the traceback",
        code="model-failed",
        model=source.spec,
        stage=stage,
    )
