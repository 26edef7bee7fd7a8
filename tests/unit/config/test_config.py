from pathlib import Path
from typing import Any

import pytest

from compaudit.config import (
    MEASUREMENTS,
    Config,
    ModelOptions,
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
        {"map_input": {"x": "a", "y": "a"}},
        {"original_only": ModelOptions(batch_size=0)},
        {"original_only": ModelOptions(map_output={"x": "a", "y": "a"})},
        {"compressed_only": ModelOptions(map_input={"x": "a", "y": "a"})},
        {"compressed_only": ModelOptions(custom_op_libraries=("a.so",))},
        {"worst": -1},
        {"worst": 10**9},
        {"workers": 0},
        {"metrics": ("f1",)},
        {"metrics": ("my-metrics:f1",)},
        {"data": "no-module:batches"},
        {"data": "loaders:"},
        {"preprocess": "imagenet"},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(RequestError) as caught:
        Config(original="a", compressed="b", **settings)  # type: ignore[arg-type]
    assert caught.value.hint


@pytest.mark.parametrize(
    "metric", ["metrics:f1", "a.b.c:Class.score", "path/to/my-metrics.py:f1", "_m:_f"]
)
def test_functions_have_a_module_and_a_name(metric: str) -> None:
    assert config(metrics=(metric,), data=metric).metrics == (metric,)


def test_a_file_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "10:30.npz"
    path.touch()
    assert config(data=str(path)).data == str(path)


def test_options_with_units() -> None:
    assert parse_with_unit("time-budget", "2min") == 120
    assert parse_with_unit("memory-limit", "1 GiB") == 2**30
    assert parse_with_unit("resolution", "3%") == 0.03
    assert parse_with_unit("time-budget", None) is None
    with pytest.raises(RequestError, match="time-budget"):
        parse_with_unit("time-budget", "3 GiB")


# ---------------------------------------------------------------------------- for one model only


def config(**settings: Any) -> Config:
    return Config(original="a", compressed="b", **settings)


def test_what_is_said_for_one_model_adds_to_what_holds_for_both_and_wins() -> None:
    both = config(
        batch_size=4,
        input_shapes={"x": (1, 2), "y": (1, 3)},
        provider_options={"k": "1", "l": "2"},
        session_options={"s": "1"},
        custom_op_libraries=("common.so",),
        trust_model_code=True,
        original_only=ModelOptions(
            batch_size=8,
            input_shapes={"y": (1, 5), "z": (1, 7)},
            provider_options={"l": "3"},
            session_options={"t": "2"},
            custom_op_libraries=("own.so", "common.so"),
        ),
    )
    original, compressed = both.of("original"), both.of("compressed")
    assert (original.batch_size, compressed.batch_size) == (8, 4)
    assert original.input_shapes == {"x": (1, 2), "y": (1, 5), "z": (1, 7)}
    assert compressed.input_shapes == {"x": (1, 2), "y": (1, 3)}
    assert original.provider_options == {"k": "1", "l": "3"}
    assert compressed.provider_options == {"k": "1", "l": "2"}
    assert original.session_options == {"s": "1", "t": "2"}
    assert original.custom_op_libraries == ("common.so", "own.so")
    assert compressed.custom_op_libraries == ("common.so",)


def test_maps_of_one_model() -> None:
    both = config(
        map_input={"p": "a", "q": "b"},
        map_output={"y": "z"},
        compressed_only=ModelOptions(map_input={"r": "a"}, map_output={"y": "out"}),
    )
    # One array feeds an input: the own one. The common --map-output pairs, it renames nothing.
    assert both.of("compressed").map_input == {"q": "b", "r": "a"}
    assert both.of("compressed").map_output == {"y": "out"}
    assert both.of("original").map_input == {"p": "a", "q": "b"}
    assert both.of("original").map_output == {}


def test_errors_name_the_option_for_one_model() -> None:
    with pytest.raises(RequestError, match="--compressed-batch-size is 0"):
        config(compressed_only=ModelOptions(batch_size=0))
    with pytest.raises(RequestError, match="'a' twice") as caught:
        config(original_only=ModelOptions(map_input={"x": "a", "y": "a"}))
    assert "--original-map-input" in caught.value.message


def test_two_values_for_one_name_are_refused() -> None:
    assert parse_mapping("provider-option", ["a=1", "a=1"]) == {"a": "1"}
    with pytest.raises(RequestError, match="two values: b and c") as caught:
        parse_mapping("map-input", ["a=b", "a=c"])
    assert "--compressed-map-input" in caught.value.hint
    with pytest.raises(RequestError, match="--original-map-input") as caught:
        parse_mapping("original-map-input", ["a=b", "a=c"])
    assert "--original-original" not in caught.value.hint


def test_settings_of_one_model_are_in_the_report() -> None:
    shown = config(original_only=ModelOptions(input_shapes={"x": (1, 3)})).as_json()
    assert shown["original_only"]["input_shapes"] == {"x": (1, 3)}
    assert shown["compressed_only"]["batch_size"] is None
