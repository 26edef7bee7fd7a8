"""ONNX Runtime's exceptions as compaudit's: one clean sentence, and what to do about it."""

from __future__ import annotations

import re

from compaudit.errors import CompauditError, MeasurementError, RequestError

__all__ = ["clean", "load_error", "run_error"]

_LONGEST = 300

_KIND = re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_SOURCE = re.compile(r"/\S+\.(?:cc|h|hpp|cpp|cu|cuh):\d+ ")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_IN_NODE = re.compile(
    r"Non-zero status code returned while running (\S+) node\. ?Name:'([^']*)' ?Status Message: "
)
_LOADING = re.compile(r"Load model from .{0,4096}? failed:", re.DOTALL)
_FILLER = re.compile(
    r"This is an invalid model\. |with name ''|Fatal error: |Error in execution: "
    r"|Please fix either the inputs/outputs or the model"
)

# With bound inputs these are not InvalidArgument but a bare RuntimeError.
_INPUTS = re.compile(r"nvalid (?:dimensions|rank) for input|Unexpected input data type")

# What the message says, and the hint that helps.
_HINTS = (
    (
        r"is not a registered function/op|custom op",
        "add --custom-op-library FILE --trust-model-code, or export with standard operators",
    ),
    (
        r"[Oo]pset \d+ is under development|IR version",
        "update onnxruntime, or export with an older opset",
    ),
    (
        r"Could not find an implementation|NOT_IMPLEMENTED",
        "this operator has no kernel for that type here: convert the type, or try another --device",
    ),
    (
        r"No Op registered",
        "update onnxruntime, or export with operators and an opset that it knows",
    ),
    (
        r"[Ee]xternal data|external_data",
        "put the data files beside the model",
    ),
)
_CHECK = "check it: python -c \"import onnx; onnx.checker.check_model('MODEL', full_check=True)\""

_NO_MEMORY = re.compile(r"bad_alloc|[Ff]ailed to allocate memory|out of memory")

# A device that is not there, or whose driver or libraries do not work.
_NO_DEVICE = re.compile(
    r"invalid device ordinal|no CUDA-capable device|driver version is insufficient|cudaSetDevice"
    r"|CUDA_PATH is set|Failed to load (?:shared )?library|cannot open shared object"
    r"|Invalid (?:CUDA )?device ID|CUDA initialization|no ROCm-capable device",
    re.IGNORECASE,
)


def clean(error: BaseException) -> str:
    """The reason in an ONNX Runtime exception, without prefixes, source paths and signatures."""
    message = _LOADING.sub("", _KIND.sub("", str(error)))
    while (found := _SOURCE.search(message)) is not None:
        message = message[: found.start()] + _after_signature(message[found.end() :])
    message = _IN_NODE.sub(_node, message)
    message = _CONTROL.sub(" ", _FILLER.sub("", message)).strip().rstrip(".")
    message = message or type(error).__name__
    return message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"


def _node(found: re.Match[str]) -> str:
    return f"{found[1]} {found[2]!r}: " if found[2] else f"{found[1]}: "


def load_error(error: BaseException) -> CompauditError:
    """What went wrong while a session was made."""
    message, reason = str(error), clean(error)
    if _NO_MEMORY.search(message):
        return MeasurementError(
            f"there was not enough memory to load the model: {reason}",
            hint="give it more memory, or use a smaller model",
            code="out-of-memory",
        )
    if _NO_DEVICE.search(message):
        return RequestError(
            f"ONNX Runtime cannot use the device: {reason}",
            hint="check its number, driver and libraries with: compaudit doctor; "
            "or use --device cpu",
            code="device-missing",
        )
    if type(error).__name__ == "InvalidProtobuf":
        return RequestError(
            f"ONNX Runtime cannot read the model: {reason}",
            hint="download or export it again",
            code="broken-model",
        )
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, message)), _CHECK)
    return RequestError(
        f"ONNX Runtime cannot load the model: {reason}", hint=hint, code="unsupported-model"
    )


def run_error(error: BaseException) -> CompauditError:
    """What went wrong while the model ran: its inputs did not fit, or it failed."""
    message, reason = str(error), clean(error)
    in_a_node = "while running" in message
    about_inputs = type(error).__name__ == "InvalidArgument" or _INPUTS.search(message)
    if _NO_MEMORY.search(message):
        return MeasurementError(
            f"there was not enough memory to run the model: {reason}",
            hint="use a smaller batch, or raise --memory-limit",
            code="out-of-memory",
        )
    if about_inputs and not in_a_node:
        return RequestError(
            f"the inputs do not fit the model: {reason}",
            hint="give sizes with --input-shape NAME=1x3x224x224, or other data",
            code="inputs-do-not-fit",
        )
    return MeasurementError(
        f"the model failed: {reason}",
        hint="a number that it is fed, such as a token id, may be beyond a table of the model: "
        "check --data against its vocabulary"
        if "element out of data bounds" in message
        else "try other inputs, or another --device",
        code="model-failed",
    )


def _after_signature(message: str) -> str:
    """What follows a C++ signature: everything behind its closed parenthesis."""
    depth = 0
    for place, letter in enumerate(message):
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
            if depth == 0:
                return re.sub(r"^ ?(?:const)? ?(?:\[.*?\] )?", "", message[place + 1 :])
            if depth < 0:
                break
    return message
