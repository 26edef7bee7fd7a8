"""compaudit's counting against ``numpy.count_nonzero`` over the same bytes, in one process.

A child of `ledger`: ``python engine.py MODEL REPETITIONS`` prints one line of JSON. Both sides map
the file anew in every repetition, so both pay for the pages; the files are in the page cache, which
one untimed round sees to. The content hash is timed apart.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from compaudit.measure import ledger
from compaudit.measure.contents import contents_of
from compaudit.models import open as models
from compaudit.models.base import Model

__all__ = ["main"]


def main(model: str, repetitions: str) -> None:
    """Print the seconds of every repetition: numpy, nonzeros, with entropy, hash."""
    source = models.recognise(model)
    read = models.read(source, trust_model_code=False)
    files = read.files
    contestants: dict[str, Callable[[], object]] = {
        "numpy": lambda: sum(map(_numpy, files)),
        "nonzeros": lambda: contents_of(
            models.read(source, trust_model_code=False).tensors, entropy=False
        ),
        "entropy": lambda: _take(models.read(source, trust_model_code=False)),
        "hash": lambda: ledger.content_hash(files),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(int(repetitions) + 1):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            if round_:
                seconds[name].append(time.perf_counter() - began)
    print(json.dumps({"bytes": sum(file.stat().st_size for file in files), **seconds}))


def _take(model: Model) -> object:
    """The whole ledger but the hash."""
    return ledger.take(dataclasses.replace(model, files=()))


def _numpy(file: Path) -> int:
    """Nonzero float32 words of a file of weights: all its bytes, cut to whole words."""
    return int(np.count_nonzero(np.memmap(file, np.float32, "r", 0, (file.stat().st_size // 4,))))


if __name__ == "__main__":
    main(*sys.argv[1:])
