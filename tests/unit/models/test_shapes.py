"""Sizes that a file states, its symbols settled by what the inputs are given."""

import pytest

from compaudit.models.base import Dimension, Graph, Value
from compaudit.models.shapes import Shapes, stated_shapes


def graph(*values: tuple[Dimension, ...] | None, inputs: dict[str, tuple[Dimension, ...]]) -> Graph:
    return Graph(
        nodes=(),
        inputs=tuple(Value(name, "float32", shape) for name, shape in inputs.items()),
        outputs=(),
        values=tuple(Value(f"v{place}", "float32", shape) for place, shape in enumerate(values)),
    )


def test_an_open_batch_is_one() -> None:
    stated = graph(("N", 4), inputs={"x": ("N", 3), "z": (None, 2)})
    assert stated_shapes(stated, {}) == {"x": (1, 3), "z": (1, 2), "v0": (1, 4)}


def test_given_sizes_settle_symbols_everywhere() -> None:
    stated = graph(("N", "T", 4), ("T",), inputs={"x": ("N", "T"), "mask": ("N", "T")})
    found = stated_shapes(stated, {"x": (2, 7)})
    assert found == {"x": (2, 7), "mask": (2, 7), "v0": (2, 7, 4), "v1": (7,)}


def test_what_stays_open_is_left_out() -> None:
    stated = graph(("N", "T"), (None,), None, (-1, 2), inputs={"x": ("N", "T")})
    assert stated_shapes(stated, {}) == {}


@pytest.mark.parametrize(
    ("expression", "size"),
    [
        ("Mul(Integer(2), s0)", 14),
        ("Add(s0, Integer(-3))", 4),
        ("FloorDiv(Add(Mul(Integer(4), s0), Integer(1)), Integer(2))", 14),
        ("torch.utils._sympy.functions.CeilToInt(s0)", None),
        ("Max(Integer(1), Pow(s0, Integer(2)))", 49),
        ("2*s0 - 1", 13),
        ("(s0 + 3)//2", 5),
        ("Mul(Integer(2), s1)", None),
        ("Mod(s0, Integer(0))", None),
        ("Pow(Integer(9), Pow(Integer(9), Integer(9)))", None),
        ("9**9**9", None),
        ("__import__('os').getcwd()", None),
        ("Max()", None),
        ("Mod(s0)", None),
        ("(" * 400 + "s0" + ")" * 400, None),
        ("-" * 900 + "s0", 7),
    ],
)
def test_expressions(expression: str, size: int | None) -> None:
    stated = graph((expression,), inputs={"x": ("N", "s0")})
    assert stated_shapes(stated, {"x": (1, 7)}).get("v0") == (None if size is None else (size,))


def test_adding_sizes_keeps_what_was_known() -> None:
    shapes = Shapes({"a": (1,)}, {"p": "a"}, {"b": 2}).with_values({"a": (9,), "c": (3,)})
    assert shapes == Shapes({"a": (1,), "c": (3,)}, {"p": "a"}, {"b": 2})
