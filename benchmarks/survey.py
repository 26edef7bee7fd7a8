"""What compaudit says of networks that papers on compression report.

    python benchmarks/survey.py                    # both tables, about 20 minutes
    python benchmarks/survey.py --only coding      # or low-rank
    python benchmarks/survey.py --write            # and put them into docs/survey.md

*Coding*: the four networks of Deep Compression's Table 1, pruned and clustered layer by layer as
its Tables 2 to 5 say; LeNet-300-100 and LeNet-5 trained on scikit-learn's digits, AlexNet and
VGG-16 with random weights. *Low-rank*: AlexNet and VGG-16 of the survey's table with the ranks that
were published for them. It needs the development environment, 2 GB of disk and 6 GB of memory.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "sample_models"), str(ROOT / "tests" / "networks")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from deep_compression import (  # noqa: E402
    Layer,
    Shared,
    prune,
    published_layers,
    share,
    step_together,
    stored_bytes,
    weights_of,
)
from digits_data import Images, load_halves, save_images  # noqa: E402
from exporting import export_onnx  # noqa: E402
from low_rank import ALEXNET_RANKS, VGG_16_RANKS, factorise, random_weights  # noqa: E402
from published import NETWORKS  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from training import Recipe, fit, labels_loss  # noqa: E402

import compaudit  # noqa: E402
from compaudit import machine, units  # noqa: E402
from compaudit.results import Comparison  # noqa: E402

PAGE = ROOT / "docs" / "survey.md"
SEED = 20240229
THREADS = 1
BUILT = {
    "LeNet-300-100": "LeNet-300-100",
    "LeNet-5": "LeNet-5 (Caffe)",
    "AlexNet": "AlexNet (Caffe)",
    "VGG-16": "VGG-16",
}
"""The papers' networks by the names of tests/networks."""
DIGIT = 20
FIELD = 28
TRAINING = Recipe(15, 2e-3)
# A part of the way at a time: all at once loses more than tuning brings back.
PRUNING = ((1 / 3, Recipe(5, 2e-3)), (2 / 3, Recipe(5, 2e-3)), (1.0, Recipe(15, 2e-3)))
SHARING_STEPS = 20
SHARING_RATE = 1e-3


