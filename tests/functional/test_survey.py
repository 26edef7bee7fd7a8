"""Published figures: the page's tables, the papers' numbers, and LeNet-300-100 built anew."""

from __future__ import annotations

import csv
import math
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import compaudit

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "published"
PAGE = (ROOT / "docs" / "survey.md").read_text(encoding="utf-8")

# Cheng et al. 2017: top-5 %, speed-up, compression rate.
LOW_RANK = {
    "AlexNet": (80.03, 1, 1),
    "AlexNet BN low-rank": (80.56, 1.09, 4.94),
    "AlexNet CP low-rank": (79.66, 1.82, 5),
    "VGG-16": (90.60, 1, 1),
    "VGG-16 BN low-rank": (90.47, 1.53, 2.72),
    "VGG-16 CP low-rank": (90.31, 2.05, 2.75),
    "GoogLeNet": (92.21, 1, 1),
    "GoogLeNet BN low-rank": (91.88, 1.08, 2.79),
    "GoogLeNet CP low-rank": (91.79, 1.20, 2.84),
}
# Han et al. 2016, Table 1: top-1 and top-5 error in %, bytes, compression rate.
DEEP_COMPRESSION = {
    "LeNet-300-100": (1.64, None, "1070 kB", 1),
    "LeNet-300-100 compressed": (1.58, None, "27 kB", 40),
    "LeNet-5": (0.80, None, "1720 kB", 1),
    "LeNet-5 compressed": (0.74, None, "44 kB", 39),
    "AlexNet": (42.78, 19.73, "240 MB", 1),
    "AlexNet compressed": (42.78, 19.70, "6.9 MB", 35),
    "VGG-16": (31.50, 11.32, "552 MB", 1),
    "VGG-16 compressed": (31.17, 10.91, "11.3 MB", 49),
}
# The totals of its Tables 2 to 5: what remains without and with Huffman coding, in %.
TOTALS = {
    "LeNet-300-100": (266_200, 3.1, 2.49),
    "LeNet-5": (430_500, 3.05, 2.55),
    "AlexNet": (60_954_656, 3.7, 2.88),
    "VGG-16": (138_344_128, 3.2, 2.05),
}


def rows(name: str) -> list[dict[str, str]]:
    with (PUBLISHED / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def percent(text: str) -> float:
    assert text.endswith("%")
    return float(text[:-1])


def test_the_survey() -> None:
    found = {
        row["label"]: (percent(row["top5"]), float(row["speedup"]), float(row["compression"]))
        for row in rows("low_rank.csv")
    }
    assert found == LOW_RANK


def test_deep_compression() -> None:
    found = {row["label"]: row for row in rows("deep_compression.csv")}
    assert list(found) == list(DEEP_COMPRESSION)
    for label, (top1, top5, size, rate) in DEEP_COMPRESSION.items():
        row = found[label]
        assert percent(row["top1"]) == pytest.approx(100 - top1, abs=1e-9)
        assert (percent(row["top5"]) if row["top5"] else None) == (
            None if top5 is None else pytest.approx(100 - top5, abs=1e-9)
        )
        assert (row["weight_bytes"], float(row["compression"])) == (size, rate)


@pytest.mark.parametrize("network", TOTALS)
def test_the_layers_add_up_to_the_papers_totals(network: str) -> None:
    """To within its rounding, which a transcription error in a large layer would leave."""
    weights, plain, coded = TOTALS[network]
    layers = [row for row in rows("deep_compression_layers.csv") if row["network"] == network]
    sizes = weights_by_layer(network)
    assert sum(sizes) == weights
    for column, total in (("rate", plain), ("rate_coded", coded)):
        remain = [size * percent(row[column]) for size, row in zip(sizes, layers, strict=True)]
        assert sum(remain) / weights == pytest.approx(total, rel=0.08)


def weights_by_layer(network: str) -> list[int]:
    """By hand: inputs × outputs × kernel of each layer, without biases."""
    vgg = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    return {
        "LeNet-300-100": [784 * 300, 300 * 100, 100 * 10],
        "LeNet-5": [20 * 25, 50 * 20 * 25, 800 * 500, 500 * 10],
        "AlexNet": [
            *(96 * 3 * 121, 256 * 48 * 25, 384 * 256 * 9, 384 * 192 * 9, 256 * 192 * 9),
            *(9216 * 4096, 4096 * 4096, 4096 * 1000),
        ],
        "VGG-16": [
            *(9 * taken * made for taken, made in pairwise(vgg)),
            *(25088 * 4096, 4096 * 4096, 4096 * 1000),
        ],
    }[network]


@pytest.mark.parametrize("name", ["low_rank.csv", "deep_compression.csv"])
def test_the_page_shows_the_file(name: str) -> None:
    found = re.search(rf"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", PAGE, re.S)
    assert found
    shown = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in found[1].splitlines()[2:]
    ]
    shares = ("top1", "top5") if name == "deep_compression.csv" else ("top5",)
    others = ("weight_bytes",) if name == "deep_compression.csv" else ("speedup",)
    assert shown == [
        (
            row["label"],
            *(row[key].replace("%", " %") or "–" for key in shares),
            *(f"{row[key]}×" if key == "speedup" else row[key] for key in others),
            f"{row['compression']}×",
        )
        for row in rows(name)
    ]


