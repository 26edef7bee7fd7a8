"""Layers as a tree of modules, of which as much is opened as fits a screen.

Blocks that repeat (``layers.0`` to ``layers.31``) are one branch, summed up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from compaudit.results import LayerSide

__all__ = ["Branch", "Line", "open_tree", "tree_of"]

_LEAST_ALIKE = 3
_ALIKE = 0.1
_MOST_CHILDREN = 8
_WORTH_OPENING = 0.04
_DEEPEST = 12
_ITSELF = "(itself)"


@dataclass(slots=True)
class Branch:
    """A module and all below it. `layers` counts them, `size` is in bytes."""

    name: str
    size: int = 0
    parameters: int = 0
    layers: int = 0
    branches: list[Branch] = field(default_factory=list)

    def leaves(self, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """The paths below it of all its layers."""
        if not self.branches:
            yield prefix
        for branch in self.branches:
            yield from branch.leaves((*prefix, branch.name))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an opened tree."""

    depth: int
    name: str
    layers: int
    parameters: int
    size: int


def tree_of(layers: Sequence[LayerSide]) -> Branch:
    """All layers below one nameless root."""
    names = [layer.name for layer in layers]
    mark = max("./", key=lambda mark: sum(mark in name for name in names))
    paths = [(name.split(mark, _DEEPEST), layer) for name, layer in zip(names, layers, strict=True)]
    root = _branch("", paths)
    return _tidy(root, mark)


def open_tree(root: Branch, most_lines: int) -> list[Line]:
    """The tree in at most `most_lines`: the largest branches are opened first."""
    opened = {id(root)}
    while True:
        candidates = [
            branch
            for branch in _visible(root, opened)
            if branch.branches
            and id(branch) not in opened
            and branch.size >= _WORTH_OPENING * root.size
        ]
        for branch in sorted(candidates, key=lambda branch: -branch.size):
            if len(list(_lines(root, opened | {id(branch)}))) <= most_lines:
                opened.add(id(branch))
                break
        else:
            return list(_lines(root, opened))


def _branch(name: str, paths: Sequence[tuple[Sequence[str], LayerSide]]) -> Branch:
    layers = [layer for _, layer in paths]
    branch = Branch(
        name,
        sum(layer.weight_bytes for layer in layers),
        sum(layer.parameters for layer in layers),
        len(layers),
    )
    below: dict[str, list[tuple[Sequence[str], LayerSide]]] = {}
    for path, layer in paths:
        step, *others = path or [_ITSELF]
        below.setdefault(step, []).append((others, layer))
    if below.keys() != {_ITSELF}:
        branch.branches = [_branch(step, parts) for step, parts in below.items()]
    return branch


def _tidy(branch: Branch, mark: str) -> Branch:
    """Without branches of a single one, and with those that are alike as one."""
    branch.branches = _without_repeats([_tidy(one, mark) for one in branch.branches])
    if len(branch.branches) == 1 and branch.name:
        (only,) = branch.branches
        only.name = f"{branch.name}{mark}{only.name}"
        return only
    return branch


def _without_repeats(branches: Sequence[Branch]) -> list[Branch]:
    """Runs of branches that differ in a number alone (and hardly in size) become one branch."""
    merged: list[Branch] = []
    for _, group in groupby(branches, key=lambda one: (_stem(one.name), *one.leaves())):
        run: list[Branch] = []
        for branch in group:
            if run and not _continues(run, branch):
                merged += _joined(run)
                run = []
            run.append(branch)
        merged += _joined(run)
    return merged


def _continues(run: Sequence[Branch], branch: Branch) -> bool:
    first, last = run[0], run[-1]
    numbers = [_number(last.name), _number(branch.name)]
    if None in numbers or numbers[1] != (numbers[0] or 0) + 1:
        return False
    return abs(branch.size - first.size) <= _ALIKE * first.size


def _joined(run: list[Branch]) -> list[Branch]:
    if len(run) < _LEAST_ALIKE:
        return run
    return [_sum(f"{run[0].name} … {run[-1].name}", run)]


def _sum(name: str, run: Sequence[Branch]) -> Branch:
    branches = [
        _sum(parts[0].name, parts) for parts in zip(*(one.branches for one in run), strict=True)
    ]
    return Branch(
        name,
        sum(one.size for one in run),
        sum(one.parameters for one in run),
        sum(one.layers for one in run),
        branches,
    )


def _stem(name: str) -> str:
    return re.sub(r"\d+$", "", name)


def _number(name: str) -> int | None:
    found = re.search(r"\d{1,9}$", name)
    return int(found[0]) if found else None


def _visible(branch: Branch, opened: set[int]) -> Iterator[Branch]:
    for one in _largest(branch):
        yield one
        if id(one) in opened:
            yield from _visible(one, opened)


def _lines(branch: Branch, opened: set[int], depth: int = 0) -> Iterator[Line]:
    shown = _largest(branch)
    for one in shown:
        yield Line(depth, one.name, one.layers, one.parameters, one.size)
        if id(one) in opened:
            yield from _lines(one, opened, depth + 1)
    known = {id(one) for one in shown}
    rest = [one for one in branch.branches if id(one) not in known]
    if rest:
        yield Line(
            depth,
            f"{len(rest)} more",
            sum(one.layers for one in rest),
            sum(one.parameters for one in rest),
            sum(one.size for one in rest),
        )


def _largest(branch: Branch) -> list[Branch]:
    """The branches that are shown, largest first; one more is shown rather than ``1 more``."""
    ordered = sorted(branch.branches, key=lambda one: -one.size)
    return ordered if len(ordered) <= _MOST_CHILDREN + 1 else ordered[:_MOST_CHILDREN]