def main() -> None:
    """Build, audit, print, and write where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("coding", "low-rank"))
    parser.add_argument("--write", action="store_true", help="fill the tables of docs/survey.md")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, table in (("coding", coding), ("low-rank", low_rank)):
            if options.only in (None, name):
                text = f"{_circumstances()}\n\n{table(folder)}"
                print(text, flush=True)
                if options.write:
                    fill(name, text)


# ------------------------------------------------------------------------- pruned and clustered


@dataclass(frozen=True)
class Coded:
    """One network of Deep Compression's Table 1 as it was built here.

    Attributes:
        stored: bytes of its weights in the paper's file, without and with Huffman coding.
    """

    name: str
    report: Comparison
    stored: tuple[float, float]


def coding(folder: Path) -> str:
    """The table of pruned and clustered networks."""
    rows = []
    for one in _coded(folder):
        compressed, alpha = one.report.compressed, one.report.alpha
        assert alpha.coding_limit is not None
        weights = one.report.original.weight_bytes
        assert weights is not None
        rows.append(
            [
                one.name,
                units.format_count(compressed.parameters),
                units.format_rate(alpha.nonzero_parameters),
                units.format_bytes(compressed.entropy_bytes),
                units.format_rate(alpha.coding_limit),
                *(
                    f"{units.format_bytes(round(size))}, {weights / size:.1f}×"
                    for size in one.stored
                ),
                units.format_rate(alpha.file_bytes),
                _accuracy(one.report),
            ]
        )
    head = [
        "network",
        "parameters",
        "α nonzero",
        "entropy bytes",
        "**coding limit**",
        "the paper's file",
        "with Huffman",
        "α file",
        "top-1",
    ]
    return _markdown(head, rows)


def _coded(folder: Path) -> Iterator[Coded]:
    train, test = (_enlarged(half) for half in load_halves())
    data = folder / "digits.npz"
    save_images(test, data)
    for name in BUILT:
        network = _built(name)
        original, compressed = folder / "original.onnx", folder / "compressed.onnx"
        if name.startswith("LeNet"):
            fit(network, train, TRAINING)
            export_onnx(network, original, test.image[:2])
            shared = compress(network, published_layers(name), train)
            export_onnx(network, compressed, test.image[:2])
            report = audit(original, compressed, "accuracy", "divergence", data=str(data))
        else:
            random_weights(network)
            export_onnx(network, original, _example(name))
            shared = compress(network, published_layers(name), None)
            export_onnx(network, compressed, _example(name))
            report = audit(original, compressed)
        layers = published_layers(name)
        stored = [
            sum(
                stored_bytes(one.codes.flatten().numpy(), layer, coded=coded)
                for one, layer in zip(shared, layers, strict=True)
            )
            for coded in (False, True)
        ]
        yield Coded(name, report, (stored[0], stored[1]))


def compress(network: nn.Module, layers: Sequence[Layer], train: Images | None) -> list[Shared]:
    """Prune, share, and tune in between where there is something to train on."""
    weights = weights_of(network)
    if train is None:
        prune(weights, [layer.kept for layer in layers])
        return share(weights, [layer.weight_bits for layer in layers])
    for way, recipe in PRUNING:
        put_back = prune(weights, [layer.kept**way for layer in layers])
        fit(network, train, recipe, after_step=put_back)
    shared = share(weights, [layer.weight_bits for layer in layers])
    loss = labels_loss(train)
    every = torch.arange(len(train.labels))
    for _ in range(SHARING_STEPS):
        network.zero_grad()
        loss(network(train.image), every).backward()  # type: ignore[no-untyped-call]
        step_together(shared, SHARING_RATE)
    return shared


def _built(name: str) -> nn.Module:
    torch.manual_seed(SEED)
    return NETWORKS[BUILT[name]].build("cpu")


def _enlarged(half: Images) -> Images:
    """8 × 8 digits as MNIST has its own: 20 × 20 in the middle of a field of 28 × 28."""
    image = functional.interpolate(half.image, size=(DIGIT, DIGIT), mode="bilinear")
    margin = (FIELD - DIGIT) // 2
    return Images(functional.pad(image, (margin,) * 4), half.labels)


def _accuracy(report: Comparison) -> str:
    top1 = report.accuracy.top1 if report.accuracy is not None else None
    if top1 is None or top1.delta is None:
        return "random weights"
    change = top1.delta
    low, high = units.format_points(change.low), units.format_points(change.high)
    return (
        f"{units.format_share(top1.original.value)} → {units.format_share(top1.compressed.value)}, "
        f"{units.format_points(change.value)} {units.format_interval(low, high)}"
    )


# -------------------------------------------------------------------------------------- low rank


def low_rank(folder: Path) -> str:
    """The table of factorised networks."""
    rows = []
    for name, ranks in (("AlexNet", ALEXNET_RANKS), ("VGG-16", VGG_16_RANKS)):
        network = random_weights(_built(name))
        assert isinstance(network, nn.Sequential)
        original = folder / "original.onnx"
        export_onnx(network, original, _example(name))
        for label, normalised in (("low-rank", False), ("BN low-rank", True)):
            compressed = folder / "compressed.onnx"
            made = factorise(network, ranks, normalised=normalised)
            export_onnx(made, compressed, _example(name))
            report = audit(original, compressed, "latency")
            alpha = report.alpha
            ours, theirs = (_convolutions(path) for path in (original, compressed))
            rows.append(
                [
                    f"{name} {label}",
                    f"**{ours / theirs:.2f}×**",
                    units.format_rate(alpha.parameters),
                    units.format_rate(alpha.file_bytes),
                    units.format_rate(alpha.macs),
                    _speedup(report),
                ]
            )
    head = ["network", "α of the convolutions", "α parameters", "α file", "α MACs", "δ"]
    return _markdown(head, rows)


def _convolutions(path: Path) -> int:
    """Parameters of all convolutions and of the normalisations behind them, by compaudit."""
    (model,) = compaudit.inspect(path).models
    return sum(
        layer.parameters
        for layer in model.layers
        if layer.op == "Conv" or (layer.op == "BatchNormalization" and not _dense(layer.parameters))
    )


def _dense(parameters: int) -> bool:
    """Whether a normalisation is one of the dense layers': 4,096 scales and as many shifts."""
    return parameters == 2 * 4096


def _speedup(report: Comparison) -> str:
    delta = report.delta
    if delta is None:
        return f"not measured: {report.error.message}" if report.error else "not measured"
    if delta.low is None or delta.high is None:
        return f"{delta.value:.2f}×"
    times = [
        units.format_seconds(model.latency.median_s.value)
        for model in (report.original, report.compressed)
        if model.latency is not None and model.latency.median_s is not None
    ]
    return f"{delta.value:.2f}× [{delta.low:.2f}, {delta.high:.2f}]: {' → '.join(times)}"


# ------------------------------------------------------------------------------------------ both


def audit(original: Path, compressed: Path, *more: str, **settings: str) -> Comparison:
    """An audit of sizes, layers, MACs, and what else is asked for."""
    measurements = ("size", "macs", "layers", *more)
    return compaudit.compare(original, compressed, measurements=measurements, **settings)


def _example(name: str) -> torch.Tensor:
    _, *size = NETWORKS[BUILT[name]].size
    return torch.from_numpy(np.random.default_rng(SEED).random((2, *size), np.float32))


def _circumstances() -> str:
    here = machine.describe()
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = ", ".join(f"{name} {here.packages[name]}" for name in ("onnxruntime", "torch"))
    return f"{day}, {here.cpu}, {here.usable_cores} cores, {versions}, compaudit's own settings."


def fill(name: str, text: str) -> None:
    """Put a table between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{PAGE} lacks the marks of {name}")
    PAGE.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


TABLES: dict[str, Callable[[Path], str]] = {"coding": coding, "low-rank": low_rank}

if __name__ == "__main__":
    main()
