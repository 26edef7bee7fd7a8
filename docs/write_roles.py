"""Write docs/roles.md anew from compaudit/models/roles.py: the table, group by group."""

import ast
import inspect
from pathlib import Path

from compaudit.models import roles
from compaudit.models.base import Role

PAGE = Path(__file__).with_name("roles.md")
Key = tuple[str, str]

INTRODUCTION = """\
# What a stored tensor is for

Written by `make docs` from `compaudit/models/roles.py`; change that file, not this one.

A tensor of an ONNX model gets its role from the operator that finally computes with it and from the
input slot in which it stands, counted from 0. Operators that only carry a tensor there (a `Cast`, a
`Transpose`, a `DequantizeLinear`, the inputs of a function or of a branch) are looked through. Used
in several ways, a tensor has the first of these roles:
{strength}.
One that nothing uses is `unused`. Weights and biases are the parameters.

What no line here covers is `unclassified`: an operator that is not in the table, or a slot that it
does not list. Such a tensor is shown with its bytes and stays outside the parameter count, because
nothing is guessed from its name or its size.

State dicts and safetensors have no operators: there PyTorch's names tell (`weight`, `bias`,
`running_mean`, `weight_scale` …), and a live module itself knows its parameters from its buffers.
Those rules are in `compaudit/models/torch/names.py`.
"""

ELEMENT_WISE = """\
## Element by element

An operand with more than one real element is a parameter: a bias or a scale that was written out.
A single number is a constant (the 0.5 of a GELU), and so are integers, which compute shapes. A
table that holds nothing but zeros and numbers below −10⁴ is a mask of attention scores: a constant.

| operator | role of a stored operand |
| --- | --- |
"""

LOOKUPS = """\
## Tables that are looked up

Reading rows of a table of real numbers, in slot 0, is an embedding. A table of integers, or a
single number, is a constant.

| operator | role of the table |
| --- | --- |
"""

CARRIERS = """\
## What only carries a tensor

These hand the tensor in the slots named here on, and its role is decided by whatever uses their
result.

| slots | operators |
| --- | --- |
"""

ATTRIBUTES = """\
## Numbers in attributes

Classical models keep theirs there. An attribute that is not listed is `unclassified`.

| operator | attributes |
| --- | --- |
"""


def groups() -> dict[str, list[Key]]:
    """The keys of `roles.SLOTS` by the comment of the source that stands before them."""
    source = inspect.getsource(roles)
    comments = {
        number: line.removeprefix("    # ").partition(", see ")[0]
        for number, line in enumerate(source.splitlines(), 1)
        if line.startswith("    # ")
    }
    found: dict[str, list[Key]] = {}
    for key, value in _entries(ast.parse(source)):
        start = (key or value).lineno
        title = comments[max(number for number in comments if number < start)]
        keys = [_value(key)] if key is not None else list(_value(value))
        found.setdefault(title, []).extend(keys)
    return found


def _entries(module: ast.Module) -> list[tuple[ast.expr | None, ast.expr]]:
    """Keys and values as written; a whole dictionary that is unpacked there has no key."""
    for statement in module.body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == "SLOTS":
            assert isinstance(statement.value, ast.Dict)
            return list(zip(statement.value.keys, statement.value.values, strict=True))
    raise AssertionError("roles.py has no SLOTS")


def _value(expression: ast.expr) -> object:
    return eval(compile(ast.Expression(expression), "roles.py", "eval"), vars(roles))


def operator(key: Key) -> str:
    """``Conv``; ``Attention`` of another domain with the domain in front."""
    return f"`{'::'.join(filter(None, key))}`"


def slot_table(keys: list[Key]) -> str:
    """Operators of equal slots on one row; a column for each role that the group has."""
    rows: dict[tuple[tuple[int, Role], ...], list[str]] = {}
    for key in keys:
        rows.setdefault(tuple(roles.SLOTS[key].items()), []).append(operator(key))
    shown = [role for role in Role if any(role in dict(slots).values() for slots in rows)]
    lines = [
        f"| operator | {' | '.join(shown)} |",
        f"| --- |{' --- |' * len(shown)}",
    ]
    for slots, operators in rows.items():
        cells = [", ".join(_slot(slot, slots) for slot, r in slots if r is role) for role in shown]
        lines.append(f"| {', '.join(operators)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _slot(slot: int, slots: tuple[tuple[int, Role], ...]) -> str:
    if slot != roles.ANY:
        return str(slot)
    return "all others" if len(slots) > 1 else "all"


def page() -> str:
    """The whole page."""
    strength = ", ".join(f"`{role}`" for role in roles.STRENGTH)
    parts = [INTRODUCTION.format(strength=strength)]
    for title, keys in groups().items():
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n{slot_table(keys)}\n")
    parts.append(
        ELEMENT_WISE + "".join(f"| `{op}` | {role} |\n" for op, role in roles.ELEMENT_WISE.items())
    )
    parts.append(
        LOOKUPS + "".join(f"| {operator(key)} | {role} |\n" for key, role in roles.LOOKUPS.items())
    )
    carried: dict[str, list[str]] = {}
    for key, slots in roles.CARRIERS.items():
        where = "all" if roles.ANY in slots else ", ".join(map(str, slots))
        carried.setdefault(where, []).append(operator(key))
    parts.append(
        CARRIERS + "".join(f"| {where} | {', '.join(ops)} |\n" for where, ops in carried.items())
    )
    parts.append(ATTRIBUTES + "".join(_attributes(key) for key in roles.ATTRIBUTES))
    return "\n".join(parts)


def _attributes(key: Key) -> str:
    shown = (f"`{name}` {role}" for name, role in roles.ATTRIBUTES[key].items())
    return f"| {operator(key)} | {', '.join(shown)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
