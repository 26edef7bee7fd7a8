"""Options that exist for one model only: ``--original-batch-size`` beside ``--batch-size``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any, get_args

from typer.core import TyperCommand

from compaudit.cli import options

if TYPE_CHECKING:
    from compaudit.config import Which

__all__ = ["OneModelCommand", "for_one_model"]

_TITLE = "For one model only; they add to the same option for both and win over it"
_MODELS: tuple[Which, ...] = ("original", "compressed")

# The option for both models, and what it means for one: "it" is that model.
_OPTIONS: dict[str, tuple[Any, str]] = {
    "batch_size": (options.BatchSize, "Samples it takes at once; times need the same for both."),
    "input_shape": (options.InputShape, "Shape of an input that it leaves open."),
    "map_input": (options.MapInput, "The data's array A feeds its input B."),
    "map_output": (options.MapOutput, "Its output B is called A when outputs are matched."),
    "provider_option": (options.ProviderOption, "Option of its execution provider."),
    "session_option": (options.SessionOption, "Its ONNX Runtime session option."),
    "custom_op_library": (options.CustomOpLibrary, "Library of its custom operators."),
}


def for_one_model(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command these options for the original and for the compressed model.

    The command takes them as keyword arguments, such as ``original_batch_size``. In its help they
    have a section of their own: see `OneModelCommand`.
    """
    signature = inspect.signature(command, eval_str=True)
    parameters = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    added = [
        inspect.Parameter(
            f"{which}_{name}",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_hidden(common),
        )
        for which in _MODELS
        for name, (common, _) in _OPTIONS.items()
    ]
    complete = signature.replace(parameters=[*parameters, *added])
    command.__signature__ = complete  # type: ignore[attr-defined]
    command.__annotations__ = {
        "return": int,
        **{parameter.name: parameter.annotation for parameter in complete.parameters.values()},
    }
    return command


class OneModelCommand(TyperCommand):
    """A command whose help lists the options for one model apart, both of a kind in one line."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of the help that list arguments and options."""
        super().format_options(ctx, formatter)
        rows = []
        for name, (common, meaning) in _OPTIONS.items():
            flags = ", ".join(f"--{which}-{name.replace('_', '-')}" for which in _MODELS)
            rows.append((f"{flags} {_option(common).metavar}", meaning))
        with formatter.section(_TITLE):
            formatter.write_dl(rows)


def _option(annotation: Any) -> Any:
    """Typer's description of an option, from its annotation."""
    return get_args(annotation)[1]


def _hidden(annotation: Any) -> Any:
    """The same option, left out of the general list."""
    hidden = copy(_option(annotation))
    hidden.hidden = True
    return Annotated[get_args(annotation)[0], hidden]
