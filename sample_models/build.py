"""Make every sample model again: ``python sample_models/build.py [--output DIR]``."""

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from compression import distil, factorise, prune, slim
from digits_data import Images, load_halves, save_images
from digits_net import DigitsNet, Widths, seeded_net
from exporting import export_external, export_onnx, export_program, export_safetensors
from quantization import (
    convert_fp16,
    fake_int8,
    quantize_dynamic_int8,
    quantize_int4,
    quantize_int8,
    wreck_int8,
)
from training import Recipe, fit

ORIGINAL_RECIPE = Recipe(epochs=8, peak_rate=4e-3)
# Fixed, because the order of a sum, and so its last bit, depends on the number of threads.
THREADS = 2
CHECK_BATCH = 64


def main() -> None:
    """Build into the folder of this file or the one given, and print what came out."""
    arguments = _parse_arguments()
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.INFO)  # onnxruntime's quantisers log every node
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    train, test = load_halves()
    save_images(test, folder / "digits_test.npz")
    for path in build(folder, train):
        print(_summary(path, test), flush=True)


def build(folder: Path, train: Images) -> Iterator[Path]:
    """Write every model, and yield each ONNX file as soon as it is complete."""
    original = _train_original(train)
    digits = folder / "digits.onnx"
    export_onnx(original, digits)
    export_program(original, folder / "digits.pt2")
    export_safetensors(original, folder / "digits.safetensors")
    yield digits
    yield from _converted(digits, folder, train)
    yield from _trained(original, folder, train)


def _train_original(train: Images) -> DigitsNet:
    network = seeded_net(Widths())
    fit(network, train, ORIGINAL_RECIPE)
    return network


def _converted(digits: Path, folder: Path, train: Images) -> Iterator[Path]:
    int8 = folder / "digits_int8.onnx"
    quantize_int8(digits, int8, train)
    yield int8
    wreck_int8(int8, folder / "digits_broken.onnx")
    yield folder / "digits_broken.onnx"
    for name, convert in (
        ("digits_external.onnx", export_external),
        ("digits_dynamic_int8.onnx", quantize_dynamic_int8),
        ("digits_fp16.onnx", convert_fp16),
        ("digits_int4.onnx", quantize_int4),
        ("digits_fake_int8.onnx", fake_int8),
    ):
        convert(digits, folder / name)
        yield folder / name


def _trained(original: DigitsNet, folder: Path, train: Images) -> Iterator[Path]:
    for name, compress in (
        ("digits_pruned.onnx", prune),
        ("digits_slim.onnx", slim),
        ("digits_lowrank.onnx", factorise),
        ("digits_student.onnx", distil),
    ):
        export_onnx(compress(original, train), folder / name)
        yield folder / name


def _summary(path: Path, test: Images) -> str:
    """Check a model as ONNX, run it on the test half, and describe it in one line."""
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits = [
        session.run(["logits"], {"image": batch.numpy()})[0]
        for batch in torch.split(test.image, CHECK_BATCH)
    ]
    top1 = np.mean(np.concatenate(logits).argmax(1) == test.labels.numpy())
    # The star takes in external data.
    size_bytes = sum(part.stat().st_size for part in path.parent.glob(path.name + "*"))
    return f"{path.name:26} {size_bytes / 1000:7.1f} kB   top-1 {top1:.1%}"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="DIR")
    return parser.parse_args()


if __name__ == "__main__":
    start = time.monotonic()
    main()
    print(f"built in {time.monotonic() - start:.0f} s", file=sys.stderr)
