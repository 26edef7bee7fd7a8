"""A PyTorch module that runs: inputs by name in, NumPy outputs by name out.

Imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray

from compaudit.errors import CompauditError, MeasurementError, RequestError
from compaudit.models.base import Feeds, Inference, RunSettings, Source, Value
from compaudit.models.torch.compilation import compilations, compile_forward, describe_compilation
from compaudit.models.torch.device import peak_bytes, place_array, synchroniser
from compaudit.models.torch.failures import failure
from compaudit.models.torch.outputs import named_arrays
from compaudit.models.torch.runtime import first_line, quiet
from compaudit.models.torch.settings import prepare, read_settings
from compaudit.models.torch.signature import (
    Arguments,
    Signature,
    exported_signature,
    module_signature,
)
from compaudit.models.torch.taps import Taps
from compaudit.models.torch.transfer import Transfer

__all__ = ["TorchRunner"]


class TorchRunner:
    """A `Runner`: evaluation mode, inference mode, one device, the threads that were asked for.

    What a module gives is known only once it has run: `outputs` is empty until then. What
    torch.compile makes of it likewise: `settings` says so after the first inference.

    Attributes:
        module: the module itself, also where what runs is compiled from it.
        device: where it is.
        compiled: it runs by way of torch.compile.
    """

    def __init__(
        self,
        source: Source,
        module: torch.nn.Module,
        signature: Signature,
        device: torch.device,
        compiled: bool,
        taps: Sequence[str] = (),
    ) -> None:
        self.module = module
        self.device = device
        self.compiled = compiled
        self.inputs: tuple[Value, ...] = signature.inputs
        self.outputs: tuple[Value, ...] = ()
        self.named_outputs = False
        self.providers: tuple[str, ...] = (f"torch-{device}",)
        self.nodes_by_provider: dict[str, int] = {}
        self.settings: dict[str, str] = read_settings(device)
        self.on_gpu = device.type != "cpu"
        self._source = source
        self._signature = signature
        self._taps: Taps | None = None
        self._forward: Callable[..., Any] = compile_forward(source, module) if compiled else module
        self._note_compilation()
        self.tap(taps)

    @classmethod
    def of_module(
        cls, source: Source, module: torch.nn.Module, settings: RunSettings
    ) -> TorchRunner:
        """A module or TorchScript module, ready to run."""
        try:
            with quiet():
                device = prepare(source, settings)
                signature = module_signature(source, module)
                module.eval()
                module.to(device)
                return cls(source, module, signature, device, settings.compiled, settings.taps)
        except CompauditError:
            raise
        except Exception as error:
            raise failure(source, error, "load") from error

    @classmethod
    def of_exported(
        cls, source: Source, program: torch.export.ExportedProgram, settings: RunSettings
    ) -> TorchRunner:
        """An exported program, ready to run."""
        try:
            with quiet():
                device = prepare(source, settings)
                if device.type != "cpu":
                    from torch.export.passes import move_to_device_pass

                    program = move_to_device_pass(program, device)
                signature = exported_signature(source, program)
                module = program.module()
                return cls(source, module, signature, device, settings.compiled, settings.taps)
        except CompauditError:
            raise
        except Exception as error:
            raise failure(source, error, "load") from error

    def tap(self, names: Sequence[str], *, required: bool = True) -> None:
        """Give what these parts of the model give beside its outputs, and no others.

        Args:
            names: as `Taps` takes them.
            required: likewise.

        Raises:
            RequestError: it has no such parts, or nobody can look into it.
        """
        if self._taps is not None:
            self._taps.remove()
        if names and self.compiled:
            raise RequestError(
                f"nobody can look into {self._source.spec} once torch.compile fused its modules",
                hint="leave --compile out",
                code="taps-compiled",
                model=self._source.spec,
                stage="load",
            )
        self._taps = Taps(self._source, self.module, names, required=required) if names else None

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """Every output by name, and after them every tap, as `Taps` says.

        Raises:
            RequestError: the inputs are not the module's, or it cannot be compiled here.
            MeasurementError: the module raised, ran out of memory, or gave no tensor.
        """
        args, kwargs = self._arguments(self._placed(feeds, self.device))
        result = self._inference(partial(self._forward, *args, **kwargs))()
        self._note_compilation()
        try:
            arrays, self.named_outputs = named_arrays(result)
        except Exception as error:
            raise failure(self._source, error, "run") from error
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
        if self._taps is not None:
            arrays |= self._taps.arrays(arrays)
        return arrays

    def bind(self, feeds: Feeds) -> Inference:
        """One inference from end to end; a module that is to be compiled is so now.

        On a CPU a call is the forward in inference mode and nothing else. Elsewhere it copies the
        inputs to the device, and its outputs back.
        """
        synchronise = synchroniser(self.device)
        if synchronise is None:
            args, kwargs = self._arguments(self._placed(feeds, self.device))
            call: Callable[[], object] = partial(self._forward, *args, **kwargs)
        else:
            call = self._transferred(feeds, synchronise)
        return Inference(self._compiled_now(self._inference(call)), around=torch.inference_mode)

    def bind_on_device(self, feeds: Feeds) -> Inference | None:
        """Inputs and outputs stay on the device and calls are queued; None on a CPU."""
        synchronise = synchroniser(self.device)
        if synchronise is None:
            return None
        args, kwargs = self._arguments(self._placed(feeds, self.device))
        call = self._inference(partial(self._forward, *args, **kwargs))
        # What fails on the device is heard of when it is waited for.
        waited_for = self._guarded(synchronise)
        return Inference(self._compiled_now(call), waited_for, around=torch.inference_mode)

    def compilations(self) -> int:
        """How often anything was compiled so far, by torch.compile or by the module's own use."""
        return compilations()

    def peak_device_bytes(self) -> int | None:
        """The most device memory held since loading, as `device.peak_bytes` says."""
        return peak_bytes(self.device)

    def _placed(self, feeds: Feeds, device: torch.device) -> dict[str, torch.Tensor]:
        """The inputs as tensors of the declared types, on a device."""
        declared = {value.name: value.dtype for value in self.inputs}
        try:
            return {
                name: place_array(array, declared.get(name), device)
                for name, array in feeds.items()
            }
        except (TypeError, ValueError) as error:
            raise self._signature.misfit(self._source, first_line(error)) from error
        except Exception as error:
            raise failure(self._source, error, "run") from error

    def _arguments(self, tensors: dict[str, torch.Tensor]) -> Arguments:
        return self._signature.bind(self._source, tensors)

    def _transferred(self, feeds: Feeds, synchronise: Callable[[], object]) -> Callable[[], object]:
        """The forward between copies from and to main memory."""
        sources = self._placed(feeds, torch.device("cpu"))
        try:
            transfer = Transfer(sources, self.device, synchronise)
        except Exception as error:
            raise failure(self._source, error, "run") from error
        args, kwargs = self._arguments(transfer.inputs)
        forward, to_device, to_host = self._forward, transfer.to_device, transfer.to_host

        def call() -> object:
            to_device()
            return to_host(forward(*args, **kwargs))

        return call

    def _inference(self, call: Callable[[], object]) -> Callable[[], object]:
        """A call in inference mode, whose failures are ours."""
        source, entered = self._source, torch.is_inference_mode_enabled

        def inference() -> object:
            try:
                if entered():
                    return call()
                with torch.inference_mode():
                    return call()
            except CompauditError:
                raise
            except Exception as error:
                raise failure(source, error, "run") from error

        return inference

    def _guarded(self, call: Callable[[], object]) -> Callable[[], object]:
        source = self._source

        def guarded() -> object:
            try:
                return call()
            except Exception as error:
                raise failure(source, error, "run") from error

        return guarded

    def _compiled_now(self, call: Callable[[], object]) -> Callable[[], object]:
        """The call, its code compiled: that takes seconds, which are no part of warming up."""
        if self.compiled:
            call()
            self._note_compilation()
        return call

    def _note_compilation(self) -> None:
        self.settings["torch.compile"] = describe_compilation() if self.compiled else "off"
