"""Which output is meant? What a user can say, where the outputs themselves do not."""

from __future__ import annotations

from compaudit.engines.base import Batch
from compaudit.measure.scores import looks_like_classes

__all__ = ["which_output"]


def which_output(batch: Batch, what: str, *, dimensions: int) -> str:
    """A hint that names the outputs that can be meant, or all with their shapes where none can.

    Args:
        batch: outputs under the pair's names.
        what: what the output should hold, such as ``class scores``.
        dimensions: of an output that holds that, the first for samples: 2 or 3.
    """
    possible = [
        name for name, output in batch.original.items() if looks_like_classes(output, dimensions)
    ]
    if possible:
        return f"say which holds {what} with --model-output: {', '.join(map(repr, possible))}"
    shapes = (f"{name!r} {output.dtype} {output.shape}" for name, output in batch.original.items())
    return f"the outputs are {', '.join(shapes)}; check --model-output"
