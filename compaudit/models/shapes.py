"""The sizes of the values of a model, once the sizes of its inputs are known."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping

import msgspec

from compaudit.models.base import Dimension, Graph, Value

__all__ = ["Shapes", "call_prefix", "input_sizes", "stated_shapes"]

_LARGEST = 2**63
_LONGEST_EXPRESSION = 1000


class Shapes(msgspec.Struct, frozen=True):
    """Concrete sizes, and what else only they tell.

    A value inside a function has a size per call: its name is then preceded by `call_prefix`.

    Attributes:
        values: sizes by name; what could not be found out is not there.
        aliases: formal inputs and outputs of functions → the values they are in that call.
        trips: how often the body of a Loop or Scan runs, by its scope, where that is constant.
    """

    values: dict[str, tuple[int, ...]]
    aliases: dict[str, str] = {}
    trips: dict[str, int] = {}

    def with_values(self, more: Mapping[str, tuple[int, ...]]) -> Shapes:
        """The same with sizes added where there were none."""
        return Shapes({**more, **self.values}, self.aliases, self.trips)


def call_prefix(outer: str, outputs: tuple[str, ...]) -> str:
    """What precedes the names of a function's values in the call that gives these outputs."""
    return f"{outer}{next(filter(None, outputs), '')}>"


def input_sizes(
    inputs: Iterable[Value], given: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, tuple[Dimension, ...]], dict[str, int]]:
    """The inputs with their sizes filled in, and what every symbol stands for.

    A first dimension that is open counts samples: it is 1. Sizes that `given` states win; a symbol
    that one input settles is settled for all.
    """
    symbols: dict[str, int] = {}
    declared: dict[str, tuple[Dimension, ...]] = {}
    for value in inputs:
        shape = given.get(value.name)
        if shape is not None:
            declared[value.name] = shape
            if value.shape is not None and len(value.shape) == len(shape):
                for size, number in zip(value.shape, shape, strict=True):
                    if isinstance(size, str):
                        symbols.setdefault(size, number)
        elif value.shape is not None:
            declared[value.name] = value.shape
    for dimensions in declared.values():
        if dimensions and isinstance(dimensions[0], str):
            symbols.setdefault(dimensions[0], 1)
    filled = {
        name: tuple(
            1 if size is None and place == 0 else _size(size, symbols)
            for place, size in enumerate(dimensions)
        )
        for name, dimensions in declared.items()
    }
    return filled, symbols


def stated_shapes(graph: Graph, given: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The sizes that the file itself states, its symbols replaced by what the inputs give them.

    For an exported program (``.pt2``) these are all there are.

    Args:
        graph: with `values` as the file states them.
        given: sizes of inputs, with their batch dimension; others are as declared, batch 1.
    """
    filled, symbols = input_sizes(graph.inputs, given)
    stated: dict[str, tuple[Dimension, ...]] = {
        value.name: value.shape
        for value in (*graph.values, *graph.outputs)
        if value.shape is not None
    }
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in {**stated, **filled}.items():
        sizes = [_size(size, symbols) for size in shape]
        known = tuple(size for size in sizes if isinstance(size, int) and size >= 0)
        if len(known) == len(sizes):
            found[name] = known
    return found


def _size(size: Dimension, symbols: Mapping[str, int]) -> Dimension:
    if not isinstance(size, str):
        return size
    if size in symbols:
        return symbols[size]
    if len(size) > _LONGEST_EXPRESSION:
        return size
    try:
        value = _evaluate(ast.parse(size, mode="eval").body, symbols)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return size
    return value


_CALLS: dict[str, Callable[..., int]] = {
    "Add": lambda *terms: sum(terms),
    "Mul": lambda *factors: math.prod(factors),
    "Pow": lambda base, power: _power(base, power),
    "Mod": lambda value, by: value % by,
    "PythonMod": lambda value, by: value % by,
    "FloorDiv": lambda value, by: value // by,
    "CleanDiv": lambda value, by: value // by,
    "CeilDiv": lambda value, by: -(-value // by),
    "Max": lambda *values: max(values),
    "Min": lambda *values: min(values),
    "Integer": lambda value: value,
}
"""What sympy writes around symbolic sizes, as torch exports them."""

_SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "Add",
    ast.Mult: "Mul",
    ast.Pow: "Pow",
    ast.Mod: "Mod",
    ast.FloorDiv: "FloorDiv",
}


def _evaluate(node: ast.expr, symbols: Mapping[str, int]) -> int:
    """Whole-number arithmetic over known symbols. Raises ValueError for anything else."""
    match node:
        case ast.Constant(value=int() as value):
            found: int = value
        case ast.Name(id=name) if name in symbols:
            found = symbols[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = -_evaluate(operand, symbols)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            found = _evaluate(left, symbols) - _evaluate(right, symbols)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _SIGNS:
            act = _CALLS[_SIGNS[type(sign)]]
            found = act(_evaluate(left, symbols), _evaluate(right, symbols))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[_, *_] as parts):
            if name not in _CALLS:
                raise ValueError(f"no arithmetic: {name}")
            try:
                found = _CALLS[name](*(_evaluate(part, symbols) for part in parts))
            except TypeError as error:
                raise ValueError(f"no arithmetic: {name} of {len(parts)}") from error
        case _:
            raise ValueError("no arithmetic")
    if abs(found) >= _LARGEST:
        raise ValueError("no size")
    return found


def _power(base: int, power: int) -> int:
    if not 0 <= power <= 62:
        raise ValueError("no size")
    return math.prod([base] * power)
