"""A PyTorch module that runs: inputs by name in, NumPy outputs by name out.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray

from compaudit.errors import CompauditError, MeasurementError, RequestError
from compaudit.models.base import Feeds, Inference, RunSettings, Source, Value
from compaudit.models.torch.device import device_of, place_array, synchroniser
from compaudit.models.torch.outputs import named_arrays
from compaudit.models.torch.runtime import first_line, quiet
from compaudit.models.torch.signature import Signature, exported_signature, module_signature

__all__ = ["TorchRunner"]


class TorchRunner:
    """A `Runner`: evaluation mode, inference mode, one device, the threads that were asked for.

    What a module gives is known only once it has run: `outputs` is empty until then.
    """

    def __init__(
        self,
        source: Source,
        forward: Callable[..., Any],
        signature: Signature,
        device: torch.device,
    ) -> None:
        self._source = source
        self._forward = forward
        self._signature = signature
        self._device = device
        self.inputs: tuple[Value, ...] = signature.inputs
        self.outputs: tuple[Value, ...] = ()
        self.named_outputs = False
        self.providers: tuple[str, ...] = (f"torch-{device}",)
        self.nodes_by_provider: dict[str, int] = {}
        self.settings: dict[str, str] = {}
        self.on_gpu = device.type != "cpu"

    @classmethod
    def of_module(
        cls, source: Source, module: torch.nn.Module, settings: RunSettings
    ) -> TorchRunner:
        """A module or TorchScript module, ready to run."""
        device = _prepare(source, settings)
        signature = module_signature(source, module)
        try:
            with quiet():
                module.eval()
                module.to(device)
        except Exception as error:
            raise _failure(source, error, "load") from error
        return cls(source, module, signature, device)

    @classmethod
    def of_exported(
        cls, source: Source, program: torch.export.ExportedProgram, settings: RunSettings
    ) -> TorchRunner:
        """An exported program, ready to run."""
        device = _prepare(source, settings)
        try:
            with quiet():
                if device.type != "cpu":
                    from torch.export.passes import move_to_device_pass

                    program = move_to_device_pass(program, device)
                module = program.module()
        except Exception as error:
            raise _failure(source, error, "load") from error
        return cls(source, module, exported_signature(source, program), device)

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """Every output by name.

        Raises:
            RequestError: the inputs are not the module's.
            MeasurementError: the module raised, ran out of memory, or gave no tensor.
        """
        result = self._guarded(self._call(feeds))
        try:
            arrays, self.named_outputs = named_arrays(result)
        except Exception as error:
            raise _failure(self._source, error, "run") from error
        if not arrays:
            raise MeasurementError(
                f"{self._source.spec} returned no tensor, but {type(result).__name__}",
                hint="its forward must return a tensor, or a tuple or dict of tensors",
                code="no-outputs",
                model=self._source.spec,
                stage="run",
            )
        if not self.outputs:
            self.outputs = tuple(
                Value(name, str(array.dtype), array.shape) for name, array in arrays.items()
            )
        return arrays

    def bind(self, feeds: Feeds) -> Inference:
        """One inference as a call without arguments; the inputs are on the device already."""
        call = self._call(feeds)
        guarded = self._guarded
        return Inference(lambda: guarded(call))

    def bind_on_device(self, feeds: Feeds) -> Inference | None:
        """Inputs and outputs stay on the device; None on a CPU."""
        return None

    def compilations(self) -> int:
        """How often the model was compiled so far."""
        return 0

    def peak_device_bytes(self) -> int | None:
        """The most device memory held since loading; None where there is none."""
        return None

    def _call(self, feeds: Feeds) -> Callable[[], object]:
        """The forward with its inputs placed, ending when the device is done."""
        declared = {value.name: value.dtype for value in self.inputs}
        try:
            tensors = {
                name: place_array(array, declared.get(name), self._device)
                for name, array in feeds.items()
            }
        except (TypeError, ValueError) as error:
            raise self._signature.misfit(self._source, first_line(error)) from error
        except Exception as error:
            raise _failure(self._source, error, "run") from error
        args, kwargs = self._signature.bind(self._source, tensors)
        forward, synchronise = self._forward, synchroniser(self._device)
        if synchronise is None:
            return lambda: forward(*args, **kwargs)

        def synchronised() -> object:
            result = forward(*args, **kwargs)
            synchronise()
            return result

        return synchronised

    def _guarded(self, call: Callable[[], object]) -> object:
        try:
            with torch.inference_mode():
                return call()
        except CompauditError:
            raise
        except Exception as error:
            raise _failure(self._source, error, "run") from error


def _prepare(source: Source, settings: RunSettings) -> torch.device:
    device = device_of(source, settings.device)
    torch.set_num_threads(max(1, settings.threads))
    # It can be set once per process, and not after the first parallel work.
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)
    # Without its tuned kernels a model is its own noise floor.
    torch.backends.mkldnn.set_flags(settings.optimized)  # type: ignore[no-untyped-call]
    torch.backends.cudnn.set_flags(settings.optimized)  # type: ignore[no-untyped-call]
    return device


_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_GUARDS = ("Guard failed", "Expected input at")


def _failure(source: Source, error: Exception, stage: str) -> CompauditError:
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        sign in text for sign in _NO_MEMORY
    ):
        return MeasurementError(
            f"{source.spec} ran out of memory: {first_line(error)}",
            hint="use a smaller --batch-size or another --device",
            code="out-of-memory",
            model=source.spec,
            stage=stage,
        )
    if isinstance(error, AssertionError | RuntimeError) and any(
        text.startswith(sign) or f" {sign}" in text[:200] for sign in _GUARDS
    ):
        return RequestError(
            f"the inputs do not fit {source.spec}: {text.partition(chr(10))[0][:300]}",
            hint="it was exported for other sizes: give --input-shape, or export it again",
            code="inputs-do-not-fit",
            model=source.spec,
            stage=stage,
        )
    return MeasurementError(
        f"{source.spec} failed: {first_line(error)}",
        hint="run it on the same inputs in Python to see the traceback",
        code="model-failed",
        model=source.spec,
        stage=stage,
    )
