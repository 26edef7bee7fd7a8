"""The options of an ONNX Runtime session: set before it is made, read back from it after."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compaudit.errors import RequestError
from compaudit.models.base import RunSettings
from compaudit.models.onnx.native import NATIVE_ERRORS, ort

__all__ = ["FOLDER_OF_WEIGHTS", "make_options", "read_settings", "short"]

FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"
"""Where the external data is of a model that is given as bytes."""

_ERRORS_ONLY = 3
_RECORD = "session.record_ep_graph_assignment_info"
_COMPOSED = "ep."
"""Keys of execution providers begin so, and are put together at run time."""
_ADDRESSES = ("_alloc", "_free", "_stream", "_empty_cache")
"""How the names of provider options end that are addresses in memory, and say nothing of speed."""


def make_options(settings: RunSettings) -> Any:
    """Options for a session that says afterwards where each node was placed.

    Raises:
        RequestError: an option is refused, or a library is not trusted or no library.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    if not settings.optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(_RECORD, "1")
    for key, value in settings.session_options.items():
        try:
            options.add_session_config_entry(key, value)
        except NATIVE_ERRORS as error:
            raise RequestError(
                f"ONNX Runtime refuses the session option {key[:80]!r}",
                hint="see onnxruntime_session_options_config_keys.h for its options",
                code="bad-session-option",
            ) from error
    _register_libraries(options, settings)
    return options


def _register_libraries(options: Any, settings: RunSettings) -> None:
    if settings.custom_op_libraries and not settings.trust_model_code:
        raise RequestError(
            "a custom operator library is code, and code runs only when it is trusted",
            hint="add --trust-model-code if you trust it",
            code="untrusted-code",
        )
    for library in settings.custom_op_libraries:
        try:
            options.register_custom_ops_library(library)
        except NATIVE_ERRORS as error:
            raise RequestError(
                f"{library} is not a library of custom operators for this ONNX Runtime",
                hint="give the shared library that was built for this version",
                code="bad-custom-op-library",
            ) from error


def read_settings(
    session: Any, settings: RunSettings, provider: str, given: Mapping[str, str]
) -> dict[str, str]:
    """What decides the speed of a session, as it holds in it, as short texts.

    Options of a provider have its short name in front: ``cuda.use_tf32``. An option that was asked
    for, and that ONNX Runtime took without an error but does not know, is marked so: it accepts any
    key.

    Args:
        session: a session, or what stands in for one.
        settings: what it was made with.
        provider: the one that was asked for.
        given: the options it was given.
    """
    options = session.get_session_options()
    found = {
        "graph_optimization_level": _level(options.graph_optimization_level),
        "execution_mode": options.execution_mode.name.removeprefix("ORT_").lower(),
        "intra_op_threads": str(options.intra_op_num_threads),
        "inter_op_threads": str(options.inter_op_num_threads),
        "cpu_mem_arena": "on" if options.enable_cpu_mem_arena else "off",
        "mem_pattern": "on" if options.enable_mem_pattern else "off",
    }
    known = _known(key for key in settings.session_options if not key.startswith(_COMPOSED))
    for key in settings.session_options:
        value = str(options.get_session_config_entry(key))
        unknown = key not in known and not key.startswith(_COMPOSED)
        found[key] = f"{value} (this ONNX Runtime does not know the option)" if unknown else value
    taken: Mapping[str, Any] = session.get_provider_options().get(provider, {})
    for key, value in {**dict.fromkeys(given), **taken}.items():
        if key not in taken:
            found[f"{short(provider)}.{key}"] = f"{given[key]} (not taken up)"
        elif str(value) and (key in given or not key.endswith(_ADDRESSES)):
            found[f"{short(provider)}.{key}"] = str(value)
    return found


def short(provider: str) -> str:
    """``CUDAExecutionProvider`` → ``cuda``."""
    return provider.removesuffix("ExecutionProvider").lower()


def _level(level: Any) -> str:
    return str(level.name).removeprefix("ORT_").removeprefix("ENABLE_").lower()


def _known(keys: Any) -> frozenset[str]:
    """Those of some keys that stand, as a text of their own, in ONNX Runtime's own libraries."""
    wanted = {key: b"\0%b\0" % key.encode() for key in keys}
    found: set[str] = set()
    for path in sorted((Path(ort.__file__).parent / "capi").iterdir()) if wanted else ():
        if not {".so", ".pyd", ".dll", ".dylib"} & set(path.suffixes):
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            found |= {key for key, text in wanted.items() if view.find(text) >= 0}
    return frozenset(found)
