"""The arrows of DESIGN §2: imports point one way, and frameworks stay in their rooms."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "compaudit"
FILES = sorted(PACKAGE.rglob("*.py"))

# From the top down; a room may import its own layer, where `BESIDE` says so, and below.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("api",),
    ("ranking",),
    ("audit", "inspection", "checkup", "judging"),
    ("execution", "timing", "feeding", "reading", "document", "figures", "unmeasured", "pair"),
    ("measure", "findings", "gate", "report"),
    ("engines",),
    ("workers",),
    ("models", "data", "machine", "cache", "envelope", "progress", "saved", "published"),
    ("theory", "results", "config", "interruption"),
    ("errors", "units", "version", ""),
)
# Rooms that may import one another on their own layer.
BESIDE = {
    "execution",
    "timing",
    "feeding",
    "reading",
    "document",
    "figures",
    "unmeasured",
    "models",
    "data",
    "machine",
    "envelope",
    "theory",
    "results",
    "config",
}
SELDOM = {
    "theory": {"theory"},
    "report": {"report", "results", "units", "errors"},
    "gate": {"gate", "results", "units", "theory", "errors"},
}
FRAMEWORKS = {
    "torch": "models/torch",
    "onnx": "models/onnx",
    "onnxruntime": "models/onnx",
    "typer": "cli",
    "rich": ("cli", "report"),
}


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports_of(path: Path) -> Iterator[str]:
    """Absolute names of everything a file imports, inside functions and for types too."""
    package = ("compaudit", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def level(room: str) -> int:
    return next(place for place, rooms in enumerate(LAYERS) if room in rooms)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    if room == "":
        return  # the public face hands names on, lazily
    for name in imports_of(path):
        top, _, rest = name.partition(".")
        if top != "compaudit":
            continue
        target = rest.split(".")[0]
        if not (PACKAGE / target).is_dir() and not (PACKAGE / f"{target}.py").exists():
            target = ""
        if target == room:
            continue
        assert level(target) > level(room) or (level(target) == level(room) and room in BESIDE), (
            f"{path} imports {name}"
        )
        if room in SELDOM:
            assert target in SELDOM[room] | {""}, f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_frameworks_stay_in_their_rooms(path: Path) -> None:
    place = path.relative_to(PACKAGE).as_posix()
    for name in imports_of(path):
        rooms = FRAMEWORKS.get(name.split(".")[0])
        if rooms is not None:
            assert place.startswith(rooms), f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_theory_knows_only_numbers(path: Path) -> None:
    if room_of(path) == "theory":
        for name in imports_of(path):
            top = name.split(".")[0]
            assert top in {"compaudit", "numpy", "scipy"} or top in sys.stdlib_module_names, name
            assert not name.startswith("scipy.stats"), "half a second of import for a quantile"


HEAVY = ("numpy", "onnx", "onnxruntime", "torch", "scipy", "jinja2", "matplotlib")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["compare", "--help"], ["rank", "--help"], ["gate", "--help"]],
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "compaudit", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert imported & set(HEAVY) == set()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import compaudit, sys; print([m for m in sys.modules if m in " + repr(HEAVY) + "])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module",
    [
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        for path in FILES
        if "models/torch" in path.as_posix() or path.parent == PACKAGE / "models"
    ],
)
def test_formats_can_be_listed_without_torch_and_onnxruntime(module: str) -> None:
    """The registry must open in an installation that has neither."""
    if "." in module and module.split(".")[-1] not in ("open", "base", "safetensors", "roles"):
        return
    code = (
        f"import sys; sys.modules.update(dict.fromkeys(('torch', 'onnxruntime')));import {module}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_room_is_called_utils() -> None:
    for path in FILES:
        assert not {"utils", "helpers", "manager", "managers", "common", "misc"} & {
            part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts
        }
