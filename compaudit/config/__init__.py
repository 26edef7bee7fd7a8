"""Flags, and the keywords of the Python API, become one validated, frozen object.

`settings` is that object, `one_model` what it holds for one of the two models only, `parsing` makes
its values from text, and `checks` refuses impossible ones.
"""

from compaudit.config.checks import did_you_mean
from compaudit.config.one_model import ModelOptions
from compaudit.config.parsing import (
    parse_mapping,
    parse_shapes,
    parse_with_unit,
    select_measurements,
)
from compaudit.config.settings import (
    DEFAULT_TIME_BUDGET_S,
    MEASUREMENTS,
    SLOW_MODEL_TIME_BUDGET_S,
    Config,
    EngineName,
    Inconclusive,
    Measurement,
    Task,
    Which,
)

__all__ = [
    "DEFAULT_TIME_BUDGET_S",
    "MEASUREMENTS",
    "SLOW_MODEL_TIME_BUDGET_S",
    "Config",
    "EngineName",
    "Inconclusive",
    "Measurement",
    "ModelOptions",
    "Task",
    "Which",
    "did_you_mean",
    "parse_mapping",
    "parse_shapes",
    "parse_with_unit",
    "select_measurements",
]
