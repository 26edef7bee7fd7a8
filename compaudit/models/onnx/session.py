"""Running an ONNX model with ONNX Runtime. The only file that imports it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.errors import RequestError
from compaudit.models.base import Inference, RunSettings, Value
from compaudit.models.onnx.arrays import HANDED_OVER, as_array, described, dtype_of
from compaudit.models.onnx.elements import NUMBERS, PACKED_BITS
from compaudit.models.onnx.mapped import mapped, size_of, unreadable
from compaudit.models.onnx.runtime_errors import load_error, run_error
from compaudit.models.onnx.skim import skim

try:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as native
except ImportError as error:
    raise RequestError(
        "ONNX Runtime, which runs ONNX models, is not installed",
        hint="pip install 'compaudit[cpu]', or 'compaudit[gpu]' for NVIDIA GPUs",
        code="runtime-missing",
    ) from error

__all__ = ["OnnxRunner"]

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
_ERRORS_ONLY = 3

# ONNX Runtime's exceptions share no base class of their own.
_NATIVE_ERRORS: tuple[type[Exception], ...] = (
    *(RuntimeError, ValueError, TypeError),
    *(
        kind
        for kind in vars(native).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)


class OnnxRunner:
    """An ONNX Runtime session, one thread pool, one provider and the CPU for what it leaves over.

    Args:
        path: the model file; its external data is checked before ONNX Runtime opens any of it.
        settings: device, threads and options.
        adjust: changes the session's options before it is made.

    Raises:
        RequestError: the model is unsafe or not supported, or the device is not there.
        MeasurementError: there was not enough memory for it.
    """

    named_outputs = True

    def __init__(
        self, path: Path, settings: RunSettings, adjust: Callable[[Any], None] | None = None
    ) -> None:
        _check_external_data(path)
        provider, options = _provider(settings)
        session_options = _session_options(settings, provider)
        if adjust is not None:
            adjust(session_options)
        chain: list[tuple[str, dict[str, str]]] = [(provider, options)]
        if provider != _CPU:
            chain.append((_CPU, {}))
        try:
            self._session = ort.InferenceSession(
                str(path), session_options, chain, enable_fallback=0
            )
        except _NATIVE_ERRORS as error:
            raise load_error(error) from error
        self.providers = _used_providers(self._session, provider)
        self.nodes_by_provider: dict[str, int] = {}
        self.settings: dict[str, str] = {}
        self.on_gpu = False
        self._device = ("cuda", int(options.get("device_id", 0))) if provider == _CUDA else None
        self.inputs = tuple(described(argument) for argument in self._session.get_inputs())
        self.outputs = tuple(described(argument) for argument in self._session.get_outputs())

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Every output by name.

        Raises:
            RequestError: the inputs do not fit, or an output is not an array of numbers or text.
            MeasurementError: the model failed.
        """
        self._check(feeds)
        try:
            if self._all_plain():
                results = self._session.run(None, dict(feeds))
            else:
                given = {name: self._ort_value(name, array) for name, array in feeds.items()}
                results = self._session.run_with_ort_values(None, given)
        except _NATIVE_ERRORS as error:
            raise run_error(error) from error
        return {
            value.name: as_array(value, result)
            for value, result in zip(self.outputs, results, strict=True)
        }

    def bind(self, feeds: Mapping[str, NDArray[Any]]) -> Inference:
        """One inference as a call without arguments; the inputs are placed on the device here.

        Outputs stay on the device and are synchronised before the call ends. Inputs of text cannot
        be placed beforehand and are converted in every call.
        """
        self._check(feeds)
        session = self._session
        if any(value.dtype == "string" for value in self.inputs):
            given = dict(feeds)
            return Inference(lambda: session.run(None, given))
        binding = session.io_binding()
        try:
            for name, array in feeds.items():
                binding.bind_ortvalue_input(name, self._ort_value(name, array))
            for value in self.outputs:
                if self._device is None:
                    binding.bind_output(value.name)
                else:
                    binding.bind_output(value.name, *self._device)
        except _NATIVE_ERRORS as error:
            raise run_error(error) from error

        def call() -> None:
            try:
                session.run_with_iobinding(binding)
                binding.synchronize_outputs()
            except _NATIVE_ERRORS as error:
                raise run_error(error) from error

        return Inference(call)

    def bind_on_device(self, feeds: Mapping[str, NDArray[Any]]) -> Inference | None:
        """Inputs and outputs stay on the device; None on a CPU."""
        return None

    def compilations(self) -> int:
        """How often the model was compiled so far."""
        return 0

    def peak_device_bytes(self) -> int | None:
        """The most device memory held since loading; None where there is none."""
        return None

    def _all_plain(self) -> bool:
        return not any(value.dtype in HANDED_OVER for value in (*self.inputs, *self.outputs))

    def _check(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """Names and types; ONNX Runtime checks the sizes itself."""
        expected = {value.name: value for value in self.inputs}
        optional = {value.name for value in self.inputs if value.dtype.startswith("optional")}
        missing = [name for name in expected if name not in feeds and name not in optional]
        unknown = [name for name in feeds if name not in expected]
        if missing or unknown:
            what = f"no data for input {missing[0]!r}" if missing else f"no input {unknown[0]!r}"
            raise _does_not_fit(
                f"the model has {what}" if unknown else f"there is {what}", expected
            )
        for name, array in feeds.items():
            wanted, given = expected[name].dtype, dtype_of(array)
            if wanted in NUMBERS and given != wanted:
                raise _does_not_fit(f"input {name!r} takes {wanted}, the data is {given}", expected)
            if wanted in PACKED_BITS:
                raise RequestError(
                    f"input {name!r} is {wanted}, which ONNX Runtime cannot be given from Python",
                    hint="export the model with an int8 or float input",
                    code="unsupported-input",
                )

    def _ort_value(self, name: str, array: NDArray[Any]) -> Any:
        wanted = next(value.dtype for value in self.inputs if value.name == name)
        if wanted in HANDED_OVER:
            bits = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
            return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, NUMBERS[wanted])
        array = np.ascontiguousarray(array)
        if self._device is None:
            return ort.OrtValue.ortvalue_from_numpy(array)
        return ort.OrtValue.ortvalue_from_numpy(array, *self._device)


