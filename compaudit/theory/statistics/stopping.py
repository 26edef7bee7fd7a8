"""How long to measure: a pilot, at most one extension, and an error shared between the two looks.

Looking until the interval pleases covers the truth far too rarely. Here the length of the extension
depends on nothing but the pilot's spread, and each of the two looks spends less than the whole
error.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from compaudit.theory import special

from .interval import t_quantile, upper_probability
from .timing import standard_error

POCOCK_TWO_LOOKS: Final = 0.0294
TARGET_HALF_WIDTH: Final = 0.03


@cache
def two_look_level(confidence: float = 0.95) -> float:
    """Return Pocock's nominal level: what each of two equal looks may spend.

    Both looks at this level keep the probability of a false alarm at either one at 1 − confidence.

    Args:
        confidence: coverage of the two looks together, 0.95 by default.

    Returns:
        `POCOCK_TWO_LOOKS` = 0.0294 for 0.95; 0.0607 for 0.9, 0.0056 for 0.99.

    Raises:
        ValueError: confidence is not between 0 and 1.

    Source: Pocock 1977, "Group sequential methods in the design and analysis of clinical trials",
    Biometrika 64:191, table 1.
    """
    upper_probability(confidence)
    if confidence == 0.95:
        return POCOCK_TWO_LOOKS
    # The critical value lies between one look's and Bonferroni's.
    low, high = (float(special.ndtri(1 - (1 - confidence) / k)) for k in (2, 4))
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if _both_looks_inside(middle) < confidence:
            low = middle
        else:
            high = middle
    return float(2 * special.ndtr(-high))


def two_look_quantile(confidence: float = 0.95) -> float:
    """Return the probability of the t quantile for one of two looks.

    Args:
        confidence: coverage of the two looks together, 0.95 by default.

    Returns:
        1 − `two_look_level` / 2, so 0.9853 for 0.95.

    Raises:
        ValueError: confidence is not between 0 and 1.
    """
    return 1 - two_look_level(confidence) / 2


def extension_epochs(
    pilot_values: Sequence[float],
    target_half_width: float = TARGET_HALF_WIDTH,
    confidence: float = 0.95,
    quantile_probability: float | None = None,
) -> int:
    """Return how many further epochs the pilot's spread asks for.

    The answer is the smallest extension with exp(t·s/√n) − 1 ≤ target_half_width, n counting pilot
    and extension, s the pilot's standard deviation and t with n − 1 degrees of freedom. The mean of
    the pilot plays no part, so what was found cannot decide how long to look.

    Args:
        pilot_values: log δ of each pilot epoch, at least 2.
        target_half_width: half-width of the interval of δ relative to δ, as a fraction.
        confidence: coverage of the two looks together, 0.95 by default.
        quantile_probability: probability of the t quantile; by default `two_look_quantile`.

    Returns:
        The number of further epochs, 0 when the pilot is narrow enough. It has no upper limit: the
        time budget is the caller's.

    Raises:
        ValueError: fewer than 2 epochs, a value that is not finite, a target that is not positive,
            confidence or quantile_probability not between 0 and 1.

    Source: Stein 1945, "A two-sample test for a linear hypothesis whose power is independent of the
    variance", Annals of Mathematical Statistics 16:243.
    """
    if not 0 < target_half_width < math.inf:
        raise ValueError(f"target half-width must be positive, got {target_half_width}")
    probability = two_look_quantile(confidence)
    if quantile_probability is not None:
        probability = quantile_probability
    error = standard_error(pilot_values)
    if error is None:
        raise ValueError("one epoch has no spread; a pilot needs at least 2")
    pilot = len(pilot_values)
    deviation = error * math.sqrt(pilot)
    target = math.log1p(target_half_width)

    def wide(n: int) -> bool:
        return t_quantile(probability, n - 1) * deviation / math.sqrt(n) > target

    if not wide(pilot):
        return 0
    # t/√n falls with n: double, then halve the bracket.
    too_few, enough = pilot, 2 * pilot
    while wide(enough):
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (middle, enough) if wide(middle) else (too_few, middle)
    return enough - pilot


def _both_looks_inside(critical: float) -> float:
    """Return P(|Z₁| < c and |Z₂| < c) for looks at half and at all of the data (ρ = √½)."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    z = critical * nodes
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    # With ρ = √(1 − ρ²) the standardised limits (±c − ρz) / √(1 − ρ²) are ±√2·c − z.
    limit = math.sqrt(2) * critical
    inside = special.ndtr(limit - z) - special.ndtr(-limit - z)
    return float(critical * np.sum(weights * density * inside))
