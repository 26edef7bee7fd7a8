"""Intervals for figures that are no means: what they would be without one group of the samples.

Calibration error and r² are functions of sums over all samples, and their spread has no simple
formula. The sums are kept by group, and the figure is worked out anew without each of them.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compaudit.theory import special

from .interval import Interval, t_quantile, upper_probability

GROUPS = 32
"""Enough degrees of freedom for Student's t to be near the normal, few enough to keep sums of."""

_SMALLEST_GROUP = 2


def group_of(samples: ArrayLike) -> NDArray[np.int64]:
    """Return the group that each sample belongs to, wherever and with whatever it is measured.

    The group is a hash of the sample's index and so as good as random: samples that lie in some
    order (sorted by class, cameras taking turns) are spread over the groups by chance, as the
    jackknife supposes.

    Args:
        samples: indices from 0, of any shape.

    Returns:
        Numbers from 0 to `GROUPS` − 1, of that shape.

    Source: SplitMix64 started at the index times its increment; Steele, Lea, Flood 2014, "Fast
    splittable pseudorandom number generators", with Stafford's mixing constants (variant 13).
    """
    mixed = np.asarray(samples).astype(np.uint64)
    mixed = (mixed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(GROUPS)).astype(np.int64)


def why_no_jackknife(sizes: ArrayLike) -> str | None:
    """Return why these groups are too small for an interval; None where they are not."""
    counts = np.asarray(sizes)
    samples, wanted = int(counts.sum()), _SMALLEST_GROUP * GROUPS
    if samples >= wanted:
        return None
    return f"its interval needs at least {wanted} samples, and there are {samples}"


def jackknife_error(value: float, without: ArrayLike, sizes: ArrayLike) -> float | None:
    """Return the standard error of a figure from its values without one group each.

    With pseudovalues ṽ_g = h_g·v − (h_g − 1)·v₍₋g₎, where h_g = n / n_g, and their weighted mean
    ṽ = G·v − Σ (1 − n_g / n)·v₍₋g₎:

        var = 1/G · Σ (ṽ_g − ṽ)² / (h_g − 1)

    For a mean this is without bias, whatever the sizes of the groups; for equal groups it is the
    delete-d jackknife (G − 1)/G · Σ (v₍₋g₎ − mean)².

    Args:
        value: the figure of all samples.
        without: the figure without one group, (groups,).
        sizes: how many samples are in each group, (groups,); groups without any do not count.

    Returns:
        The error in the unit of the figure; None for fewer than 2 groups, and where a figure is not
        finite.

    Source: Busing, Meijer, van der Leeden 1999, "Delete-m jackknife for unequal m", Statistics and
    Computing 9:3; for groups of one size Shao, Tu 1995, "The Jackknife and Bootstrap",
    chapter 2.
    """
    counts = np.asarray(sizes, dtype=np.float64)
    held = counts > 0
    counts, figures = counts[held], np.asarray(without, dtype=np.float64)[held]
    if len(counts) < 2 or not (math.isfinite(value) and np.isfinite(figures).all()):
        return None
    shares = counts / counts.sum()
    # All about `value`, so that no large figures cancel.
    below = figures - value
    centre = -float(np.sum((1 - shares) * below))
    pseudovalues = -(1 / shares - 1) * below
    return math.sqrt(float(np.mean((pseudovalues - centre) ** 2 * shares / (1 - shares))))


def jackknife_interval(
    value: float, error: float | None, sizes: ArrayLike, confidence: float = 0.95
) -> Interval:
    """Return the figure ± t·error, with one degree of freedom less than groups.

    Args:
        value: the figure of all samples.
        error: of `jackknife_error`.
        sizes: of the groups.
        confidence: two-sided coverage, 0.95 by default.

    Raises:
        ValueError: confidence is not between 0 and 1.
    """
    probability = upper_probability(confidence)
    if error is None:
        return Interval(value, None, None)
    margin = t_quantile(probability, _degrees_of_freedom(sizes)) * error
    return Interval(value, value - margin, value + margin)


def jackknife_p_value(value: float, error: float | None, sizes: ArrayLike) -> float | None:
    """Return the two-sided p-value of "the figure is zero"; None without an error."""
    if error is None:
        return None
    if value == 0:
        return 1.0
    statistic = -math.inf if error == 0 else -abs(value) / error
    return float(2.0 * special.stdtr(_degrees_of_freedom(sizes), statistic))


def _degrees_of_freedom(sizes: Any) -> int:
    return int(np.count_nonzero(np.asarray(sizes))) - 1
