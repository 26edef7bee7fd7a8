"""Damaged models: a ledger or one clear sentence, whatever the damage is. See `mutations.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("COMPAUDIT_CORPUS", ROOT / ".venv" / "corpus"))
MUTATIONS = Path(__file__).parent / "mutations.py"
SEED, CASES = 20261123, 300

# Small, and each with something that the others have not.
CHOSEN = [
    *("node/test_loop13_seq", "node/test_if_opt", "node/test_scan9_sum", "node/test_constant"),
    *("node/test_sequence_map_add_2_sequences_expanded", "node/test_lstm_batchwise"),
    *("node/test_qlinearconv", "node/test_dequantizelinear_blocked", "node/test_gemm_alpha"),
    *("node/test_constantofshape_float_ones", "node/test_center_crop_pad_crop_expanded"),
    *("node/test_ai_onnx_ml_tree_ensemble_set_membership", "node/test_attention_4d_expanded"),
    *("node/test_layer_normalization_2d_axis0_expanded", "node/test_einsum_batch_matmul"),
    *("simple/test_expand_shape_model1", "simple/test_gradient_of_add"),
    *("pytorch-operator/test_operator_conv", "pytorch-converted/test_Linear"),
]


def damaged(files: list[Path], cases: int = CASES) -> dict[str, int]:
    """How reading them ended, by code; fails where one ended in anything else."""
    command = [sys.executable, "-P", MUTATIONS, str(SEED), str(cases), *files]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    outcomes: dict[str, int] = json.loads(ended.stdout)
    assert sum(outcomes.values()) == cases
    return outcomes


def test_onnx() -> None:
    if not CORPUS.exists():
        pytest.skip("no corpus: make .venv/corpus")
    files = [CORPUS / name / "model.onnx" for name in CHOSEN]
    assert {"ledger", "broken-model"} < set(damaged(files))


def test_safetensors() -> None:
    assert {"ledger", "broken-model"} < set(damaged([ROOT / "sample_models/digits.safetensors"]))


def test_exported_programs() -> None:
    outcomes = damaged([ROOT / "sample_models" / "digits.pt2"], 150)
    assert {"ledger", "unsupported-archive"} < set(outcomes)


@pytest.mark.torch
def test_checkpoints(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    held = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2), "step": 3, "name": "net"}
    torch.save(held, tmp_path / "zip.pt")
    torch.save(held, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    outcomes = damaged([tmp_path / "zip.pt", tmp_path / "legacy.pt"])
    assert {"ledger", "broken-model"} < set(outcomes)
