"""Counts and entropies against plain NumPy and SciPy, however the values are cut and typed."""

import itertools
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from onnx import TensorProto, helper
from scipy import stats

from compaudit import machine
from compaudit.errors import RequestError
from compaudit.measure.contents import Contents, contents_of
from compaudit.measure.histograms import codes_of
from compaudit.models.base import Role, Tensor
from compaudit.theory.coding import kt_code_length


def tensor(
    values: NDArray[Any], dtype: str, cuts: list[int] | None = None, size: int | None = None
) -> Tensor:
    """A tensor whose reader cuts its values at these positions."""
    flat = values.reshape(-1)
    edges = [0, *sorted(cuts or []), len(flat)]

    def read() -> Iterator[NDArray[Any]]:
        for start, end in itertools.pairwise(edges):
            yield flat[start:end]

    size = values.nbytes if size is None else size
    return Tensor("w", Role.WEIGHT, dtype, values.shape, values.size, size, read)


def contents(values: NDArray[Any], dtype: str, cuts: list[int] | None = None) -> Contents:
    (found,) = contents_of([tensor(values, dtype, cuts)])
    return found


def price(values: NDArray[Any], bits: int) -> tuple[int, float]:
    """Bytes and entropy by the definition of MEASURING §2, recomputed as directly as can be."""
    codes = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")
    symbols = np.unique(codes, return_counts=True)[1]
    options = [
        (
            kt_code_length(symbols, len(symbols)) + len(symbols) * bits,
            float(stats.entropy(symbols, base=2)),
        )
    ]
    if bits > 16:
        octets = codes.view(np.uint8).reshape(len(codes), -1)
        planes = [np.bincount(plane, minlength=256) for plane in octets.T]
        bytewise = (
            sum(kt_code_length(plane, 256) for plane in planes),
            sum(float(stats.entropy(plane, base=2)) for plane in planes),
        )
        options = [bytewise, *(options if len(symbols) <= 65536 else [])]
    cheapest, entropy = min(options)
    return math.ceil(min(cheapest, 8 * values.nbytes) / 8), entropy


_KINDS: dict[str, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "int8": np.int8,
    "uint8": np.uint8,
    "bool": np.bool_,
    "complex64": np.complex64,
}


@pytest.mark.parametrize("dtype", _KINDS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_values_in_any_pieces(dtype: str, data: st.DataObject) -> None:
    values = data.draw(hnp.arrays(_KINDS[dtype], st.integers(1, 300)))
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=8))
    found = contents(values, dtype, cuts)
    assert found.nonzeros == np.count_nonzero(values)
    expected, entropy = price(values, 8 * values.dtype.itemsize)
    assert found.coded is not None
    assert found.coded.entropy_bits == pytest.approx(entropy, abs=1e-9)
    assert found.coded.bytes == expected
    assert found == contents(values, dtype)


def _dense(random: np.random.Generator, n: int) -> NDArray[Any]:
    return random.normal(size=n).astype(np.float32)


def _pruned(random: np.random.Generator, n: int) -> NDArray[Any]:
    return (random.normal(size=n) * (random.random(n) < 0.1)).astype(np.float32)


def _nearly_empty(random: np.random.Generator, n: int) -> NDArray[Any]:
    return (random.normal(size=n) * (random.random(n) < 0.003)).astype(np.float32)


def _shared(random: np.random.Generator, n: int) -> NDArray[Any]:
    return random.normal(size=64).astype(np.float32)[random.integers(0, 64, n)]


def _many_shared(random: np.random.Generator, n: int) -> NDArray[Any]:
    return random.normal(size=5000)[random.integers(0, 5000, n)]


def _whole_numbers(random: np.random.Generator, n: int) -> NDArray[Any]:
    return random.integers(-20, 2000, n)


def _half_precision(random: np.random.Generator, n: int) -> NDArray[Any]:
    return random.normal(size=n).astype(ml_dtypes.bfloat16).astype(np.float32)


# Sizes on both sides of where tensors are kept, and where the looking at the first ones ends.
@pytest.mark.parametrize("elements", [8192, 8193, 90_000, 600_000])
@pytest.mark.parametrize(
    "make",
    [_dense, _pruned, _nearly_empty, _shared, _many_shared, _whole_numbers, _half_precision],
)
def test_every_way_to_count(
    make: Callable[[np.random.Generator, int], NDArray[Any]], elements: int
) -> None:
    values = make(np.random.default_rng(elements), elements)
    found = contents(values, values.dtype.name, [1, 70_000])
    expected, entropy = price(values, 8 * values.dtype.itemsize)
    assert found.nonzeros == np.count_nonzero(values)
    assert found.coded is not None
    assert found.coded.bytes == expected
    assert found.coded.entropy_bits == pytest.approx(entropy, rel=1e-9)


def test_wider_than_any_integer() -> None:
    values = np.array([1 + 2j, 0, -0.0, 1 + 2j])
    found = contents(values, "complex128")
    assert found.nonzeros == 2
    # Real parts 3ff0…, 0, 8000… (minus zero), 3ff0…: one bit in the plane of f0, one and a half in
    # that of 3f, 00, 80, 3f. Imaginary parts 4000…, 0, 0, 4000…: one bit.
    planes = values.view(np.uint8).reshape(4, 16)
    by_hand = sum(stats.entropy(np.bincount(plane), base=2) for plane in planes.T)
    assert by_hand == pytest.approx(1 + 1.5 + 1)
    assert found.coded is not None
    assert found.coded.entropy_bits == pytest.approx(by_hand)


