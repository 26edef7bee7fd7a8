"""What one sample costs: the figures of docs/scale.md, in seconds of one processor.

    python benchmarks/scale.py                 # the table of unit costs, and what follows
    python benchmarks/scale.py --efficiency 0.95 --start 6

Processor time, not wall time, so that a busy machine changes little. `benchmarks/evaluate.py
--only workers` measures how well the work spreads, which is `--efficiency` here.
"""

from __future__ import annotations

import argparse
import math
import pickle
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from compaudit.data.base import DataRequest
from compaudit.data.open import open_data
from compaudit.engines.base import Batch
from compaudit.measure.meaning import Meaning
from compaudit.measure.recipe import Question
from compaudit.measure.tally import EvaluationTally
from compaudit.workers import protocol
from compaudit.workers.shared import Places, Room, make_places

ROOT = Path(__file__).resolve().parents[1]
RESNET = ROOT / ".venv/corpus/light/light_resnet50.onnx"
LEAST_S = 1.0


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--efficiency", type=float, default=0.95, help="of a second Ray worker")
    parser.add_argument("--start", type=float, default=6.0, help="seconds until Ray workers run")
    parser.add_argument("--resnet", type=Path, default=RESNET, help="an ONNX model of images")
    options = parser.parse_args()
    costs = {
        "read an image: a JPEG of 500 × 375, `--preprocess imagenet`": _image_s(),
        "compare a row of 1,000 classes": _row_s("classification", 256, 1, 1_000),
        "compare a row of 32,000 tokens": _row_s("causal-lm", 1, 128, 32_000),
        "compare a row of 128,000 tokens": _row_s("causal-lm", 1, 32, 128_000),
        "carry a row of 1,000 classes from a model's process": _carry_s(64, 1_000),
        "carry a row of 32,000 tokens from a model's process": _carry_s(128, 32_000),
        "carry a row of 128,000 tokens from a model's process": _carry_s(32, 128_000),
    }
    if options.resnet.exists():
        costs["run ResNet-50 (4.1 GMAC) on an image, one thread"] = _inference_s(options.resnet)
    print("| unit | processor time |\n| --- | --- |")
    for name, seconds in costs.items():
        print(f"| {name} | {_scaled(seconds)} |")
    size, merge_s = _merging()
    print(f"| merge a shard's tally of 1,000 classes ({size / 1e3:.0f} kB) | {_scaled(merge_s)} |")
    print()
    _print_audits(list(costs.values()), options.efficiency, options.start)


def _print_audits(costs: list[float], efficiency: float, start_s: float) -> None:
    image, row, token, _, carry, carry_token, _, *models = costs
    model = models[0] if models else 0.1
    print("| audit | processor time | 2 cores | 64 cores | 1,024 cores |\n" + "| --- " * 5 + "|")
    # Each model's process reads the images for itself.
    per_image = 2 * image + model + model / 2 + row + 2 * carry
    per_token = token + 2 * carry_token
    audits = {
        "50,000 images, ResNet-50 and one twice as fast": 50_000 * per_image,
        "1.28 M images, likewise": 1_281_167 * per_image,
        "10⁹ tokens of 32,000, comparing alone": 1e9 * per_token,
    }
    for name, seconds in audits.items():
        cells = [start_s + seconds / (cores * efficiency) for cores in (2, 64, 1024)]
        print(f"| {name} | {seconds / 3600:,.1f} h | " + " | ".join(map(_duration, cells)) + " |")


def _per_call_s(call: Callable[[], object]) -> float:
    """Processor seconds of a call: the least of many, for neighbours share caches and memory."""
    call()
    least, until = math.inf, time.process_time() + LEAST_S
    while (began := time.process_time()) < until:
        call()
        least = min(least, time.process_time() - began)
    return least


def _image_s() -> float:
    from PIL import Image

    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "class")
        folder.mkdir()
        for place in range(64):
            # Coarse shapes with some grain: about 100 kB, as photographs of this size are.
            coarse = random.integers(0, 256, (16, 12, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
            grain = random.normal(scale=12, size=(375, 500, 3))
            pixels = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{place}.jpg", quality=90)
        data = open_data(DataRequest(uri=temporary, preprocess="imagenet"))
        return _per_call_s(lambda: data.batch(0, 64)) / 64


def _batch(task: str, samples: int, length: int, classes: int) -> Batch:
    random = np.random.default_rng(0)
    shape = (samples, length, classes) if task == "causal-lm" else (samples, classes)
    one = random.normal(scale=3, size=shape).astype(np.float32)
    other = one + random.normal(scale=0.1, size=shape).astype(np.float32)
    labels = random.integers(0, classes, shape[:-1])
    return Batch(np.arange(samples), labels, {"logits": one}, {"logits": other})


def _tally(task: Any, batch: Batch) -> EvaluationTally:
    meaning = Meaning(Question(task=task, graded=task == "classification", worst=10))
    meaning.update(batch)
    return EvaluationTally(meaning.recipe())


def _row_s(task: str, samples: int, length: int, classes: int) -> float:
    batch = _batch(task, samples, length, classes)
    tally = _tally(task, batch)
    return _per_call_s(lambda: tally.update(batch)) / (samples * length)


def _carry_s(rows: int, classes: int) -> float:
    """Leaving them in shared memory, and finding them there."""
    outputs = {"logits": np.zeros((rows, classes), np.float32)}
    with ExitStack() as owned:
        descriptors = make_places(owned)
        room, places = Room(descriptors[0]), Places(descriptors, 2**40)

        def carry() -> None:
            room.clear()
            frame = protocol.encode(outputs, room)
            body = bytes(frame[protocol.PREFIX_BYTES :])
            float(protocol.decode(body, dict, lambda: places.map(0))["logits"].max())

        return _per_call_s(carry) / rows


def _inference_s(path: Path) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    (given,) = session.get_inputs()
    image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    return _per_call_s(lambda: session.run(None, {given.name: image}))


def _merging() -> tuple[int, float]:
    """The bytes of a pickled tally after 100,000 samples, and the time to merge it."""
    batch = _batch("classification", 1_000, 1, 1_000)
    tally = _tally("classification", batch)
    for _ in range(100):
        tally.update(batch)
    pickled = pickle.dumps(tally)
    total = pickle.loads(pickled)
    return len(pickled), _per_call_s(lambda: total.merge(pickle.loads(pickled)))


def _scaled(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


if __name__ == "__main__":
    main()
