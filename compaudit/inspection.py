"""The story of ``compaudit inspect``: open → read → count. Nothing is executed but trusted code."""

from __future__ import annotations

from collections.abc import Sequence

from compaudit import interruption, machine
from compaudit.envelope import envelope, gravest
from compaudit.errors import CompauditError, InternalError
from compaudit.figures import model_result
from compaudit.measure.layers.grouping import layers_of, places_of
from compaudit.measure.macs.counting import count_from_graph, inferring
from compaudit.models import open as models
from compaudit.pair import Side
from compaudit.progress import Progress, Silent
from compaudit.reading import read
from compaudit.results import Environment, InspectedModel, Inspection, Skipped
from compaudit.unmeasured import unmeasured
from compaudit.workers.limits import Limits

__all__ = ["inspect"]

_NEVER_RUN = "inspect never executes a model"


def inspect(
    specs: list[str],
    *,
    trust_model_code: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Inspection:
    """The ledgers of models. Nothing is executed but the user's own factory, and trusted code.

    A model that cannot be read is named in the document's `error`, and the others are still there.

    Raises:
        RequestError: no model can be opened and read.
        MeasurementError: nor this one, because the code of its factory died.
    """
    tell = progress or Silent()
    sides: list[Side] = []
    unread: list[CompauditError] = []
    for spec in specs:
        try:
            sides.append(_inspected(spec, trust_model_code, limits or Limits(), tell))
        except InternalError:
            raise
        except CompauditError as error:
            interruption.raise_pending()
            error.model = spec
            unread.append(error)
    if not sides:
        raise unread[0]
    return _document(sides, unread, machine.describe(), command)


def _inspected(spec: str, trust_model_code: bool, limits: Limits, tell: Progress) -> Side:
    """One model with its ledger and, where its graph is known, its operations."""
    source = models.recognise(spec)
    tell.stage(f"reading {source.label}")
    side = Side("original", source)
    with inferring(source, {}, limits) as shapes:
        read(side, trust_model_code, limits)
        if side.model is not None and side.ledger is not None:
            side.macs = count_from_graph(side.model, side.ledger, {}, limits, shapes)
    return side


def _document(
    sides: Sequence[Side],
    unread: Sequence[CompauditError],
    environment: Environment,
    command: str,
) -> Inspection:
    """The document of `inspect`: the models that were read, and why others were not."""
    inspected = []
    skipped = [Skipped(metric="models", reason=_naming_its_model(error)) for error in unread]
    for place, side in enumerate(sides):
        assert side.ledger is not None, "inspect raises where it cannot read"
        result = model_result(side, None, None)
        fields = {name: getattr(result, name) for name in result.__struct_fields__}
        tensors = side.ledger.tensors
        inspected.append(
            InspectedModel(
                **fields,
                tensors=tensors,
                layers=layers_of(tensors, side.macs, places_of(side.model)),
            )
        )
        skipped += unmeasured(f"models[{place}]", result, side, _NEVER_RUN)
    return Inspection(
        **envelope(command, gravest(unread)),
        models=inspected,
        skipped=skipped,
        environment=environment,
    )


def _naming_its_model(error: CompauditError) -> str:
    known = error.model is None or error.model in error.message
    return error.message if known else f"{error.model}: {error.message}"
