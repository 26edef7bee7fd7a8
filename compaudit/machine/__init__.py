"""This machine: what it has, how busy it is, what a model may take of it, and whose turn it is.

`processors` and `instructions` say what there is, `cgroups` what this process may have of it,
`activity` what else is going on, `description` puts it into a report, and `lock` lets one audit
time at once.
"""

from compaudit.machine.activity import throttled_s
from compaudit.machine.cgroups import cpu_quota, memory_limit
from compaudit.machine.description import describe
from compaudit.machine.instructions import instruction_sets
from compaudit.machine.processors import (
    cpu_name,
    default_threads,
    hyperthreads,
    physical_cores,
    usable_cores,
    usable_memory,
)

__all__ = [
    "cpu_name",
    "cpu_quota",
    "default_threads",
    "describe",
    "hyperthreads",
    "instruction_sets",
    "memory_limit",
    "physical_cores",
    "throttled_s",
    "usable_cores",
    "usable_memory",
]
