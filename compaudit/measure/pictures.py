"""The samples that suffered most, as pictures for somebody who looks at the report."""

from __future__ import annotations

import contextlib

import msgspec

from compaudit.data.pictures import picture
from compaudit.errors import RequestError
from compaudit.measure.signature import Samples
from compaudit.results import WorstSample

__all__ = ["MOST", "with_images"]

MOST = 10
"""So many samples have a picture at most: reports are sent about."""


def with_images(worst: list[WorstSample], samples: Samples) -> list[WorstSample]:
    """The same samples; the first of them with what the models were shown, where it is an image.

    What cannot be read any more has no picture, which is no reason to lose the figures.

    Args:
        worst: the worst first.
        samples: what both models were fed.
    """
    if samples.request.uri is None:
        return worst  # noise, of which there is nothing to see
    fed = [array.name for array in samples.inputs]
    shown = []
    for sample in worst[:MOST]:
        image = None
        with contextlib.suppress(RequestError, OSError):
            image = picture(samples.dataset, fed, sample.index)
        shown.append(msgspec.structs.replace(sample, image=image))
    return [*shown, *worst[MOST:]]
