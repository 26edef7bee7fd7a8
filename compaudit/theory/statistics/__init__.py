"""Intervals, tests, mergeable moments and verdicts, in plain formulas on numbers.

One subject a file: `interval` (the common type, Student's t), `moments` (means), `blocked` (means
of tokens in sequences), `transformed` (their exponentials), `quantiles`, `signed_quantiles`,
`proportions` (Wilson), `paired` (Newcombe, McNemar), `equivalence` (one-sided bounds), `multiple`
(Holm), `jackknife` (figures that are no means), `timing` (δ from epochs), `block_design` (all
differences of many models), `stopping` (how long to measure) and `verdict` (what may be said).
"""

from .block_design import Difference, apart, block_differences
from .blocked import BlockedMean
from .blocked_proportions import blocked_paired_difference, blocked_proportion
from .equivalence import paired_lower_bound, samples_to_decide, two_sided_level
from .interval import Interval
from .jackknife import (
    GROUPS,
    group_of,
    jackknife_error,
    jackknife_interval,
    jackknife_p_value,
    why_no_jackknife,
)
from .moments import Moments, mean_interval, paired_mean_difference
from .multiple import holm
from .paired import mcnemar_exact, newcombe_paired_difference
from .proportions import wilson_interval
from .quantiles import Quantiles
from .signed_quantiles import SignedQuantiles
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
    unpaired_ratio_interval,
)
from .transformed import difference_of_exponentials, exponential, root
from .verdict import EQUIVALENCE_MARGIN, SENTINEL_TOLERANCE, Verdict, verdict

__all__ = [
    "EQUIVALENCE_MARGIN",
    "GROUPS",
    "MINIMUM_EPOCHS",
    "POCOCK_TWO_LOOKS",
    "SENTINEL_TOLERANCE",
    "TARGET_HALF_WIDTH",
    "BlockedMean",
    "Difference",
    "Interval",
    "Moments",
    "Quantiles",
    "SignedQuantiles",
    "Verdict",
    "apart",
    "block_differences",
    "blocked_paired_difference",
    "blocked_proportion",
    "difference_of_exponentials",
    "epoch_value",
    "exponential",
    "extension_epochs",
    "group_of",
    "holm",
    "jackknife_error",
    "jackknife_interval",
    "jackknife_p_value",
    "mcnemar_exact",
    "mean_interval",
    "minimal_detectable_effect",
    "newcombe_paired_difference",
    "noise_floor",
    "paired_lower_bound",
    "paired_mean_difference",
    "quad_value",
    "ratio_interval",
    "root",
    "samples_to_decide",
    "standard_error",
    "trimmed_mean",
    "two_look_level",
    "two_look_quantile",
    "two_sided_level",
    "unpaired_ratio_interval",
    "verdict",
    "why_no_jackknife",
    "wilson_interval",
]
