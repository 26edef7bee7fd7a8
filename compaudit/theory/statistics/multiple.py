"""Many tests at once: among a thousand classes, some change by chance alone."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, by Holm's step-down method.

    The smallest of m is multiplied by m, the next by m − 1 and so on; none becomes smaller than one
    before it, nor larger than 1. To take those below α for real is wrong even once with a
    probability of at most α, however the tests depend on one another.

    Args:
        p_values: in any order; may be empty.

    Returns:
        The corrected values, in the order given.

    Raises:
        ValueError: a value is not within [0, 1].

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6:65.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values lie between 0 and 1")
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return [float(value) for value in corrected]
