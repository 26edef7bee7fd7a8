"""The 1,827 models of onnx 1.21.0, which nobody here wrote: a correct ledger each.

``make .venv/corpus`` puts them there; COMPAUDIT_CORPUS names another place. Without them the fewer
models of the installed onnx are read, so that the tests mean something without a network, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from compaudit.measure.ledger import Ledger, take
from compaudit.models import open as models
from compaudit.models.base import Role

CORPUS = Path(os.environ.get("COMPAUDIT_CORPUS", Path(__file__).parents[2] / ".venv" / "corpus"))
INSTALLED = Path(onnx.__file__).parent / "backend" / "test" / "data"
MACS = Path(__file__).parent / "corpus_macs.py"
SAMPLE = 20
PLAIN = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
}


def models_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.onnx"))


@pytest.fixture(scope="module")
def paths() -> list[Path]:
    found = models_in(CORPUS) or models_in(INSTALLED)
    if not found:
        pytest.skip("no corpus: make .venv/corpus, or name its folder in COMPAUDIT_CORPUS")
    return found


@pytest.fixture(scope="module")
def ledgers(paths: list[Path]) -> dict[Path, Ledger]:
    return {
        path: take(models.read(models.recognise(str(path)), trust_model_code=False))
        for path in paths
    }


def test_the_corpus_is_whole() -> None:
    if not CORPUS.exists():
        pytest.skip("no corpus: make .venv/corpus")
    assert len(models_in(CORPUS)) == 1827


def test_every_byte_is_a_tensors_or_the_graphs(ledgers: dict[Path, Ledger]) -> None:
    for path, ledger in ledgers.items():
        assert ledger.file_bytes == path.stat().st_size
        stored = sum(row.bytes for row in ledger.tensors)
        assert all(row.bytes >= 0 for row in ledger.tensors), path
        assert ledger.graph_bytes is not None
        assert ledger.graph_bytes > 0, path
        assert stored + ledger.graph_bytes == ledger.file_bytes, path


def test_every_tensor_has_a_name_of_its_own_and_a_role(ledgers: dict[Path, Ledger]) -> None:
    roles = {role.value for role in Role}
    for path, ledger in ledgers.items():
        assert len({row.name for row in ledger.tensors}) == len(ledger.tensors), path
        assert {row.role for row in ledger.tensors} <= roles, path
        assert ledger.uncounted is None, path


def test_initializers_are_what_onnx_itself_reads(ledgers: dict[Path, Ledger]) -> None:
    """Name, type, shape, bytes and nonzeros of every initializer, beside onnx.numpy_helper's."""
    compared = 0
    for path, ledger in ledgers.items():
        rows = {row.name: row for row in ledger.tensors}
        for tensor in onnx.load(path).graph.initializer:
            if tensor.data_type not in PLAIN:
                continue
            row, array = rows[tensor.name], numpy_helper.to_array(tensor)
            assert (row.dtype, tuple(row.shape)) == (PLAIN[tensor.data_type], array.shape), path
            assert row.stored_elements == array.size, path
            if tensor.raw_data:
                assert row.bytes == array.nbytes, path
            if not may_be_codes(row.role, row.dtype):
                assert row.nonzeros == np.count_nonzero(array), (path, row)
            compared += 1
    assert compared > len(ledgers) / 10


def may_be_codes(role: str, dtype: str) -> bool:
    """Whether another code than 0 may stand for zero: a weight of integers."""
    return role in (Role.WEIGHT, Role.BIAS) and dtype.startswith(("int", "uint"))


@pytest.mark.slow
def test_operations_are_counted_or_named(paths: list[Path]) -> None:
    """Every model's operations are counted; what is not is named, and leaves coverage below 1."""
    listing = "".join(f"{path}\n" for path in paths)
    command = [sys.executable, "-P", MACS]
    ended = subprocess.run(
        command, input=listing, capture_output=True, text=True, timeout=900, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [row[0] for row in rows] == [str(path) for path in paths]
    for path, total, nonzero, coverage, uncounted in rows:
        assert total is None or total >= nonzero >= 0, path
        assert (coverage in (None, 1)) == (not uncounted), path


@pytest.mark.slow
def test_the_real_command(paths: list[Path], ledgers: dict[Path, Ledger]) -> None:
    sample = paths[:: max(1, len(paths) // SAMPLE)][:SAMPLE]
    command = [sys.executable, "-P", "-m", "compaudit", "inspect", *map(str, sample), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(ended.stdout)["models"]
    assert [model["path"] for model in found] == [str(path) for path in sample]
    for path, model in zip(sample, found, strict=True):
        assert model["macs"] is not None
        assert model["sha256"] == ledgers[path].sha256
        assert [row["name"] for row in model["tensors"]] == [
            row.name for row in ledgers[path].tensors
        ]
