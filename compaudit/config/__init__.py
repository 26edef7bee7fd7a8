"""Flags, and the keywords of the Python API, become one validated, frozen object.

`settings` is that object, `one_model` what it holds for one of the two models only, `sweep` the
settings that models are timed at, `parsing` makes values from text, and `checks` refuses impossible
ones.
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
    Inconclusive,
    Measurement,
    Task,
    Which,
)
from compaudit.config.sweep import Setting, Sweep, parse_names, parse_numbers

__all__ = [
    "DEFAULT_TIME_BUDGET_S",
    "MEASUREMENTS",
    "SLOW_MODEL_TIME_BUDGET_S",
    "Config",
    "Inconclusive",
    "Measurement",
    "ModelOptions",
    "Setting",
    "Sweep",
    "Task",
    "Which",
    "did_you_mean",
    "parse_mapping",
    "parse_names",
    "parse_numbers",
    "parse_shapes",
    "parse_with_unit",
    "select_measurements",
]
