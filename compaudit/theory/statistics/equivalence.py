"""One-sided statements: is the compressed model no worse than the original by more than a margin?

The samples that changed are few, and bounds made for many are too bold there: with 400 samples of
which 60 % are right, Newcombe's one-sided 95 % bound errs 13 % of the time where 0.5 % are broken
and none is fixed. The bound here does not depend on how many samples both models get right.
"""

import math
from collections.abc import Callable
from operator import index
from typing import SupportsIndex

from compaudit.theory import special

from .interval import normal_quantile

POWER = 0.8
"""With what probability as many samples as `samples_to_decide` says do decide."""

_STEPS = 50

_MOST_SAMPLES = 10**12


def two_sided_level(one_sided: float) -> float:
    """Return the two-sided confidence whose limits hold each by itself with this confidence.

    Args:
        one_sided: above ½ and below 1.

    Returns:
        2·one_sided − 1, so 0.9 for 0.95.

    Raises:
        ValueError: one_sided is not between ½ and 1.
    """
    if not 0.5 < one_sided < 1:
        raise ValueError(f"a one-sided confidence must be between 0.5 and 1, got {one_sided}")
    return 2 * one_sided - 1


def score_statistic(broken: float, fixed: float, n: float, difference: float) -> float:
    """Return how many standard errors the change of a proportion lies above a supposed one.

    The standard error is the one at the most likely proportions that differ by `difference`, and
    does not vanish when no sample changed.

    Args:
        broken: samples where only the first succeeds.
        fixed: samples where only the second succeeds.
        n: all samples.
        difference: supposed value of p_second − p_first, between −1 and 1.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design", Statistics in Medicine 17:891.
    """
    above = fixed - broken - n * difference
    variance = n * _variance(broken / n, fixed / n, difference)
    return above / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, above)


def paired_lower_bound(
    broken: SupportsIndex, fixed: SupportsIndex, n: SupportsIndex, confidence: float = 0.95
) -> float:
    """Return a one-sided lower bound of p_second − p_first on the same samples.

    It is the largest difference that is excluded, together with all below it: by Tango's score
    test, and by the exact probability of a result at least as good where the only flips are those
    that the difference demands. The second keeps the error at its level where few samples changed:
    the score test alone errs 6.1 % of the time instead of 5 % where 0.5 % of 899 are broken.

    Args:
        broken: samples where only the first succeeds.
        fixed: samples where only the second succeeds.
        n: all samples, at least 1.
        confidence: one-sided, above ½.

    Returns:
        The bound as a fraction within [−1, 1]. The upper bound is minus that of swapped counts.

    Raises:
        TypeError: a count is not an integer.
        ValueError: counts do not fit each other, or confidence is not between ½ and 1.

    Source: Tango 1998; the exact part is the unconditional test of Barnard 1945 at the end of the
    range of the other proportion.
    """
    lost, won, count = _counts(broken, fixed, n)
    two_sided_level(confidence)
    needed = normal_quantile(confidence)
    low, high = -1.0, (won - lost) / count
    for _ in range(_STEPS):
        middle = (low + high) / 2
        score = score_statistic(lost, won, count, middle)
        excluded = score >= needed and _tail(score, count, middle) <= 1 - confidence
        low, high = (middle, high) if excluded else (low, middle)
    return low


