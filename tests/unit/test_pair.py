"""How each of the two models is run."""

from pathlib import Path
from typing import Any

import pytest

from compaudit import machine
from compaudit.config import Config, ModelOptions
from compaudit.errors import RequestError
from compaudit.pair import Pair, open_pair

SAMPLES = Path(__file__).parents[2] / "sample_models"


def opened(original: str, compressed: str, **settings: Any) -> Pair:
    return open_pair(
        Config(original=str(SAMPLES / original), compressed=str(SAMPLES / compressed), **settings)
    )


def test_both_are_run_alike_unless_something_else_is_said() -> None:
    pair = opened("digits.onnx", "digits_int8.onnx", device="cuda:1", session_options={"s": "1"})
    assert pair.original.settings == pair.compressed.settings
    settings = pair.original.settings
    assert (settings.device, settings.session_options) == ("cuda:1", {"s": "1"})
    assert settings.threads == machine.default_threads()
    assert not settings.compiled


def test_options_of_one_model_reach_that_model() -> None:
    own = ModelOptions(
        provider_options={"k": "2"}, session_options={"s": "1"}, custom_op_libraries=("a.so",)
    )
    pair = opened(
        "digits.onnx",
        "digits_int8.onnx",
        threads=3,
        provider_options={"k": "1", "l": "1"},
        trust_model_code=True,
        compressed_only=own,
    )
    original, compressed = pair.original.settings, pair.compressed.settings
    assert original.threads == compressed.threads == 3
    assert original.provider_options == {"k": "1", "l": "1"}
    assert compressed.provider_options == {"k": "2", "l": "1"}
    assert (original.session_options, compressed.session_options) == ({}, {"s": "1"})
    assert (original.custom_op_libraries, compressed.custom_op_libraries) == ((), ("a.so",))


@pytest.mark.parametrize(
    ("original", "compressed", "compiled"),
    [
        ("digits.pt2", "digits.pt2", (True, True)),
        ("digits.pt2", "digits.onnx", (True, False)),
        ("digits.onnx", "digits.pt2", (False, True)),
    ],
)
def test_compile_is_for_pytorch_models(
    original: str, compressed: str, compiled: tuple[bool, bool]
) -> None:
    pair = opened(original, compressed, compile=True)
    assert (pair.original.settings.compiled, pair.compressed.settings.compiled) == compiled
    assert not opened(original, compressed).original.settings.compiled


def test_compile_without_a_pytorch_model() -> None:
    with pytest.raises(RequestError, match=r"digits\.onnx nor digits_int8\.onnx") as caught:
        opened("digits.onnx", "digits_int8.onnx", compile=True)
    assert caught.value.code == "not-compilable"
    assert "ONNX Runtime optimises by itself" in caught.value.hint


@pytest.mark.parametrize(
    ("own", "option"),
    [
        (ModelOptions(provider_options={"k": "1"}), "--compressed-provider-option"),
        (ModelOptions(session_options={"k": "1"}), "--compressed-session-option"),
        (ModelOptions(custom_op_libraries=("a.so",)), "--compressed-custom-op-library"),
    ],
)
def test_options_of_onnx_runtime_for_a_pytorch_model(own: ModelOptions, option: str) -> None:
    with pytest.raises(RequestError, match=option) as caught:
        opened("digits.onnx", "digits.pt2", compressed_only=own, trust_model_code=True)
    assert caught.value.code == "not-for-this-model"
    # What is said for the ONNX model alone, or for both, is in order.
    opened("digits.onnx", "digits.pt2", original_only=own, trust_model_code=True)
    opened("digits.onnx", "digits.pt2", provider_options={"k": "1"})
