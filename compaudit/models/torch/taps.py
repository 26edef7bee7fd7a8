"""What modules inside of a model give while it runs, or operations of an exported program.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from compaudit.errors import MeasurementError, RequestError
from compaudit.models.base import Feeds, Source
from compaudit.models.called import CalledModule
from compaudit.models.torch.outputs import named_arrays, tensors_in

if TYPE_CHECKING:
    from compaudit.models.torch.runner import TorchRunner

__all__ = ["Taps", "called_modules"]


class Taps:
    """Listens to parts of a model: modules by their path, of a graph operations by their name.

    Of a module that is called several times in one inference the last call counts; of one that
    gives several tensors, the first. What is heard is copied at once: what follows may write over
    it. Quantised tensors come as the numbers they stand for.

    Args:
        source: the model, for errors.
        module: where to listen; changed only by what listens.
        names: the parts.
        required: whether each of them has to give something in every inference; else those that
            give nothing are left out of that one.

    Raises:
        RequestError: there is no such part, or the model cannot be listened to.
    """

    def __init__(
        self,
        source: Source,
        module: torch.nn.Module,
        names: Sequence[str],
        *,
        required: bool = True,
    ) -> None:
        self._source = source
        self._required = required
        self._names = tuple(dict.fromkeys(names))
        self._heard: dict[str, torch.Tensor] = {}
        self._remove: list[Callable[[], object]] = []
        if isinstance(module, torch.jit.ScriptModule):
            raise _script_refused(source)
        self._listen(module)

    def remove(self) -> None:
        """Listen no more."""
        while self._remove:
            self._remove.pop(0)()

    def arrays(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """What was heard in the last run, by name, and nothing of it a second time.

        Args:
            outputs: the model's own, beside which these will stand.

        Raises:
            RequestError: an output has the name of a tap and is something else.
            MeasurementError: a part was not called, or gave no tensor.
        """
        heard, self._heard = self._heard, {}
        silent = next((name for name in self._names if name not in heard), None)
        if silent is not None and self._required:
            raise MeasurementError(
                f"{silent} of {self._source.spec} gave no tensor",
                hint="name a module that is called in every inference and returns a tensor",
                code="silent-tap",
                model=self._source.spec,
                stage="run",
            )
        arrays, _ = named_arrays({name: heard[name] for name in self._names if name in heard})
        for name in arrays.keys() & outputs.keys():
            same = np.array_equal(arrays.pop(name), outputs[name], equal_nan=True)
            if not same and self._required:
                raise self._refused(
                    f"{self._source.spec} has an output and a module that are both called {name}",
                    "leave that module out",
                    "ambiguous-tap",
                )
        return arrays

    def _listen(self, module: torch.nn.Module) -> None:
        parts = dict(module.named_modules(remove_duplicate=False))
        traced = module if isinstance(module, torch.fx.GraphModule) else None
        operations = _operations(traced)
        for name in self._names:
            if not name or name not in (parts.keys() | operations.keys()):
                raise self._missing(name, [*filter(None, parts), *operations])
        for name in self._names:
            if name in parts:
                hook = parts[name].register_forward_hook(self._hook(name))
                self._remove.append(hook.remove)
            elif traced is not None:
                with traced.graph.inserting_after(operations[name]):
                    added = traced.graph.call_function(self._note, (name, operations[name]))
                self._remove.append(partial(traced.graph.erase_node, added))
        if traced is not None:
            traced.recompile()
            self._remove.append(traced.recompile)

    def _hook(self, name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, args: object, result: object) -> None:
            self._note(name, result)

        return hook

    def _note(self, name: str, result: object) -> None:
        self._heard.pop(name, None)
        for tensor in tensors_in(result)[:1]:
            self._heard[name] = tensor.detach().clone()

    def _missing(self, name: str, names: Sequence[str]) -> RequestError:
        close = difflib.get_close_matches(name, names, n=3)
        return self._refused(
            f"{self._source.spec} has no part called {name[:200]!r}",
            f"did you mean {' or '.join(close)}?"
            if close
            else "name a module inside of it, or of an exported program an operation",
            "no-such-tap",
        )

    def _refused(self, message: str, hint: str, code: str) -> RequestError:
        return RequestError(message, hint=hint, code=code, model=self._source.spec, stage="load")


def _operations(module: torch.fx.GraphModule | None) -> dict[str, torch.fx.Node]:
    """The operations of a traced module or exported program, by name."""
    nodes = module.graph.nodes if module is not None else ()
    return {node.name: node for node in nodes if node.op == "call_function"}


def called_modules(source: Source, runner: TorchRunner, feeds: Feeds) -> list[CalledModule]:
    """The modules that one inference calls, in the order in which their last calls end.

    Only those that give a tensor of real numbers can be compared, and are listed.

    Raises:
        RequestError: the feeds do not fit, or it is TorchScript.
        MeasurementError: the model failed.
    """
    called: dict[str, CalledModule] = {}

    def listen(name: str, part: torch.nn.Module) -> Any:
        def hook(module: torch.nn.Module, args: object, result: object) -> None:
            called.pop(name, None)
            for tensor in tensors_in(result)[:1]:
                if tensor.is_floating_point() or tensor.is_quantized:
                    leaf = next(module.children(), None) is None
                    kind, shape = type(module).__name__, tuple(tensor.shape)
                    called[name] = CalledModule(name, kind, shape, leaf)

        return part.register_forward_hook(hook)

    if isinstance(runner.module, torch.jit.ScriptModule):
        raise _script_refused(source)
    parts = runner.module.named_modules(remove_duplicate=False)
    hooks = [listen(name, part) for name, part in parts if name]
    try:
        runner.run(feeds)
    finally:
        for hook in hooks:
            hook.remove()
    return list(called.values())


def _script_refused(source: Source) -> RequestError:
    return RequestError(
        f"nobody can look into {source.spec}: it is TorchScript",
        hint="give the module itself (package.module:factory), or export it to ONNX",
        code="taps-script",
        model=source.spec,
        stage="load",
    )
