"""Whether a value is possible; the errors name the option it belongs to."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from compaudit.errors import RequestError

__all__ = [
    "LARGEST",
    "check_between",
    "check_data",
    "check_device",
    "check_engine",
    "check_mapping",
    "check_metrics",
    "check_one_of",
    "check_preprocess",
    "check_trust",
    "check_whole",
    "did_you_mean",
]

LARGEST = 2**63 - 1
"""What fits into the integers of the report and of the messages to workers."""


_DEVICE = re.compile(r"cpu|mps|cuda(:\d{1,4})?|[A-Za-z0-9_]+ExecutionProvider")
_ADDRESS = re.compile(r"auto|(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_FUNCTION = re.compile(r"(?:.+\.py|[A-Za-z_][\w.]*):[A-Za-z_][\w.]*")
_SUFFIX = "executionprovider"
_DEVICES = (
    *("cpu", "mps", "cuda", "CPUExecutionProvider", "CUDAExecutionProvider"),
    *("TensorrtExecutionProvider", "OpenVINOExecutionProvider", "CoreMLExecutionProvider"),
    *("DmlExecutionProvider", "MIGraphXExecutionProvider", "QNNExecutionProvider"),
)
"""Names for the hint; whether a machine has what they mean only loading a model tells."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a mistyped word: the closest known one, or all of them."""
    choices = list(known)
    close = difflib.get_close_matches(word, choices, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose from: {', '.join(choices)}"


def check_one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    """Raises RequestError for a word that the option does not know."""
    if value not in allowed:
        raise RequestError(
            f"--{option} {value!r} is not known",
            hint=did_you_mean(value, allowed),
            code="unknown-value",
        )


def check_device(device: str) -> None:
    """Raises RequestError for what is no name of a device on any machine."""
    if _DEVICE.fullmatch(device):
        return
    said = device.lower()
    meant = next(
        (name for name in _DEVICES if said in (name.lower(), name.lower().removesuffix(_SUFFIX))),
        None,
    )
    raise RequestError(
        f"--device {device!r} is not known",
        hint=f"did you mean {meant!r}?"
        if meant
        else "give cpu, cuda, cuda:N, mps, or an execution provider of ONNX Runtime, such as "
        "CUDAExecutionProvider",
        code="unknown-device",
    )


def check_engine(engine: str, address: str | None, device: str) -> None:
    """Raises RequestError for an address that is none, or that nobody would use."""
    if address is not None and engine != "ray":
        raise RequestError(
            "--ray-address is for --engine ray",
            hint="add --engine ray, or leave --ray-address out",
            code="contradicting-options",
        )
    if address is not None and address.startswith("ray://"):
        raise RequestError(
            f"--ray-address {address!r} is that of a Ray client server, and this machine has to be "
            "a node of the cluster",
            hint="run `ray start --address=HOST:6379 --num-cpus=0` here, and give HOST:6379",
            code="bad-option",
        )
    if address is not None and not _ADDRESS.fullmatch(address):
        raise RequestError(
            f"--ray-address {address!r} is not of the form HOST:PORT",
            hint="for example --ray-address 10.0.0.1:6379, or auto for the cluster that runs here",
            code="bad-option",
        )
    if engine == "ray" and ":" in device and device != "cuda:0":
        raise RequestError(
            f"--device {device} means a GPU of this machine, and Ray gives every worker its own",
            hint="say --device cuda",
            code="contradicting-options",
        )


def check_whole(option: str, value: int | None, least: int, most: int) -> None:
    """Raises RequestError for a whole number outside of its limits; None is always possible."""
    if value is not None and not least <= value <= most:
        where, bound = ("below", least) if value < least else ("above", most)
        limits = f"at least {least}" if value < least else f"at most {most}"
        raise RequestError(
            f"--{option} is {value}, which is {where} {bound}",
            hint=f"give --{option} a whole number of {limits}",
            code="out-of-range",
        )


def check_between(option: str, value: float | None, low: float, high: float) -> None:
    """Raises RequestError for a number that is not strictly between both, NaN included."""
    if value is not None and not low < value < high:
        limits = f"above {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
        raise RequestError(
            f"--{option} is {value:g}, which is not {limits}",
            hint=f"give --{option} a value {limits}",
            code="out-of-range",
        )


def check_mapping(option: str, mapping: Mapping[str, str]) -> None:
    """Raises RequestError where two names are mapped to the same one."""
    sources: dict[str, str] = {}
    for source, target in mapping.items():
        if target in sources:
            raise RequestError(
                f"--{option} gives {target!r} twice: {sources[target]}={target} and "
                f"{source}={target}",
                hint="leave one of them out",
                code="contradicting-options",
            )
        sources[target] = source


def check_trust(libraries: Sequence[str], *, trusted: bool) -> None:
    """Raises RequestError for a library of custom operators that nobody said to trust."""
    if libraries and not trusted:
        raise RequestError(
            "a custom operator library runs its own code when it is loaded",
            hint="add --trust-model-code if you trust it",
            code="untrusted-code",
        )


def check_data(data: str | None) -> None:
    """Raises RequestError for what names no file, and is not of the form of a function."""
    if data is None or ":" not in data:
        return
    try:
        is_there = Path(data).exists()
    except (OSError, ValueError):  # too long, or of bytes that no name has
        is_there = False
    if not is_there and not _FUNCTION.fullmatch(data):
        raise RequestError(
            f"--data {data!r} is neither a file nor of the form package.module:function",
            hint="give a path, or for example --data my_package.loaders:test_batches",
            code="bad-option",
        )


def check_metrics(metrics: Sequence[str]) -> None:
    """Raises RequestError where a metric is no function."""
    for metric in metrics:
        if not _FUNCTION.fullmatch(metric):
            raise RequestError(
                f"--metric {metric!r} is not of the form package.module:function",
                hint="for example --metric my_metrics:exact_match, or my_metrics.py:exact_match",
                code="bad-option",
            )


def check_preprocess(preprocess: str | None, data: str | None) -> None:
    """Raises RequestError for images' preprocessing without any data."""
    if preprocess is not None and data is None:
        raise RequestError(
            "--preprocess says how images become arrays, and no --data was given",
            hint="give a folder of images with --data",
            code="contradicting-options",
        )
