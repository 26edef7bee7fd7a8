"""What a module's forward takes, and how inputs by name become its arguments.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from compaudit.errors import RequestError
from compaudit.models.base import Dimension, Source, Value
from compaudit.models.torch.elements import dtype_name

__all__ = ["Signature", "exported_signature", "module_signature"]

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

# Names under which language models take token numbers; everything else is taken to be floats.
_INTEGERS = frozenset(
    [
        "input_ids",
        "decoder_input_ids",
        "attention_mask",
        "decoder_attention_mask",
        "token_type_ids",
        "position_ids",
        "cache_position",
        "labels",
        "ids",
        "tokens",
        "idx",
        "indices",
    ]
)


@dataclass(frozen=True)
class Signature:
    """The inputs that must be given, and the way to call with them.

    Attributes:
        inputs: what is needed; `accepted` adds what may be given besides.
        arrange: tensors by name → arguments; only called with names that fit.
    """

    inputs: tuple[Value, ...]
    accepted: frozenset[str] | None
    arrange: Callable[[Mapping[str, torch.Tensor]], Arguments]

    def bind(self, source: Source, tensors: Mapping[str, torch.Tensor]) -> Arguments:
        """Arguments of the forward. Raises RequestError where names are missing or unknown."""
        needed = [value.name for value in self.inputs]
        missing = [name for name in needed if name not in tensors]
        unknown = [
            name for name in tensors if self.accepted is not None and name not in self.accepted
        ]
        if missing or unknown:
            parts = [f"{', '.join(missing)} is missing"] * bool(missing)
            parts += [f"there is no {', '.join(unknown)}"] * bool(unknown)
            raise self.misfit(source, " and ".join(parts))
        try:
            return self.arrange(tensors)
        except (TypeError, ValueError) as error:
            raise self.misfit(source, str(error)) from error

    def misfit(self, source: Source, reason: str) -> RequestError:
        """The error for inputs that are not the model's."""
        names = ", ".join(sorted(self.accepted or ())) or "any name"
        return RequestError(
            f"the inputs do not fit {source.spec}: {reason}",
            hint=f"it takes {names}; --map-input A=B renames one",
            code="inputs-do-not-fit",
            model=source.spec,
            stage="load",
        )


def module_signature(source: Source, module: torch.nn.Module) -> Signature:
    """The inputs of a module's forward: those without a default, or else the first."""
    floats = next((p.dtype for p in module.parameters() if p.dtype.is_floating_point), None)
    dtype = dtype_name(floats) if floats in (torch.float16, torch.bfloat16, torch.float64) else None
    if isinstance(module, torch.jit.ScriptModule):
        parameters = _script_parameters(module)
    else:
        parameters = list(inspect.signature(module.forward).parameters.values())
    return _of_parameters(parameters, dtype or "float32", getattr(module, "main_input_name", None))


def _script_parameters(module: torch.jit.ScriptModule) -> list[inspect.Parameter]:
    arguments = module._c._get_method("forward").schema.arguments[1:]
    return [
        inspect.Parameter(
            argument.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None if argument.has_default_value() else inspect.Parameter.empty,
        )
        for argument in arguments
    ]


def _of_parameters(parameters: list[inspect.Parameter], floats: str, main: object) -> Signature:
    starred = [p for p in parameters if p.kind is p.VAR_POSITIONAL]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    plain = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    needed = [p.name for p in plain if p.default is p.empty]
    if not needed:
        first = [main] if isinstance(main, str) else [p.name for p in plain[:1]]
        needed = first or ["input"] * bool(starred)
    positional = [p.name for p in plain if p.kind is p.POSITIONAL_ONLY]
    positional += needed if starred and not plain else []
    accepted = None if open_ended else frozenset((*(p.name for p in plain), *needed))

    def arrange(tensors: Mapping[str, torch.Tensor]) -> Arguments:
        args = tuple(tensors[name] for name in positional if name in tensors)
        return args, {name: t for name, t in tensors.items() if name not in positional}

    inputs = tuple(Value(name, "int64" if name in _INTEGERS else floats, None) for name in needed)
    return Signature(inputs, accepted, arrange)


def exported_signature(source: Source, program: torch.export.ExportedProgram) -> Signature:
    """The inputs of an exported program, with the types and sizes it was exported for."""
    from torch.export.graph_signature import ConstantArgument, InputKind
    from torch.utils import _pytree

    values: dict[str, Value] = {}
    slots: list[tuple[str | None, object]] = []
    found = {
        node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"
    }
    for spec in program.graph_signature.input_specs:
        if spec.kind is not InputKind.USER_INPUT:
            continue
        if isinstance(spec.arg, ConstantArgument):
            slots.append((None, spec.arg.value))
            continue
        name = spec.arg.name
        values[name] = _value(name, found.get(name))
        slots.append((name, None))
    in_spec = program.call_spec.in_spec
    scalars = {name for name in values if not isinstance(found.get(name), torch.Tensor)}

    def arrange(tensors: Mapping[str, torch.Tensor]) -> Arguments:
        leaves = [
            constant if name is None else tensors[name].item() if name in scalars else tensors[name]
            for name, constant in slots
        ]
        args, kwargs = _pytree.tree_unflatten(leaves, in_spec)
        return tuple(args), dict(kwargs)

    return Signature(tuple(values.values()), frozenset(values), arrange)


def _value(name: str, example: object) -> Value:
    if not isinstance(example, torch.Tensor):
        return Value(name, "float64" if isinstance(example, torch.SymFloat) else "int64", ())
    shape: tuple[Dimension, ...] = tuple(
        size if isinstance(size, int) else str(size) for size in example.shape
    )
    return Value(name, dtype_name(example.dtype), shape)
