"""Local functions: how one is looked up, and that none calls itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from onnx import FunctionProto, NodeProto

from compaudit.errors import RequestError
from compaudit.models.onnx.proto import text

__all__ = ["FunctionKey", "function_key", "refuse_circles"]

FunctionKey = tuple[str, str]
"""Domain and name."""


def function_key(domain: str, name: str) -> FunctionKey:
    """How a function is looked up. Overloads share a body list: they differ in types only."""
    return ("" if domain == "ai.onnx" else domain, name)


def refuse_circles(functions: Sequence[FunctionProto]) -> None:
    """Raises RequestError where functions call one another in a circle, or have no name."""
    calls: dict[FunctionKey, set[FunctionKey]] = {
        function_key(text(f.domain), text(f.name)): set() for f in functions
    }
    for function in functions:
        key = function_key(text(function.domain), text(function.name))
        if not key[1]:
            raise RequestError(
                f"a function of domain {key[0]!r} has no name",
                hint="export the model again",
                code="broken-model",
            )
        calls[key] |= _called(function.node) & calls.keys()
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        domain, name = error.args[1][0]
        raise RequestError(
            f"function {name!r} of domain {domain!r} calls itself",
            hint="ONNX functions cannot be recursive; export the model again",
            code="broken-model",
        ) from error


def _called(nodes: Iterable[NodeProto]) -> set[FunctionKey]:
    found: set[FunctionKey] = set()
    waiting = [nodes]
    while waiting:
        for node in waiting.pop():
            found.add(function_key(text(node.domain), text(node.op_type)))
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g.node)
                waiting.extend(graph.node for graph in attribute.graphs)
    return found
