"""All differences between models that were timed in the same epochs, a randomised block design.

Every epoch holds every model, so that each difference of two models has one value an epoch. Six
epochs say little about the spread of a single difference, and an interval that has to hold beside
65 others pays for that dearly: Student's t at 5 degrees of freedom is 7.3 there, 3.6 at 55. What
all models have in common is learnt from all of them: the residual variance of a two-way layout has
(epochs − 1)(models − 1) degrees of freedom.

A common variance is an assumption, and models differ: one may be five times as noisy as another. No
difference is therefore given less than the variance of its own two models, and none less than the
pooled one; and neither is given more degrees of freedom than unequal variances leave. With equal
noise that costs 5 % of the width. `tests/unit/ranking/test_coverage.py` counts how often all
intervals hold together, over thousands of simulated experiments.

Sources: Fisher 1935, "The design of experiments" (blocks, the residual); Grubbs 1948, "On
estimating precision of measuring instruments and product variability", JASA 43:243 (each model's
own variance, from those of differences); Box 1954, "Some theorems on quadratic forms applied in the
study of analysis of variance problems", Annals of Mathematical Statistics 25:290 (degrees of
freedom of a pooled variance when variances are unequal); Satterthwaite 1946, "An approximate
distribution of estimates of variance components", Biometrics Bulletin 2:110 (of a sum of two).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .interval import Interval, t_quantile
from .timing import MINIMUM_EPOCHS, bounded_ratio, standard_error

__all__ = ["Difference", "apart", "block_differences"]

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two models are apart, in logarithms, and how well that is known.

    Attributes:
        mean: of the epochs' differences.
        epochs: how many there are.
        variance: of one epoch's difference.
        freedom: degrees of freedom of that variance.
    """

    mean: float
    epochs: int
    variance: float
    freedom: float

    def ratio(self, quantile_probability: float) -> Interval:
        """Return exp(mean ± t·√(variance / epochs)).

        Args:
            quantile_probability: of Student's t at the upper limit.

        Returns:
            A ratio of times; its limits are None with fewer than `MINIMUM_EPOCHS` epochs.

        Raises:
            ValueError: a probability that is none, or a mean beyond the range of exp.
        """
        if self.epochs < MINIMUM_EPOCHS:
            return bounded_ratio(self.mean, None)
        error = math.sqrt(self.variance / self.epochs)
        return bounded_ratio(self.mean, t_quantile(quantile_probability, self.freedom) * error)


def apart(one: Difference, other: Difference) -> Difference:
    """Return by how much the first exceeds the second, where they come from two experiments.

    Their variances add up, with Satterthwaite's degrees of freedom.
    """
    parts = [found.variance / found.epochs for found in (one, other)]
    weight = math.fsum(p**2 / d.freedom for p, d in zip(parts, (one, other), strict=True))
    epochs = min(one.epochs, other.epochs)
    return Difference(
        one.mean - other.mean,
        epochs,
        math.fsum(parts) * epochs,
        math.fsum(parts) ** 2 / weight if weight else one.freedom + other.freedom,
    )


def block_differences(values: Mapping[Pair, Sequence[float]]) -> dict[Pair, Difference]:
    """Return every difference of two models with a variance that all of them tell of.

    Args:
        values: log ratio of every two models in each epoch; every pair once, in either order, and
            as many epochs for each, at least 2.

    Raises:
        ValueError: a pair is missing or there twice, numbers of epochs differ or are below 2, or a
            value is not finite.
    """
    epochs, models = _shape(values)
    means = {pair: math.fsum(found) / epochs for pair, found in values.items()}
    own = {pair: epochs * (standard_error(found) or 0.0) ** 2 for pair, found in values.items()}
    most = (epochs - 1) * (len(models) - 1)
    if len(models) == 2:
        return {pair: Difference(means[pair], epochs, own[pair], most) for pair in values}
    # The variance of a difference is the sum of two models' variances: so their sum over all pairs
    # has each model's as often as it has partners.
    total = math.fsum(own.values()) / (len(models) - 1)
    pooled = 2 * total / len(models)
    single = {
        name: max(
            0.0,
            (math.fsum(own[pair] for pair in own if name in pair) - total) / (len(models) - 2),
        )
        for name in models
    }
    of_pooled = _freedom_of_pooled(list(single.values()), epochs - 1, most)
    found = {}
    for pair in values:
        first, second = (single[name] for name in pair)
        beyond = max(0.0, first + second - pooled)
        variance = pooled + beyond
        freedom = float(most)
        if variance > 0:
            weight = pooled**2 / of_pooled
            if beyond > 0:
                weight += beyond**2 / _freedom_of_two(first, second, epochs - 1)
            freedom = min(max(variance**2 / weight, epochs - 1), most)
        found[pair] = Difference(means[pair], epochs, variance, freedom)
    return found


def _freedom_of_two(first: float, second: float, each: int) -> float:
    """Of the sum of two models' variances, between that of one and of two."""
    return each * (first + second) ** 2 / (first**2 + second**2)


def _freedom_of_pooled(variances: Sequence[float], each: int, most: int) -> float:
    """Of the mean of all models' variances: the more one of them outweighs, the fewer."""
    squares = math.fsum(variance**2 for variance in variances)
    if squares == 0:
        return most
    # A square of an estimate is too large by the estimate's own variance, 2/d of it.
    squares *= each / (each + 2)
    models = len(variances)
    found = each * (models - 1) / models * math.fsum(variances) ** 2 / squares
    return min(max(found, each), most)


def _shape(values: Mapping[Pair, Sequence[float]]) -> tuple[int, list[str]]:
    """The number of epochs, and the models."""
    models = list(dict.fromkeys(name for pair in values for name in pair))
    pairs = {frozenset(pair) for pair in values if len(set(pair)) == 2}
    if not len(values) == len(pairs) == len(models) * (len(models) - 1) // 2:
        raise ValueError("every two models are compared once")
    lengths = {len(found) for found in values.values()}
    if len(lengths) != 1 or min(lengths) < 2:
        raise ValueError("every two models need the same epochs, and at least 2")
    return lengths.pop(), models
