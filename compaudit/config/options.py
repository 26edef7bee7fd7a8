"""The options of an audit, as they were typed or as a file holds them, become a `Config`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compaudit.config.one_model import ModelOptions
from compaudit.config.parsing import (
    parse_mapping,
    parse_shapes,
    parse_with_unit,
    select_measurements,
)
from compaudit.config.policy import read_policy
from compaudit.config.settings import Config, Which
from compaudit.errors import RequestError

__all__ = ["check_options", "config_from", "model_options_from"]

_WITH_UNITS = {
    "time-budget": "time_budget_s",
    "resolution": "resolution",
    "confidence": "confidence",
    "timeout": "timeout_s",
    "memory-limit": "memory_limit_bytes",
}
_AS_THEY_ARE = (
    *("data", "preprocess", "task", "model-output", "limit", "seed", "device", "threads"),
    *("compile", "inconclusive", "raw", "profile", "trace", "worst", "workers", "policy"),
    *("baseline", "trust-model-code", "config-file", "engine", "ray-address"),
)


def config_from(original: str, compressed: str, options: Mapping[str, Any]) -> Config:
    """The settings of one audit.

    Args:
        original: the model as typed.
        compressed: likewise.
        options: what was given, by the long names of the options without their dashes; what is
            missing or None is left at its default. Requirements of a ``policy`` come first.

    Raises:
        RequestError: a value is not of the form that its option takes, or is impossible.
    """
    given = {name: value for name, value in options.items() if value is not None}
    settings: dict[str, Any] = {
        name.replace("-", "_"): given[name] for name in _AS_THEY_ARE if name in given
    }
    for name, field in _WITH_UNITS.items():
        if name in given:
            value = parse_with_unit(name, given[name])
            whole = value is not None and name == "memory-limit"
            settings[field] = round(value or 0) if whole else value
    policy = read_policy(given["policy"]) if "policy" in given else ()
    common = model_options_from(given)
    settings |= {name: getattr(common, name) for name in ModelOptions.__struct_fields__}
    return Config(
        original=original,
        compressed=compressed,
        metrics=tuple(given.get("metric", ())),
        requirements=tuple(dict.fromkeys((*policy, *given.get("require", ())))),
        measurements=select_measurements(given.get("only", ()), given.get("skip", ())),
        cache=not given.get("no-cache", False),
        lock=not given.get("no-lock", False),
        original_only=model_options_from(given, "original"),
        compressed_only=model_options_from(given, "compressed"),
        **settings,
    )


def model_options_from(options: Mapping[str, Any], which: Which | None = None) -> ModelOptions:
    """What was said for one model, or for both.

    Raises:
        RequestError: a value is not of the form that its option takes.
    """
    prefix = f"{which}-" if which else ""

    def given(name: str) -> Any:
        return options.get(f"{prefix}{name}") or ()

    def mapping(name: str) -> dict[str, str]:
        return parse_mapping(f"{prefix}{name}", given(name))

    return ModelOptions(
        batch_size=options.get(f"{prefix}batch-size"),
        input_shapes=parse_shapes(given("input-shape"), f"{prefix}input-shape"),
        map_input=mapping("map-input"),
        map_output=mapping("map-output"),
        provider_options=mapping("provider-option"),
        session_options=mapping("session-option"),
        custom_op_libraries=tuple(given("custom-op-library")),
    )


def check_options(options: Mapping[str, Any], path: str) -> None:
    """Whether an audit could have these settings of a file, whatever else is asked for.

    Raises:
        RequestError: naming the file, of what the error of the option says.
    """
    try:
        others = {name: value for name, value in options.items() if name != "policy"}
        config_from("original", "compressed", {"data": "data.npz", **others})
    except RequestError as error:
        raise RequestError(f"{path}: {error.message}", hint=error.hint, code=error.code) from error
