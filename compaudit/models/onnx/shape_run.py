"""The sizes of values that inference leaves open, from a run of the model.

It runs as it is written: without optimisations, every wanted value an output. Call it in a worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from compaudit.errors import RequestError
from compaudit.models.base import RunSettings, Source
from compaudit.models.onnx.flattened import flatten
from compaudit.models.onnx.ledger import check_external_data
from compaudit.models.onnx.linked import folder_of_data, name_data_in
from compaudit.models.onnx.mapped import mapped
from compaudit.models.onnx.native import NATIVE_ERRORS, ort
from compaudit.models.onnx.options import FOLDER_OF_WEIGHTS, make_options
from compaudit.models.onnx.proto import text
from compaudit.models.onnx.runtime_errors import load_error, run_error

__all__ = ["shapes_from_run"]

_AT_ONCE = 32
"""Values that are held at one time."""


def shapes_from_run(
    source: Source,
    settings: RunSettings,
    feeds: Mapping[str, NDArray[Any]],
    wanted: Sequence[str],
) -> dict[str, tuple[int, ...]]:
    """The sizes of values in one run on the CPU.

    Args:
        source: an ONNX file.
        settings: its libraries of custom operators, and whether they are trusted.
        feeds: one sample, with the batch dimension.
        wanted: the values, as `Shapes` names them; those inside subgraphs have no size of their own
            and are left out.

    Raises:
        RequestError: the model is unsafe or not supported, or the feeds do not fit it.
        MeasurementError: it failed.
    """
    path = Path(source.path or "")
    check_external_data(path)
    flat = flatten(_whole(path))
    made = {text(name) for node in flat.model.graph.node for name in node.output}
    names = [name for name in dict.fromkeys(wanted) if name in made]
    outputs = {text(value.name) for value in flat.model.graph.output}
    for name in names:
        if name not in outputs:
            flat.model.graph.output.append(ValueInfoProto(name=name))
    if not names:
        return {}
    settings = RunSettings(
        threads=settings.threads,
        trust_model_code=settings.trust_model_code,
        optimized=False,
        custom_op_libraries=settings.custom_op_libraries,
    )
    options = make_options(settings)
    folder = folder_of_data(path, flat.model)
    name_data_in(folder, path, flat.model)
    options.add_session_config_entry(FOLDER_OF_WEIGHTS, str(folder))
    try:
        data = flat.model.SerializeToString()
    except ValueError as error:
        raise RequestError(
            f"{path} is too large to be run with its inner values shown",
            hint="save it with external data: onnx.save(model, path, save_as_external_data=True)",
            code="model-too-large",
        ) from error
    del flat
    try:
        session = ort.InferenceSession(data, options, ["CPUExecutionProvider"], enable_fallback=0)
    except NATIVE_ERRORS as error:
        raise load_error(error) from error
    found: dict[str, tuple[int, ...]] = {}
    try:
        given = {
            name: ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
            for name, array in feeds.items()
        }
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            for name, value in zip(part, session.run_with_ort_values(part, given), strict=True):
                if value.is_tensor():
                    found[name] = tuple(int(size) for size in value.shape())
    except NATIVE_ERRORS as error:
        raise run_error(error) from error
    return found


def _whole(path: Path) -> ModelProto:
    """The model with its weights; external data stays where it is."""
    model = ModelProto()
    with mapped(path) as file, memoryview(file) as view:
        model.ParseFromString(view)
    return model
