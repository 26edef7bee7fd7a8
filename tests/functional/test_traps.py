"""The trap models of the benchmark: parameters by hand against what the ledger says."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from compaudit.measure.ledger import take
from compaudit.models import open as models

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _traps() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_traps", BENCHMARKS / "traps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


TRAPS = _traps()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths: dict[str, Path] = TRAPS.write_traps(tmp_path_factory.mktemp("traps"))
    return paths


@pytest.mark.parametrize("trap", TRAPS.ONNX_TRAPS, ids=lambda trap: trap.name)
def test_parameters_by_hand(trap: Any, written: dict[str, Path]) -> None:
    path = written[trap.name]
    model = models.read(models.recognise(str(path)), trust_model_code=False)
    ledger = take(model)
    assert ledger.parameters == trap.parameters
    shipped = [path, *path.parent.glob(f"{path.stem}.data")]
    assert ledger.file_bytes == sum(file.stat().st_size for file in shipped)
    assert ledger.graph_bytes is not None
    assert sum(row.bytes for row in ledger.tensors) + ledger.graph_bytes == ledger.file_bytes