# -------------------------------------------------------------------------- zeros of small types


@pytest.mark.parametrize(
    "kind",
    [
        "bfloat16",
        "float16",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "float6_e2m3fn",
        "float6_e3m2fn",
        "float4_e2m1fn",
    ],
)
def test_every_code_of_a_small_type(kind: str) -> None:
    element = np.dtype(getattr(ml_dtypes, kind, None) or kind)
    bits = {"float6": 6, "float4": 4}.get(kind.split("_")[0], 8 * element.itemsize)
    values = np.arange(1 << bits).astype(f"u{element.itemsize}").view(element)
    dtype = kind.replace("_", "").removesuffix("fnu" if "e8m0" in kind else "?")
    if "float6" in kind or "float4" in kind:
        dtype = dtype.removesuffix("fn")
    # One by one, through float64, as ml_dtypes converts them.
    expected = sum(float(value) != 0 for value in values)
    assert contents(values, dtype).nonzeros == expected


# ------------------------------------------------------------------------------------- samples


def test_a_sample_is_the_same_however_it_is_read() -> None:
    values = np.random.default_rng(0).normal(size=300_000).astype(np.float32)
    big = 20_000_000 * 4  # said to be that large, so that a sample is drawn
    whole, cut = (
        contents_of([tensor(values, "float32", cuts, big)])[0]
        for cuts in ([], list(range(0, 300_000, 777)))
    )
    assert whole == cut
    assert whole.nonzeros == 300_000


# ------------------------------------------------------------------------------------ threads


def test_all_threads_join_in_one_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece waits for another one in hand: a thread alone would wait for ever."""
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    values = np.random.default_rng(0).normal(size=1 << 21).astype(np.float32)
    values[::3] = 0
    expected = contents(values, "float32")
    meet = threading.Barrier(2, timeout=60)

    def wait(piece: NDArray[Any]) -> NDArray[Any]:
        meet.wait()
        return codes_of(piece)

    monkeypatch.setattr("compaudit.measure.contents.codes_of", wait)
    assert contents(values, "float32") == expected
    assert expected.nonzeros == np.count_nonzero(values)


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_many_tensors_by_any_number_of_threads(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)
    random = np.random.default_rng(1)
    arrays = [random.integers(0, 3, random.integers(1, 40_000)) for _ in range(30)]
    found = contents_of([tensor(array, "int64") for array in arrays])
    assert [one.nonzeros for one in found] == [np.count_nonzero(array) for array in arrays]


@pytest.mark.parametrize("cores", [1, 2])
def test_what_goes_wrong_while_reading_is_told(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)

    def read() -> Iterator[NDArray[Any]]:
        yield np.ones(10, np.float32)
        raise RequestError("it was changed", hint="try again", code="unreadable-file")

    broken = Tensor("w", Role.WEIGHT, "float32", (20,), 20, 80, read)
    with pytest.raises(RequestError, match="it was changed"):
        contents_of([tensor(np.ones(3), "float64"), broken])


def test_what_has_no_values_has_no_contents() -> None:
    text = Tensor("t", Role.CONSTANT, "string", (1,), 1, 3)
    opaque = Tensor("o", Role.WEIGHT, "int8", (4,), 4, 4)
    ones = tensor(np.ones(2), "float64")
    found = contents_of([text, ones, opaque])
    assert found[0] == found[2] == Contents(0, None, None)
    assert found[1].nonzeros == 2


def test_counts_alone() -> None:
    (found,) = contents_of([tensor(np.float32([0, 1, 2]), "float32")], entropy=False)
    assert found == Contents(3, 2, None)


# ------------------------------------------------------------------------------------- memory

_MEASURE = """
import sys, threading, time
from pathlib import Path
import numpy, onnx
from compaudit.measure import ledger
from compaudit.models import open as models

def anonymous():
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").open())
    return int(fields["RssAnon"].split()[0]) * 1024

before, peak, running = anonymous(), 0, True
def watch():
    global peak
    while running:
        peak = max(peak, anonymous())
        time.sleep(0.002)
watcher = threading.Thread(target=watch)
watcher.start()
counted = ledger.take(models.read(models.recognise(sys.argv[1]), trust_model_code=False))
running = False
watcher.join()
print(peak - before, counted.parameters, counted.nonzero_parameters)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    """One tensor of 1 GiB of holes, which takes no disk; the map itself is not counted."""
    with (tmp_path / "weights").open("wb") as stream:
        stream.truncate(2**30)
    weight = TensorProto(name="w", dims=(2**14, 2**14), data_type=TensorProto.FLOAT)
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2**14])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2**14])],
        [weight],
    )
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    result = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path / "m.onnx")],
        capture_output=True,
        text=True,
        check=True,
    )
    needed, parameters, nonzeros = map(int, result.stdout.split())
    assert (parameters, nonzeros) == (2**28, 0)
    assert needed < 300e6