@pytest.mark.parametrize("name", ["low-rank", "coding"])
def test_the_measured_tables_are_filled(name: str) -> None:
    found = re.search(rf"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", PAGE, re.S)
    assert found
    assert found[1].count("\n| ") >= 5, f"run: benchmarks/survey.py --only {name} --write"


# ------------------------------------------------------------------------------ built anew

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def _scripts() -> Iterator[None]:
    added = [str(ROOT / "benchmarks"), str(ROOT / "sample_models")]
    sys.path[:0] = added
    yield
    for path in added:
        sys.path.remove(path)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_scripts")
def test_the_coding_limit_of_lenet_300_100(tmp_path: Path) -> None:
    """Briefly trained, pruned to 8, 9 and 26 %, 64 shared values: 40× in the paper.

    By hand: the entropy of each layer's values with zero among them, 4 bytes for every distinct
    one, and the biases, which hardly compress. Between 32×, the paper's without an entropy coder,
    and 45×, evenly used codes being 33 and ever more uneven ones ever more.
    """
    from deep_compression import prune, published_layers, share, weights_of
    from published_lenet import lenet_300_100

    torch.manual_seed(0)
    network = lenet_300_100()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two wait for one another where other tests run beside
    try:
        train(network)
    finally:
        torch.set_num_threads(threads)
    original, compressed = tmp_path / "original.onnx", tmp_path / "compressed.onnx"
    save(network, original)
    layers, weights = published_layers("LeNet-300-100"), weights_of(network)
    prune(weights, [layer.kept for layer in layers])
    share(weights, [layer.weight_bits for layer in layers])
    save(network, compressed)

    report = compaudit.compare(original, compressed, measurements=("size",))
    assert report.compressed.parameters == 266_610
    assert report.original.weight_bytes == 4 * 266_610
    kept = [0.08 * 235_200, 0.09 * 30_000, 0.26 * 1_000]
    biases = 410
    nonzero = report.compressed.nonzero_parameters
    assert nonzero == pytest.approx(sum(kept) + biases, abs=3)
    by_hand = 4.0 * biases
    for weight in weights:
        values, counts = np.unique(weight.detach().numpy(), return_counts=True)
        assert len(values) <= 65
        by_hand += counts.sum() * stats.entropy(counts, base=2) / 8 + 4 * len(values)
    assert report.compressed.entropy_bytes == pytest.approx(by_hand, rel=0.02)
    assert report.alpha.coding_limit == pytest.approx(4 * 266_610 / by_hand, rel=0.02)
    assert 32 <= report.alpha.coding_limit <= 45
    assert report.alpha.file_bytes == pytest.approx(1, abs=0.01)


def train(network: torch.nn.Module) -> None:
    """Eight passes over a few hundred digits: enough for weights that are no longer random."""
    from sklearn.datasets import load_digits

    digits = load_digits(n_class=10)
    image = torch.from_numpy(digits.images[:512] / 16).float()[:, None]
    image = torch.nn.functional.pad(
        torch.nn.functional.interpolate(image, size=20, mode="bilinear"), (4, 4, 4, 4)
    )
    labels = torch.from_numpy(digits.target[:512])
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(8):
        for batch in torch.randperm(512).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(image[batch]), labels[batch]).backward()
            optimizer.step()