def samples_to_decide(
    broken: SupportsIndex,
    fixed: SupportsIndex,
    n: SupportsIndex,
    margin: float,
    confidence: float = 0.95,
) -> int | None:
    """Return about how many samples tell on which side of −margin the change of a proportion lies.

    With the rates of flips seen so far, of change δ and variance σ² = p_broken + p_fixed − δ²:

        n = (z_confidence·σ₀ + z_power·σ)² / (δ + margin)²

    where σ₀ is σ at the most likely rates that differ by −margin, and never fewer than with which
    `paired_lower_bound` decides if the flips keep their shares exactly.

    Args:
        broken: samples where only the first succeeds.
        fixed: samples where only the second succeeds.
        n: all samples so far, at least 1.
        margin: the loss that must not be exceeded, as a fraction above 0.
        confidence: one-sided, above ½.

    Returns:
        The number for a power of 80 %; None where the change is the margin, or so near that a
        million million samples would not tell it from that.

    Raises:
        TypeError: a count is not an integer.
        ValueError: counts do not fit each other, or a margin or confidence out of range.

    Source: Lachenbruch 1992, "On the sample size for studies based upon McNemar's test", Statistics
    in Medicine 11:1521, after Connor 1987, Biometrics 43:207; with a margin Nam 1997, Biometrics
    53:1422, "Establishing equivalence of two treatments and sample size requirements in
    matched-pairs design".
    """
    lost, won, count = _counts(broken, fixed, n)
    if not 0 < margin < 1:
        raise ValueError(f"a margin must be between 0 and 1, got {margin}")
    two_sided_level(confidence)
    p_broken, p_fixed = lost / count, won / count
    change = p_fixed - p_broken
    apart = change + margin
    supposed = math.sqrt(_variance(p_broken, p_fixed, -margin))
    seen = math.sqrt(p_broken + p_fixed - change**2)
    wanted = normal_quantile(confidence) * supposed + normal_quantile(POWER) * seen
    if wanted >= abs(apart) * math.sqrt(_MOST_SAMPLES):
        return None
    samples = math.ceil((wanted / apart) ** 2)
    while not _decides(p_broken, p_fixed, samples, margin, confidence):
        samples += max(1, samples // 64)
    return samples


def _decides(p_broken: float, p_fixed: float, n: int, margin: float, confidence: float) -> bool:
    broken = round(p_broken * n)
    fixed = min(round(p_fixed * n), n - broken)
    return (
        paired_lower_bound(broken, fixed, n, confidence) >= -margin
        or -paired_lower_bound(fixed, broken, n, confidence) < -margin
    )


def _variance(p_broken: float, p_fixed: float, difference: float) -> float:
    """Of one sample's change, at the most likely rates of flips that differ by `difference`."""
    # The larger root of 2q² + b·q + c = 0 is the rate of broken ones.
    b = (2 - p_fixed + p_broken) * difference - p_broken - p_fixed
    c = -p_broken * difference * (1 - difference)
    rate = (math.sqrt(max(0.0, b * b - 8 * c)) - b) / 4
    return 2 * rate + difference * (1 - difference)


def _tail(score: float, n: int, difference: float) -> float:
    """The probability of this score or a higher one where all flips are of one kind."""
    if difference == 0:
        return 0.0  # no flips at all, which is no more than a score of zero
    # As close a score as another order of the same operations gives is the same score.
    least = score - 1e-9 * abs(score)
    # Binomial tails as incomplete beta functions: those of SciPy end at 2³¹ trials.
    if difference < 0:
        most = _last(lambda broken: score_statistic(broken, 0, n, difference) >= least, n)
        if most in (-1, n):
            return float(most == n)
        return float(special.betainc(n - most, most + 1, 1 + difference))
    lacking = _last(lambda fixed: score_statistic(0, fixed, n, difference) < least, n)
    if lacking in (-1, n):
        return float(lacking == -1)
    return float(special.betainc(lacking + 1, n - lacking, difference))


def _last(holds: Callable[[int], bool], n: int) -> int:
    """The last of 0 … n for which something holds that holds up to a point; −1 for none."""
    low, high = -1, n
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _counts(broken: SupportsIndex, fixed: SupportsIndex, n: SupportsIndex) -> tuple[int, int, int]:
    lost, won, count = index(broken), index(fixed), index(n)
    if lost < 0 or won < 0 or count < 1 or lost + won > count:
        raise ValueError(f"{lost} broken and {won} fixed of {count} samples do not fit")
    return lost, won, count
