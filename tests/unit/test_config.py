import pytest

from compaudit.config import (
    MEASUREMENTS,
    Config,
    parse_mapping,
    parse_shapes,
    parse_with_unit,
    select_measurements,
)
from compaudit.errors import RequestError


def test_only_and_skip() -> None:
    assert select_measurements([], []) == MEASUREMENTS
    assert select_measurements(["size,latency"], []) == ("size", "latency")
    assert select_measurements(["latency", " size"], []) == ("size", "latency")
    assert "latency" not in select_measurements([], ["latency"])


@pytest.mark.parametrize(
    ("only", "skip", "hint"),
    [(["sise"], [], "size"), ([], ["latencyy"], "latency"), (["size"], ["size"], "leave")],
)
def test_unknown_measurements_and_nothing_left(only: list[str], skip: list[str], hint: str) -> None:
    with pytest.raises(RequestError) as caught:
        select_measurements(only, skip)
    assert hint in caught.value.hint


def test_shapes_and_mappings() -> None:
    assert parse_shapes(["image=1x3x224x224", "n=scalar"]) == {"image": (1, 3, 224, 224), "n": ()}
    assert parse_mapping("map-input", ["a=b", "c=d=e"]) == {"a": "b", "c": "d=e"}


@pytest.mark.parametrize("text", ["image", "=1x2", "image=", "image=1xa", "image=0x2", "i=-1x2"])
def test_broken_shapes_are_refused(text: str) -> None:
    with pytest.raises(RequestError):
        parse_shapes([text])


@pytest.mark.parametrize(
    "settings",
    [
        {"threads": 0},
        {"batch_size": 0},
        {"limit": 0},
        {"seed": -1},
        {"time_budget_s": 0.0},
        {"time_budget_s": float("nan")},
        {"time_budget_s": float("inf")},
        {"timeout_s": -1.0},
        {"resolution": 0.0},
        {"confidence": 1.0},
        {"confidence": 0.3},
        {"task": "clasification"},
        {"inconclusive": "maybe"},
        {"custom_op_libraries": ("a.so",)},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(RequestError) as caught:
        Config(original="a", compressed="b", **settings)  # type: ignore[arg-type]
    assert caught.value.hint


def test_options_with_units() -> None:
    assert parse_with_unit("time-budget", "2min") == 120
    assert parse_with_unit("memory-limit", "1 GiB") == 2**30
    assert parse_with_unit("resolution", "3%") == 0.03
    assert parse_with_unit("time-budget", None) is None
    with pytest.raises(RequestError, match="time-budget"):
        parse_with_unit("time-budget", "3 GiB")
