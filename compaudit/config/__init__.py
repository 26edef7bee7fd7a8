"""Flags, files, and the keywords of the Python API become one validated, frozen object.

`settings` is that object, `one_model` what it holds for one of the two models only, `sweep` the
settings that models are timed at, `options` makes it from the options of the command line,
`parsing` their values from text, and `checks` refuses impossible ones. `file` finds and reads
compaudit.toml, `policy` files of requirements.
"""

from compaudit.config.checks import did_you_mean
from compaudit.config.file import FileSettings, find_file, keys_of_files, read_file
from compaudit.config.one_model import ModelOptions
from compaudit.config.options import check_options, config_from
from compaudit.config.parsing import (
    parse_mapping,
    parse_shapes,
    parse_with_unit,
    select_measurements,
)
from compaudit.config.policy import read_policy
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
from compaudit.config.sweep import Setting, Sweep, parse_names, parse_numbers

__all__ = [
    "DEFAULT_TIME_BUDGET_S",
    "MEASUREMENTS",
    "SLOW_MODEL_TIME_BUDGET_S",
    "Config",
    "EngineName",
    "FileSettings",
    "Inconclusive",
    "Measurement",
    "ModelOptions",
    "Setting",
    "Sweep",
    "Task",
    "Which",
    "check_options",
    "config_from",
    "did_you_mean",
    "find_file",
    "keys_of_files",
    "parse_mapping",
    "parse_names",
    "parse_numbers",
    "parse_shapes",
    "parse_with_unit",
    "read_file",
    "read_policy",
    "select_measurements",
]
