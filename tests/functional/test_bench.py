"""Benchmarks through the API: the document of the command, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

import compaudit
from compaudit.errors import RequestError

SAMPLES = Path(__file__).parents[2] / "sample_models"
MODEL = SAMPLES / "digits_int8.onnx"


def test_every_setting_has_every_model() -> None:
    report = compaudit.bench(
        MODEL,
        SAMPLES / "digits_student.onnx",
        threads=[1],
        batch_sizes=(4, 1, 4),
        time_budget_s=1.5,
        data=SAMPLES / "digits_test.npz",
    )
    assert [(one.device, one.threads, one.batch_size) for one in report.settings] == [
        ("cpu", 1, 1),
        ("cpu", 1, 4),
    ]
    for one in report.settings:
        first, second = one.models
        assert (first.model, second.model) == ("digits_int8.onnx", "digits_student.onnx")
        assert first.latency is not None
        assert first.latency.threads == 1
        assert first.delta is None
        assert second.delta is not None
        assert second.delta.value > 0
    assert report.error is None
    assert report.command == "compaudit.bench(…)"
    assert report.data is not None
    assert report.data.uri == str(SAMPLES / "digits_test.npz")


@pytest.mark.parametrize(
    ("models", "settings", "said"),
    [
        ((), {}, "no model to time"),
        ((MODEL,), {"device": "cpu"}, r"bench\(\) has no setting 'device'"),
        ((MODEL,), {"requirements": ("delta >= 1",)}, "no setting 'requirements'"),
        ((MODEL,), {"batch_sizes": 4}, "batch_sizes is a list of int"),
        ((MODEL,), {"batch_sizes": (1, True)}, "batch_sizes is a list of int"),
        ((MODEL,), {"batch_sizes": (0,)}, "batch-size"),
        ((MODEL,), {"batch_sizes": ()}, "batch_sizes is empty"),
        ((MODEL,), {"devices": []}, "devices is empty"),
        ((MODEL,), {"threads": (0,)}, "threads"),
        ((MODEL,), {"devices": "cpu"}, "devices is a list of str"),
        ((MODEL,), {"devices": ("gpu",)}, "gpu"),
        ((MODEL,), {"time_budget_s": "10s"}, "time_budget_s"),
        ((MODEL,), {"time_budget_s": 0}, "time-budget"),
        ((MODEL,), {"limit": "all"}, "limit"),
        ((SAMPLES / "none.onnx",), {}, "does not exist"),
    ],
)
def test_what_is_wrong_is_refused(models: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        compaudit.bench(*models, **settings)