def save(network: torch.nn.Module, path: Path) -> None:
    from exporting import export_onnx

    export_onnx(network, path, torch.zeros(2, 1, 28, 28))


@pytest.mark.torch
@pytest.mark.usefixtures("_scripts")
def test_the_published_storage() -> None:
    """Section 2, figure 2: with 3 bits, a distance of more than 8 takes a filler."""
    from deep_compression import Layer, stored_bytes

    layer = Layer("w", 0.5, weight_bits=4, index_bits=3, rate=0, rate_coded=0)
    codes = np.full(16, -1)
    codes[[1, 4, 15]] = (0, 1, 1)  # distances 2, 3 and 11 = 8 + 3: four entries of 7 bits
    assert stored_bytes(codes, layer, coded=False) == 4 * 7 / 8 + 16 * 4
    # Codes 0, filler, 1, 1: words of 2, 2, 1, 1 bits; distances 2, 3, 8, 3: likewise.
    assert stored_bytes(codes, layer, coded=True) == 12 / 8 + 3 + 3 + 16 * 4


@pytest.mark.torch
@pytest.mark.usefixtures("_scripts")
def test_full_ranks_change_nothing_and_groups_stay_apart() -> None:
    """A kernel of 3 × 3 from 4 channels to 6 has at most rank min(4·3, 6·3); in 2 groups, half."""
    from low_rank import factorise, random_weights

    network = random_weights(
        torch.nn.Sequential(
            torch.nn.Conv2d(4, 6, 3, stride=2, padding=1),
            torch.nn.Conv2d(6, 8, 3, padding=1, groups=2),
        )
    )
    image = torch.randn(1, 4, 9, 9)
    made = factorise(network, (12, 18), normalised=False)
    with torch.no_grad():
        assert torch.allclose(made(image), network(image), atol=1e-5)
        lower = factorise(network, (2, 2), normalised=False)
        assert not torch.allclose(lower(image), network(image), atol=1e-2)
    # By hand: columns 4·3·2, rows 2·3·6 + 6; columns 2 · 3·3·1, rows 2 · 1·3·4 + 8.
    assert sum(one.numel() for one in lower.parameters()) == 24 + 42 + 18 + 32


@pytest.mark.torch
def test_the_published_ranks_give_the_published_rates() -> None:
    """Convolutions' weights alone: k·(taken + made)·rank after k²·taken·made."""
    source = (ROOT / "benchmarks" / "low_rank.py").read_text("utf-8")
    ranks = {
        name: [int(one) for one in text.split(",")]
        for name, text in re.findall(r"^(\w+)_RANKS = \(([\d, ]+)\)", source, re.M)
    }
    alexnet = [
        (3, 96, 11, 1),
        (96, 256, 5, 2),
        (256, 384, 3, 1),
        (384, 384, 3, 2),
        (384, 256, 3, 2),
    ]
    vgg = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    shapes = {
        "ALEXNET": alexnet,
        "VGG_16": [(a, b, 3, 1) for a, b in pairwise(vgg)],
    }
    for name, published, close in (("ALEXNET", 5.0, 0.001), ("VGG_16", 2.75, 0.01)):
        before = sum(a * b * k * k // groups for a, b, k, groups in shapes[name])
        after = sum(
            k * (a + b) * rank // groups
            for (a, b, k, groups), rank in zip(shapes[name], ranks[name], strict=True)
        )
        assert math.isclose(before / after, published, rel_tol=close)
        assert f"{before:,} / {after:,}" in PAGE


@pytest.mark.torch
def test_what_is_said_of_googlenet() -> None:
    """Its 1 × 1 convolutions, which a column and a row cannot replace: the sum over Table 1."""
    from published import NETWORKS

    convolutions = [
        module
        for module in NETWORKS["GoogLeNet"].build().modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    whole = sum(one.weight.numel() for one in convolutions)
    small = sum(one.weight.numel() for one in convolutions if one.kernel_size == (1, 1))
    assert f"{small:,}" in PAGE
    assert f"{whole:,}" in PAGE
    assert whole / small < 2.64 < min(2.79, 2.84)
