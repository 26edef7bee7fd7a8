"""From what the user named to a ledger, here or in a worker where reading runs code."""

from __future__ import annotations

from compaudit.measure.layers.spool import mapped, weights_in
from compaudit.measure.ledger import read_in_worker, take
from compaudit.models import open as models
from compaudit.pair import Side
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

__all__ = ["read"]


def read(side: Side, trust_model_code: bool, limits: Limits, folder: str | None = None) -> None:
    """Take a model's ledger; in a worker where reading runs code, and then without a `Model`.

    Args:
        side: which one; filled here.
        trust_model_code: whether the user trusts the code in it.
        limits: of the worker.
        folder: where a worker may leave the weights, to be compared layer by layer.
    """
    source = side.source
    if not models.executes_on_read(source):
        side.model = models.read(source, trust_model_code=trust_model_code)
        side.ledger = take(side.model)
        side.weights = weights_in(side.model)
        return
    models.require_trust(source, trust_model_code)
    with Worker(source.spec, limits) as worker:
        side.ledger, spooled = worker.call("read", read_in_worker, source, trust_model_code, folder)
    side.weights = mapped(spooled)
