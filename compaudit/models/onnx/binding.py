"""One inference of an ONNX Runtime session, bound to its inputs, for timing.

On CUDA ONNX Runtime computes in streams of its own and, unless told otherwise, waits for them at
the end of every run. That default is kept, on the device too. With the run option
``disable_synchronize_execution_providers`` runs would be queued, but what waits for them is not
certain: `IOBinding.synchronize_outputs` asks only the providers of nodes at the graph's outputs,
and which stream a provider then waits for differs between versions. Such a time could be one of
submission. `synchronise` is there for providers whose runs end before their work does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Inference, Value
from compaudit.models.onnx.arrays import HANDED_OVER
from compaudit.models.onnx.elements import NUMBERS
from compaudit.models.onnx.native import NATIVE_ERRORS, ort
from compaudit.models.onnx.placement import Device
from compaudit.models.onnx.runtime_errors import run_error

__all__ = ["bind_end_to_end", "bind_on_cpu", "bind_on_device", "main_memory_value"]

Feeds = Mapping[str, NDArray[Any]]


def bind_on_cpu(session: Any, inputs: Sequence[Value], feeds: Feeds) -> Inference:
    """An inference that reads its inputs where they are and copies nothing.

    Inputs of text cannot be bound, and are converted in every call.
    """
    if _takes_text(inputs):
        given = dict(feeds)
        return Inference(_translated(lambda: session.run(None, given)))
    binding = session.io_binding()

    def place() -> None:
        for name, value in _in_main_memory(inputs, feeds).items():
            binding.bind_ortvalue_input(name, value)
        for output in session.get_outputs():
            binding.bind_output(output.name)

    _translated(place)()
    return Inference(_translated(lambda: session.run_with_iobinding(binding)))


def bind_end_to_end(session: Any, inputs: Sequence[Value], feeds: Feeds) -> Inference:
    """An inference that copies its inputs to the device, and its outputs back to main memory.

    No binding: one copies its inputs to the device once, when they are bound.
    """
    if _takes_text(inputs):
        given = dict(feeds)
        return Inference(_translated(lambda: session.run(None, given)))
    values = _in_main_memory(inputs, feeds)
    return Inference(_translated(lambda: session.run_with_ort_values(None, values)))


def bind_on_device(
    session: Any,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    feeds: Feeds,
    device: Device,
) -> Inference | None:
    """An inference whose inputs lie on the device and whose outputs stay there.

    It runs here: once or twice, to see how large the outputs are and whether their memory can be
    used again. Where it cannot, because sizes change from run to run, every call allocates its own.
    None for inputs of text, which no device holds.
    """
    if _takes_text(inputs):
        return None
    where = (device.kind, device.number, device.vendor)

    def place() -> tuple[Any, Any]:
        first, second = session.io_binding(), session.io_binding()
        placed = {
            name: value if _kind(inputs, name) in HANDED_OVER else _copied(feeds[name], where)
            for name, value in _in_main_memory(inputs, feeds).items()
        }
        for binding in (first, second):
            for name, value in placed.items():
                binding.bind_ortvalue_input(name, value)
            binding.synchronize_inputs()
        return first, second

    growing, fixed = _translated(place)()
    _bind_by_device(growing, outputs, device)
    run = _translated(lambda: session.run_with_iobinding(growing))
    run()
    growing.synchronize_outputs()
    binding = growing
    if _can_keep(session, fixed, outputs, growing.get_outputs()):
        binding = fixed
    return Inference(
        _translated(lambda: session.run_with_iobinding(binding)),
        _translated(binding.synchronize_outputs),
    )


def _bind_by_device(binding: Any, outputs: Sequence[Value], device: Device) -> None:
    """Outputs that each run allocates; what is no tensor of numbers is in main memory always."""
    for output in outputs:
        if output.dtype not in NUMBERS:
            binding.bind_output(output.name)
        elif device.vendor < 0:
            binding.bind_output(output.name, device.kind, device.number)
        else:
            made = ort.OrtDevice.make(device.kind, device.number, device.vendor)
            binding._iobinding.bind_output(output.name, made._get_c_device())


def _can_keep(session: Any, binding: Any, outputs: Sequence[Value], made: Sequence[Any]) -> bool:
    """Bind the memory of one run's outputs for all runs, and try whether it fits the next."""
    try:
        for output, value in zip(outputs, made, strict=True):
            if output.dtype in NUMBERS:
                binding.bind_ortvalue_output(output.name, value)
            else:
                binding.bind_output(output.name)
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
    except NATIVE_ERRORS:
        return False
    return True


def main_memory_value(kind: str, array: NDArray[Any]) -> Any:
    """An array of the named element type as ONNX Runtime's value; nothing is copied."""
    if kind in HANDED_OVER:
        bits = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, NUMBERS[kind])
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def _in_main_memory(inputs: Sequence[Value], feeds: Feeds) -> dict[str, Any]:
    def place() -> dict[str, Any]:
        return {
            name: main_memory_value(_kind(inputs, name), array) for name, array in feeds.items()
        }

    placed: dict[str, Any] = _translated(place)()
    return placed


def _copied(array: NDArray[Any], where: tuple[str, int, int]) -> Any:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), *where)


def _kind(inputs: Sequence[Value], name: str) -> str:
    return next(value.dtype for value in inputs if value.name == name)


def _takes_text(inputs: Sequence[Value]) -> bool:
    return any(value.dtype == "string" for value in inputs)


def _translated(call: Callable[[], Any]) -> Callable[[], Any]:
    """The same call, with ONNX Runtime's exceptions as compaudit's."""

    def translated() -> Any:
        try:
            return call()
        except NATIVE_ERRORS as error:
            raise run_error(error) from error

    return translated
