import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

# pytest's importlib mode puts no test folder on the path; what tests share is beside this file.
sys.path.append(str(Path(__file__).parent))

SAMPLES = Path(__file__).parents[3] / "sample_models"


@pytest.fixture(scope="session")
def digits() -> dict[str, NDArray[Any]]:
    """What ONNX Runtime itself gives for the sample models, and the labels."""
    import onnxruntime

    with np.load(SAMPLES / "digits_test.npz") as data:
        images, labels = data["image"][:250], data["labels"][:250]
    given = {"labels": labels}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for name in ("digits", "digits_int8", "digits_broken"):
        session = onnxruntime.InferenceSession(str(SAMPLES / f"{name}.onnx"), options)
        (given[name],) = session.run(None, {"image": images})
    return given


@pytest.fixture
def logits() -> Callable[..., tuple[NDArray[Any], NDArray[Any]]]:
    """Logits of an original, and of a model much like it."""

    def make(samples: int, classes: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
        random = np.random.default_rng(seed)
        original = random.normal(0, 2, (samples, classes)).astype(np.float32)
        return original, original + random.normal(0, 0.5, original.shape).astype(np.float32)

    return make
