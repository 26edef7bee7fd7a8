"""``package.module:function``: finding what the user wrote, in the process that is to call it."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from compaudit.errors import RequestError

__all__ = ["find_function", "is_function", "where_and_what"]

_FUNCTION = re.compile(r"(?:.+\.py|[A-Za-z_][\w.]*):[A-Za-z_][\w.]*")


def is_function(uri: str) -> bool:
    """Whether it reads ``package.module:function`` or ``file.py:function`` and names no file."""
    if _FUNCTION.fullmatch(uri) is None:
        return False
    try:
        return not Path(uri).exists()
    except OSError:  # longer than any name of a file
        return True


def find_function(spec: str) -> Callable[..., Any]:
    """Import the module and get the function from it.

    Raises:
        RequestError: there is no such module, importing it fails, or it has no such function.
    """
    module_name, _, path = spec.rpartition(":")
    found: Any = _imported(spec, module_name)
    for name in path.split("."):
        if not hasattr(found, name):
            close = difflib.get_close_matches(name, dir(found), n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else "check the name"
            raise _refused("function-missing", f"{module_name} has no {name}", hint)
        found = getattr(found, name)
    if not callable(found):
        raise _refused(
            "function-missing",
            f"{spec} is a {type(found).__name__}, not a function",
            "name a function",
        )
    return found  # type: ignore[no-any-return]


def where_and_what(error: BaseException) -> tuple[str, str]:
    """The line that raised (``loader.py, line 12``), and ``Type: first line of the message``."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "an unknown line"
    if trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{Path(error.filename).name}, line {error.lineno}"
    text = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    return place, f"{name}: {text}"[:300] if text else name


def _imported(spec: str, name: str) -> ModuleType:
    try:
        return _from_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise _refused(
                "function-missing",
                f"there is no module {missing} to import for {spec}",
                "run compaudit where it can be imported, or add its folder to PYTHONPATH",
            ) from error
        what = f"importing {name} for {spec} raised {where_and_what(error)[1]}"
        raise _refused("function-failed", what, f"install {missing}") from error
    except FileNotFoundError as error:
        if name.endswith(".py") and not Path(name).exists():
            what = f"there is no file {name} to import for {spec}"
            raise _refused("function-missing", what, "check the path") from error
        raise _import_failed(spec, name, error) from error
    except Exception as error:
        raise _import_failed(spec, name, error) from error


def _import_failed(spec: str, name: str, error: Exception) -> RequestError:
    place, what = where_and_what(error)
    return _refused(
        "function-failed", f"importing {name} for {spec} raised {what}", f"look at {place}"
    )


def _from_file(path: Path) -> ModuleType:
    """A file as a module, as ``python file.py`` would: what lies beside it is found."""
    path = path.resolve(strict=True)
    sys.path.insert(0, str(path.parent))
    # Under its own name, by which data classes and pickles look a module up; unless that is taken.
    name = path.stem if path.stem not in sys.modules else str(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "the name of the file ends in .py"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _refused(code: str, message: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code=code, stage="data")
