"""The rates of a compression: α, β, the space saving and δ.

All of them compare one quantity of the original M with the same quantity of the compressed M*:
``a`` and ``a*`` are sizes of one stated kind (parameters, bytes, MACs), ``s`` and ``s*`` are times
of one inference. Definitions: Cheng, Wang, Zhou, Zhang, "A Survey of Model Compression and
Acceleration for Deep Neural Networks", 2017, arXiv:1710.09282, section on evaluation.

A rate that does not exist (zero denominator, a NaN or infinite input, a quotient too large for a
float) is ``None``: never an infinity, never a NaN, never a made-up number.
"""

import math
from collections.abc import Callable


def compression_rate(original: float, compressed: float) -> float | None:
    """Return α = a / a*, how many times smaller the compressed model is.

    α − 1 equals β (`space_saving_rate`). α < 1 means that the model grew.

    Args:
        original: size a of the original, in any unit.
        compressed: size a* of the compressed, in the same unit.

    Returns:
        α, dimensionless, or None when a* is zero or an input is not finite.

    Raises:
        ValueError: an input is negative.

    Source: Cheng et al. 2017, arXiv:1710.09282, "compression rate".
    """
    return _rate(original, compressed, lambda a, b: a / b)


def space_saving_rate(original: float, compressed: float) -> float | None:
    """Return β = (a − a*) / a*, the survey's space saving rate.

    The denominator is the *compressed* size: β = α − 1 is unbounded, and negative when the model
    grew. What most people mean by "saved 75 %" is `space_saving`.

    Args:
        original: size a of the original, in any unit.
        compressed: size a* of the compressed, in the same unit.

    Returns:
        β, dimensionless, or None when a* is zero or an input is not finite.

    Raises:
        ValueError: an input is negative.

    Source: Cheng et al. 2017, arXiv:1710.09282, "space saving rate".
    """
    return _rate(original, compressed, lambda a, b: (a - b) / b)


def space_saving(original: float, compressed: float) -> float | None:
    """Return 1 − a*/a, the share of the original that is gone.

    At most 1, and negative when the model grew. With α it is 1 − 1/α.

    Args:
        original: size a of the original, in any unit.
        compressed: size a* of the compressed, in the same unit.

    Returns:
        The saving as a fraction, or None when a is zero or an input is not finite.

    Raises:
        ValueError: an input is negative.
    """
    return _rate(original, compressed, lambda a, b: (a - b) / a)


def speedup_rate(original: float, compressed: float) -> float | None:
    """Return δ = s / s*, how many times faster the compressed model is.

    Args:
        original: time s of one inference of the original, in seconds.
        compressed: time s* of one inference of the compressed, in seconds.

    Returns:
        δ, dimensionless, or None when s* is zero or an input is not finite.

    Raises:
        ValueError: an input is negative.

    Source: Cheng et al. 2017, arXiv:1710.09282, "speedup rate".
    """
    return _rate(original, compressed, lambda a, b: a / b)


def _rate(
    original: float, compressed: float, formula: Callable[[float, float], float]
) -> float | None:
    for name, value in (("original", original), ("compressed", compressed)):
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value}")
    try:
        # float() turns NumPy scalars, which divide by zero without an exception, into our own.
        a, b = float(original), float(compressed)
        rate = formula(a, b)
    except (ZeroDivisionError, OverflowError):
        return None
    return rate if all(map(math.isfinite, (a, b, rate))) else None