# --------------------------------------------------------------------------------- loading


def _check_external_data(path: Path) -> None:
    """Every external file is named under the key ``location``: no such word, no such file."""
    size_of(path)
    try:
        with mapped(path) as file, memoryview(file) as view:
            external = b"location" in bytes(skim(view))
    except OSError as error:
        raise unreadable(path, error) from error
    if external:
        from compaudit.models.onnx.ledger import check_external_data

        check_external_data(path)


def _provider(settings: RunSettings) -> tuple[str, dict[str, str]]:
    """The execution provider that a device means, and its options."""
    options = dict(settings.provider_options)
    available = ort.get_available_providers()
    device, _, number = settings.device.partition(":")
    match device:
        case "cpu":
            name = _CPU
        case "cuda":
            name = _CUDA
            if number:
                options["device_id"] = number
        case "mps":
            raise RequestError(
                "ONNX Runtime has no device 'mps'",
                hint="use --device CoreMLExecutionProvider, Apple's hardware for ONNX models",
                code="unknown-device",
            )
        case _:
            name = settings.device
    if name not in available:
        install = "; pip install 'compaudit[gpu]' for CUDA" if name == _CUDA else ""
        raise RequestError(
            f"this ONNX Runtime has no {name[:80]!r}",
            hint=f"available here: {', '.join(available)}{install}",
            code="unknown-device",
        )
    if not options.get("device_id", "0").isdecimal():
        raise RequestError(
            f"{options['device_id'][:80]!r} is not the number of a device",
            hint="number the device as in --device cuda:0",
            code="unknown-device",
        )
    return name, options


def _session_options(settings: RunSettings, provider: str) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    if not settings.optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if provider != _CPU:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    for key, value in settings.session_options.items():
        try:
            options.add_session_config_entry(key, value)
        except _NATIVE_ERRORS as error:
            raise RequestError(
                f"ONNX Runtime refuses the session option {key[:80]!r}",
                hint="see onnxruntime_session_options_config_keys.h for its options",
                code="bad-session-option",
            ) from error
    if settings.custom_op_libraries and not settings.trust_model_code:
        raise RequestError(
            "a custom operator library is code, and code runs only when it is trusted",
            hint="add --trust-model-code if you trust it",
            code="untrusted-code",
        )
    for library in settings.custom_op_libraries:
        try:
            options.register_custom_ops_library(library)
        except _NATIVE_ERRORS as error:
            raise RequestError(
                f"{library} is not a library of custom operators for this ONNX Runtime",
                hint="give the shared library that was built for this version",
                code="bad-custom-op-library",
            ) from error
    return options


def _used_providers(session: Any, wanted: str) -> tuple[str, ...]:
    """The providers that really run nodes, the wanted one first; an error where it runs none."""
    used = tuple(session.get_providers())
    if wanted != _CPU and hasattr(session, "get_provider_graph_assignment_info"):
        assigned = {part.ep_name for part in session.get_provider_graph_assignment_info()}
        used = tuple(name for name in used if name in assigned) or used
    if wanted not in used:
        raise RequestError(
            f"no part of the model runs on {wanted}; all of it would run on {', '.join(used)}",
            hint="check its drivers and libraries with: compaudit doctor; or use --device cpu",
            code="provider-fallback",
        )
    return used if wanted != _CPU else (_CPU,)


def _does_not_fit(message: str, expected: Mapping[str, Value]) -> RequestError:
    return RequestError(
        message,
        hint="the model's inputs: " + ", ".join(f"{v.name} ({v.dtype})" for v in expected.values()),
        code="inputs-do-not-fit",
    )
