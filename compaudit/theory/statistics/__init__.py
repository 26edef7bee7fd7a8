"""Intervals, tests, mergeable moments and verdicts, in plain formulas on numbers.

One subject a file: `interval` (the common type, Student's t), `moments` (means), `quantiles`,
`proportions` (Wilson), `paired` (Newcombe, McNemar), `timing` (δ from epochs), `stopping` (how
long to measure) and `verdict` (what may be said).
"""

from .interval import Interval
from .moments import Moments, mean_interval, paired_mean_difference
from .paired import mcnemar_exact, newcombe_paired_difference
from .proportions import wilson_interval
from .quantiles import Quantiles
from .stopping import (
    POCOCK_TWO_LOOKS,
    TARGET_HALF_WIDTH,
    extension_epochs,
    two_look_level,
    two_look_quantile,
)
from .timing import (
    MINIMUM_EPOCHS,
    epoch_value,
    minimal_detectable_effect,
    noise_floor,
    quad_value,
    ratio_interval,
    standard_error,
    trimmed_mean,
)
from .verdict import EQUIVALENCE_MARGIN, SENTINEL_TOLERANCE, Verdict, verdict

__all__ = [
    "EQUIVALENCE_MARGIN",
    "MINIMUM_EPOCHS",
    "POCOCK_TWO_LOOKS",
    "SENTINEL_TOLERANCE",
    "TARGET_HALF_WIDTH",
    "Interval",
    "Moments",
    "Quantiles",
    "Verdict",
    "epoch_value",
    "extension_epochs",
    "mcnemar_exact",
    "mean_interval",
    "minimal_detectable_effect",
    "newcombe_paired_difference",
    "noise_floor",
    "paired_mean_difference",
    "quad_value",
    "ratio_interval",
    "standard_error",
    "trimmed_mean",
    "two_look_level",
    "two_look_quantile",
    "verdict",
    "wilson_interval",
]
