"""Candidates to be timed, of which only what groups look at is filled."""

from compaudit.data.base import DataRequest, Feed
from compaudit.measure.latency.arms import Subject
from compaudit.models.base import RunSettings, Source
from compaudit.timing.several import Entrant
from compaudit.workers.limits import Limits


def subject(spec: str) -> Subject:
    feeds = (Feed("x", "x", "float32", None),)
    return Subject(Source(spec, "onnx"), RunSettings(), DataRequest(), feeds, 1, Limits())


def entrant(name: str, needed: int, original: Subject | None = None) -> Entrant:
    return Entrant(original or subject("original"), subject(name), needed)
