"""Loading an ONNX model and running it with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from compaudit.errors import RequestError
from compaudit.models.base import Inference, RunSettings, Value
from compaudit.models.onnx.arrays import HANDED_OVER, as_array, described, dtype_of
from compaudit.models.onnx.binding import (
    bind_end_to_end,
    bind_on_cpu,
    bind_on_device,
    main_memory_value,
)
from compaudit.models.onnx.device_memory import device_bytes
from compaudit.models.onnx.elements import NUMBERS, PACKED_BITS
from compaudit.models.onnx.mapped import mapped, size_of, unreadable
from compaudit.models.onnx.native import NATIVE_ERRORS, ort
from compaudit.models.onnx.options import FOLDER_OF_WEIGHTS, make_options, read_settings
from compaudit.models.onnx.placement import (
    CPU,
    NVIDIA,
    choose_provider,
    device_of,
    read_placement,
)
from compaudit.models.onnx.runtime_errors import load_error, run_error
from compaudit.models.onnx.skim import skim

if TYPE_CHECKING:
    from compaudit.models.onnx.taps import Tapped

__all__ = ["OnnxRunner"]


class OnnxRunner:
    """An ONNX Runtime session, one thread pool, one provider and the CPU for what it leaves over.

    Args:
        path: the model file; its external data is checked before ONNX Runtime opens any of it.
        settings: device, threads and options.
        adjust: changes the session's options before it is made.

    Raises:
        RequestError: the model is unsafe or not supported, the device is not there, or a tap names
            no value of the main graph.
        MeasurementError: there was not enough memory for it.

    Attributes:
        taps: of `RunSettings.taps`, those that are no outputs of the model: `run` gives them after
            its `outputs`, by name. Around a tap nothing is fused, so that such a session is none to
            time.
    """

    named_outputs = True

    def __init__(
        self, path: Path, settings: RunSettings, adjust: Callable[[Any], None] | None = None
    ) -> None:
        if settings.compiled:
            raise RequestError(
                "an ONNX model is not compiled by torch.compile",
                hint="leave --compile out; ONNX Runtime optimises by itself",
                code="compile-onnx",
            )
        _check_external_data(path)
        provider, options = choose_provider(settings)
        session_options = make_options(settings)
        if adjust is not None:
            adjust(session_options)
        chain: list[tuple[str, dict[str, str]]] = [(provider, options)]
        if provider != CPU:
            chain.append((CPU, {}))
        tapped = _tapped(path, settings.taps)
        if tapped is not None:
            session_options.add_session_config_entry(FOLDER_OF_WEIGHTS, str(tapped.folder))
        taps = tapped.taps if tapped is not None else ()
        try:
            self._session = ort.InferenceSession(
                str(path) if tapped is None else tapped.model,
                session_options,
                chain,
                enable_fallback=0,
            )
        except NATIVE_ERRORS as error:
            raise load_error(error) from error
        placement = read_placement(self._session, provider)
        self.providers = placement.providers
        self.nodes_by_provider = placement.nodes
        self.settings = read_settings(self._session, settings, provider, options)
        for other, operators in placement.elsewhere.items():
            self.settings[f"operators on {other}"] = operators
        self._device = device_of(provider, options)
        self.on_gpu = self._device is not None
        self.inputs = tuple(described(argument) for argument in self._session.get_inputs())
        given = tuple(described(argument) for argument in self._session.get_outputs())
        own = len(given) - len(taps)
        self.outputs, self.taps = given[:own], given[own:]
        if taps:
            # Kept there to load the model a second time, which enable_fallback=0 rules out.
            self._session._model_bytes = None

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Every output by name, and every tap after them.

        Raises:
            RequestError: the inputs do not fit, or an output is not an array of numbers or text.
            MeasurementError: the model failed.
        """
        self._check(feeds)
        try:
            if self._all_plain():
                results = self._session.run(None, dict(feeds))
            else:
                given = {
                    value.name: main_memory_value(value.dtype, feeds[value.name])
                    for value in self.inputs
                    if value.name in feeds
                }
                results = self._session.run_with_ort_values(None, given)
        except NATIVE_ERRORS as error:
            raise run_error(error) from error
        return {
            value.name: as_array(value, result)
            for value, result in zip((*self.outputs, *self.taps), results, strict=True)
        }

    def end_profiling(self) -> Path:
        """Where ONNX Runtime has written its profile; it records nothing after this."""
        return Path(self._session.end_profiling())

    def bind(self, feeds: Mapping[str, NDArray[Any]]) -> Inference:
        """One inference from main memory to main memory, as a call without arguments.

        Inputs of text cannot be converted beforehand, and are in every call.
        """
        self._check(feeds)
        bind = bind_on_cpu if self._device is None else bind_end_to_end
        return bind(self._session, self.inputs, feeds)

    def bind_on_device(self, feeds: Mapping[str, NDArray[Any]]) -> Inference | None:
        """One inference whose inputs and outputs stay on the device.

        None on a CPU, and for inputs of text, which stay in main memory.
        """
        if self._device is None:
            return None
        self._check(feeds)
        return bind_on_device(self._session, self.inputs, self.outputs, feeds, self._device)

    def compilations(self) -> int:
        """0: whatever a provider compiles, it does not tell."""
        return 0

    def peak_device_bytes(self) -> int | None:
        """The device memory that this process holds, as the driver counts it; None if untold."""
        return device_bytes() if self.providers[0] in NVIDIA else None

    def _all_plain(self) -> bool:
        values = (*self.inputs, *self.outputs, *self.taps)
        return not any(value.dtype in HANDED_OVER for value in values)

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


def _tapped(path: Path, wanted: Sequence[str]) -> Tapped | None:
    """The model with some values as outputs; None where the file does as it is."""
    if not wanted:
        return None
    from compaudit.models.onnx.taps import tapped

    return tapped(path, wanted)


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


def _does_not_fit(message: str, expected: Mapping[str, Value]) -> RequestError:
    return RequestError(
        message,
        hint="the model's inputs: " + ", ".join(f"{v.name} ({v.dtype})" for v in expected.values()),
        code="inputs-do-not-fit",
    )
