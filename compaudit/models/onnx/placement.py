"""Which execution provider a device means, and which one runs each node of a model."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from compaudit.errors import RequestError
from compaudit.models.base import RunSettings
from compaudit.models.onnx.native import NATIVE_ERRORS, ort

__all__ = [
    "CPU",
    "CUDA",
    "NVIDIA",
    "Device",
    "Placement",
    "choose_provider",
    "device_of",
    "read_placement",
]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
NVIDIA = frozenset((CUDA, "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"))
_DIRECTML = "DmlExecutionProvider"
_AMD = frozenset(("MIGraphXExecutionProvider", "ROCMExecutionProvider"))
_AMD_VENDOR = 0x1002
_MOST_OPERATORS = 5


@dataclass(frozen=True, slots=True)
class Device:
    """Memory beside the main one, as ONNX Runtime's values name it; `vendor` -1 where implied."""

    kind: str
    number: int
    vendor: int = -1


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the nodes of a session were placed.

    Attributes:
        providers: those that run nodes, the wanted one first.
        nodes: how many each of them runs, those in the bodies of If, Loop and Scan included, as
            they were placed: some are fused into one afterwards. Empty where that is not told.
        elsewhere: the operators that another provider than the wanted one runs, by that provider:
            ``Shape ×3, Gather ×2``.
    """

    providers: tuple[str, ...]
    nodes: dict[str, int]
    elsewhere: dict[str, str]


def choose_provider(settings: RunSettings) -> tuple[str, dict[str, str]]:
    """The execution provider that a device means, and its options.

    Raises:
        RequestError: this ONNX Runtime does not have it, or the number is none.
    """
    options = dict(settings.provider_options)
    device, separator, number = settings.device.partition(":")
    if device == "mps":
        raise RequestError(
            "ONNX Runtime has no device 'mps'",
            hint="use --device CoreMLExecutionProvider, Apple's hardware for ONNX models",
            code="unknown-device",
        )
    name = {"cpu": CPU, "cuda": CUDA}.get(device, device)
    if name not in ort.get_available_providers():
        raise _not_here(name)
    if separator:
        if name == CPU:
            raise RequestError(
                "the processor has no number",
                hint="use --device cpu; --threads N sets its threads",
                code="unknown-device",
            )
        options["device_id"] = number
    if not options.get("device_id", "0").isdecimal():
        raise RequestError(
            f"{options['device_id'][:80]!r} is not the number of a device",
            hint="number the device as in --device cuda:0",
            code="unknown-device",
        )
    return name, options


def _not_here(name: str) -> RequestError:
    available = ort.get_available_providers()
    hint = f"available here: {', '.join(available)}"
    meant = _meant(name)
    if meant != name and meant in available:
        hint = f"did you mean --device {meant}? {hint}"
    elif meant == CUDA:
        hint += "; pip install 'compaudit[gpu]' for CUDA"
    return RequestError(f"this ONNX Runtime has no {name[:80]!r}", hint=hint, code="unknown-device")


def _meant(name: str) -> str | None:
    """The provider that a name in other letters, cut short, or misspelt, stands for."""
    providers = {*ort.get_all_providers(), *ort.get_available_providers()}
    known = {provider.lower(): provider for provider in providers}
    known |= {key.removesuffix("executionprovider"): value for key, value in known.items()}
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.85)
    return known[close[0]] if close else None


def device_of(provider: str, options: dict[str, str]) -> Device | None:
    """The memory that a provider computes in; None where that is main memory, or not reachable.

    OpenVINO, CoreML and QNN drive devices of their own too, but take main memory only.
    """
    number = int(options.get("device_id", "0"))
    if provider in NVIDIA:
        return Device("cuda", number)
    if provider == _DIRECTML:
        return Device("dml", number)
    if provider in _AMD:
        return Device("gpu", number, _AMD_VENDOR)
    return None


def read_placement(session: Any, wanted: str) -> Placement:
    """Where the nodes of a session really are.

    Raises:
        RequestError: the wanted provider runs none of them.
    """
    used = tuple(session.get_providers())
    operators = _operators(session)
    if wanted != CPU:
        used = tuple(name for name in used if name in operators) or used
    if wanted not in used:
        raise RequestError(
            f"no part of the model runs on {wanted}; all of it would run on {', '.join(used)}",
            hint="check its drivers and libraries with: compaudit doctor; or use --device cpu",
            code="provider-fallback",
        )
    return Placement(
        used if wanted != CPU else (CPU,),
        {name: operators[name].total() for name in used if name in operators},
        {name: _listed(operators[name]) for name in used if name in operators and name != wanted},
    )


def _operators(session: Any) -> dict[str, Counter[str]]:
    """How often each operator was placed on each provider; empty where that is not told.

    Older versions of ONNX Runtime do not, nor does one that the user's own option forbids it.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return {}
    try:
        parts = session.get_provider_graph_assignment_info()
    except NATIVE_ERRORS:
        return {}
    operators: dict[str, Counter[str]] = {}
    for part in parts:
        placed = operators.setdefault(part.ep_name, Counter())
        placed.update(node.op_type for node in part.get_nodes())
    return operators


def _listed(operators: Counter[str]) -> str:
    """The most frequent first, at most five of them."""
    ordered = sorted(operators.items(), key=lambda item: (-item[1], item[0]))
    named = [op if count == 1 else f"{op} ×{count}" for op, count in ordered[:_MOST_OPERATORS]]
    others = len(ordered) - len(named)
    return ", ".join(named) + (f" and {others} more" if others else "")
