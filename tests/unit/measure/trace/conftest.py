"""Pairs of models, ready to be traced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from compaudit.data.base import DataRequest, Feed
from compaudit.measure.ledger import take
from compaudit.measure.trace.comparison import Subject, Traced, trace_models
from compaudit.models import open as models
from compaudit.models.base import RunSettings
from compaudit.results.quality import TracedOutput
from compaudit.workers.limits import Limits

SAMPLES = Path(__file__).parents[4] / "sample_models"


class Kit:
    """What most tests here need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = DataRequest(uri=str(SAMPLES / "digits_test.npz"))
        self.inputs = ("image",)

    def feed(self, **arrays: np.ndarray) -> None:
        """Samples of other inputs than digits."""
        path = self.folder / "data.npz"
        np.savez(path, **arrays)
        self.data = DataRequest(uri=str(path))
        self.inputs = tuple(arrays)

    def write(self, name: str, model: onnx.ModelProto) -> Path:
        path = self.folder / name
        onnx.save(model, path)
        return path

    def subject(self, spec: Path | str, batch: int | None = None, trust: bool = False) -> Subject:
        source = models.recognise(str(spec))
        model = models.read(source, trust_model_code=trust)
        feeds = tuple(Feed(name, name, "float32", batch) for name in self.inputs)
        settings = RunSettings(trust_model_code=trust)
        held = None if models.executes_on_read(source) else model
        return Subject(source, settings, feeds, held, take(model).tensors)

    def trace(self, original: Path | str, compressed: Path | str, **kwargs: bool) -> Traced:
        return trace_models(
            self.subject(original, **kwargs),
            self.subject(compressed, **kwargs),
            self.data,
            Limits(),
        )

    def rows(self, original: Path | str, compressed: Path | str) -> dict[str, TracedOutput]:
        return {row.name: row for row in self.trace(original, compressed).outputs}


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


@pytest.fixture
def sample() -> Callable[[str], Path]:
    return lambda name: SAMPLES / f"{name}.onnx"
