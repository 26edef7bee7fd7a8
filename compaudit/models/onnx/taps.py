"""Values inside of a model that it gives as outputs too.

Nothing is parsed and written anew: two protobuf messages one behind the other are one message, the
lists of the second appended to those of the first (protobuf's encoding guide, "Last one wins"). So
a tapped model is the file as it is with a few bytes behind it, which name more outputs. ONNX
Runtime infers their types and sizes itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import GraphProto, ModelProto, ValueInfoProto

from compaudit.errors import RequestError
from compaudit.models.onnx.linked import folder_of_data, name_data_in
from compaudit.models.onnx.mapped import mapped, unreadable
from compaudit.models.onnx.proto import LARGEST_FILE, parse, text
from compaudit.units import format_bytes

__all__ = ["Tapped", "tapped"]


@dataclass(frozen=True, slots=True)
class Tapped:
    """A model with more outputs.

    Attributes:
        model: its bytes.
        folder: where its external data is.
        taps: the outputs that it has beside its own, in their order.
    """

    model: bytes
    folder: Path
    taps: tuple[str, ...]


def tapped(path: Path, wanted: Sequence[str]) -> Tapped | None:
    """A model that gives some of its values as outputs; None where it does so by itself.

    Args:
        path: the file; its external data was checked, and stays where it is.
        wanted: values of the main graph.

    Raises:
        RequestError: the main graph has no value of that name (those inside of subgraphs and
            functions have no single value, and cannot be given out); or the file is so large that
            no more fits into it.
    """
    skimmed = parse(path)
    taps = _beside_outputs(skimmed.graph, wanted)
    if not taps:
        return None
    added = ModelProto(graph=GraphProto(output=[ValueInfoProto(name=tap) for tap in taps]))
    data = _joined(path, added.SerializeToString())
    folder = folder_of_data(path, skimmed)
    if folder != path.parent.absolute():
        model = ModelProto()
        model.ParseFromString(data)
        name_data_in(folder, path, model)
        data = model.SerializeToString()
    return Tapped(data, folder, taps)


def _beside_outputs(graph: GraphProto, wanted: Sequence[str]) -> tuple[str, ...]:
    """Those that the model does not give already, each once."""
    given = {text(value.name) for value in graph.output}
    made = {text(name) for node in graph.node for name in node.output if name}
    made |= {text(value.name) for value in graph.input}
    for tap in wanted:
        if tap not in made | given:
            raise _no_such_value(tap, sorted(made))
    return tuple(tap for tap in dict.fromkeys(wanted) if tap not in given)


def _joined(path: Path, suffix: bytes) -> bytes:
    try:
        with mapped(path) as file, memoryview(file) as view:
            if len(view) + len(suffix) > LARGEST_FILE:
                raise RequestError(
                    f"{path} ({format_bytes(len(view))}) is too large to be run with inner values "
                    "shown",
                    hint="save it with external data: "
                    "onnx.save(model, path, save_as_external_data=True)",
                    code="model-too-large",
                )
            return b"".join((view, suffix))
    except OSError as error:
        raise unreadable(path, error) from error


def _no_such_value(tap: str, names: Sequence[str]) -> RequestError:
    close = difflib.get_close_matches(tap, names, n=3)
    return RequestError(
        f"the model's main graph has no value {tap[:200]!r}",
        hint=f"did you mean {' or '.join(map(repr, close))}?"
        if close
        else "name a value that a node of the main graph computes; those inside of subgraphs and "
        "functions cannot be given out",
        code="no-such-tap",
    )
