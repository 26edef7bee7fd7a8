"""What one tool says a model's parameters are, as one line of JSON: a child of `ledger`.

``python count.py TOOL MODEL`` with TOOL one of compaudit, onnx-tool, polygraphy, torchinfo, and
MODEL a path or, for torch, ``modules:factory``. Polygraphy adds nothing up: its figure here is the
sum of the elements of the initializers that ``inspect model --show weights`` lists.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import sys
from typing import Any

__all__ = ["main"]


def main(tool: str, model: str) -> None:
    """Print ``{"parameters": n}``, or ``{"error": …}`` with the last line of what went wrong."""
    counts = {
        "compaudit": _compaudit,
        "onnx-tool": _onnx_tool,
        "polygraphy": _polygraphy,
        "torchinfo": _torchinfo,
    }
    answer: dict[str, Any]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            answer = {"parameters": counts[tool](model)}
    except Exception as error:  # whatever a tool dies of is its answer
        lines = str(error).strip().splitlines() or [""]
        answer = {"error": f"{type(error).__name__}: {lines[0]}"}
    print(json.dumps(answer))


def _compaudit(model: str) -> int | None:
    import compaudit

    return compaudit.inspect(model).models[0].parameters


def _onnx_tool(model: str) -> int:
    import onnx_tool

    graph = onnx_tool.Model(model).graph
    graph.shape_infer(None)
    graph.profile()
    return int(graph.params)


def _polygraphy(model: str) -> int:
    import onnx
    from polygraphy.tools.inspect.subtool.model.extractors import graph_data_from_onnx

    listed = graph_data_from_onnx(onnx.load(model), show_weights=True).initializers
    return sum(math.prod(tensor.shape) for tensor in listed)


def _torchinfo(model: str) -> int:
    from torchinfo import summary

    module, _, factory = model.partition(":")
    network = getattr(importlib.import_module(module), factory)()
    return int(summary(network, verbose=0).total_params)


if __name__ == "__main__":
    main(*sys.argv[1:])
