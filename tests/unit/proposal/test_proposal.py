"""What init writes: read again, it is what the audit passes."""

import re
import tomllib
from pathlib import Path
from typing import Any

import canned
import canned_quality
import canned_raw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.config import check_options, read_file
from compaudit.gate import judge, parse_requirement
from compaudit.proposal import TEMPLATE, proposed
from compaudit.proposal.limits import _rounded, limits_of
from compaudit.results import Comparison

NOW = canned.comparison()
REPORTS = {
    "classification": NOW,
    "quality": canned_quality.classification(),
    "language": canned_quality.language(),
    "regression": canned_quality.regression(),
    "embedding": canned_quality.embedding(),
    "raw": canned_raw.comparison(),
    "sizes": msgspec.structs.replace(NOW, delta=None, accuracy=None, divergence=None),
    "no interval": msgspec.structs.replace(
        NOW, delta=msgspec.structs.replace(NOW.delta, low=None, high=None)
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_audit_passes_what_was_made_of_it(name: str, tmp_path: Path) -> None:
    report = REPORTS[name]
    path = tmp_path / "compaudit.toml"
    path.write_text(proposed(report, tmp_path))
    found = read_file(path)
    check_options(found.options, found.path)
    checks = judge([parse_requirement(text) for text in found.requirements], report).checks
    assert len(checks) >= 2
    assert {check.status for check in checks} == {"passed"}, checks


def limits(report: Comparison) -> dict[str, str]:
    return {limit.that.split()[0]: limit.that.split(maxsplit=2)[2] for limit in limits_of(report)}


def test_limits_by_hand() -> None:
    """α 3 → 2 % less; 140 kB → 2 % more; δ 2 [1.95, 2.05]: 1.95 − 1.5 · 0.05 = 1.875, down."""
    found = limits(NOW)
    assert found["alpha.file_bytes"] == "2.94"
    assert found["compressed.file_bytes"] == "143 kB"
    assert found["delta"] == "1.87"
    assert found["accuracy.top1.delta"] == "-1.6 pp"  # the interval begins at −1.52 pp
    assert found["divergence.kl.mean"] == "0.00550"  # 1.25 · 0.0044
    assert found["divergence.top1_agreement"] == "96.7 %"
    assert found["compressed.peak_memory_bytes"] == "15.4 MB"  # 1.25 · 12.3 MB = 15.375


def test_a_noisy_machine_gets_more_room() -> None:
    """A noise floor of 5 % of 2 is 0.1, more than the half-width: 1.95 − 1.5 · 0.1 = 1.80."""
    noisy = msgspec.structs.replace(NOW.delta, noise_floor=0.05)
    assert limits(msgspec.structs.replace(NOW, delta=noisy))["delta"] == "1.80"


def test_what_was_not_shown_is_a_comment(tmp_path: Path) -> None:
    text = proposed(REPORTS["no interval"], tmp_path)
    (line,) = (line for line in text.splitlines() if '"delta >= ' in line)
    assert line.strip().startswith("#")
    assert "there is no interval" in line
    made_up = canned_quality.data(uri=None, kind="synthetic")
    text = proposed(msgspec.structs.replace(NOW, data=made_up), tmp_path)
    (line,) = (line for line in text.splitlines() if '"accuracy.top1.delta' in line)
    assert line.strip().startswith("#")
    assert "synthetic" in line


def settings(tmp_path: Path, **config: Any) -> dict[str, Any]:
    report = msgspec.structs.replace(NOW, config={**NOW.config, **config})
    found = tomllib.loads(proposed(report, tmp_path))
    del found["require"]
    return found


def test_the_audits_settings_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(tmp_path) == {}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.npz").touch()
    inner = tmp_path / "ci"
    inner.mkdir()
    (tmp_path / "m.py").touch()
    assert settings(
        inner,
        data="data.npz",
        metrics=["m.py:f1", "a.b:c"],
        time_budget_s=90.0,
        confidence=0.99,
        memory_limit_bytes=2**31,
        measurements=["size", "latency"],
        cache=False,
        threads=2,
        input_shapes={'odd "name"\x7f': [1, 3]},
        compressed_only={"session_options": {"a": "b"}},
        requirements=["delta >= 9"],
        inconclusive="pass",
        trust_model_code=True,
        custom_op_libraries=["evil.so"],
        original="other.onnx",
    ) == {
        "data": "../data.npz",
        "metric": ["../m.py:f1", "a.b:c"],
        "time-budget": "90s",
        "confidence": "99%",
        "memory-limit": "2147483648 B",
        "only": ["size", "latency"],
        "no-cache": True,
        "threads": 2,
        "input-shape": {'odd "name"\x7f': [1, 3]},
        "compressed-session-option": {"a": "b"},
    }


def test_the_template_is_a_file_without_requirements(tmp_path: Path) -> None:
    path = tmp_path / "compaudit.toml"
    path.write_text(TEMPLATE)
    assert read_file(path).requirements == ()
    examples = re.sub(r"^( *)# (?=[\"{]|[a-z-]+ = )", r"\1", TEMPLATE, flags=re.M)
    path.write_text(examples)
    found = read_file(path)
    check_options(found.options, found.path)
    assert set(found.options) == {"data", "time-budget", "threads"}
    assert [parse_requirement(text).severity for text in found.requirements] == [
        *("fail", "fail", "fail", "warn"),
    ]


@given(st.floats(1e-9, 1e12), st.booleans(), st.booleans())
def test_rounding_never_tightens_a_limit(value: float, up: bool, negative: bool) -> None:
    value = -value if negative else value
    rounded = float(_rounded(value, up))
    assert rounded >= value if up else rounded <= value
    assert rounded == pytest.approx(value, rel=0.021)
