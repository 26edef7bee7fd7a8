"""External data that lies or leads elsewhere: refused in one sentence, or read to the byte."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run

WEIGHTS = np.arange(12, dtype=np.float32)  # 48 bytes, one of them zero
UNSAFE, MISSING, BROKEN = "unsafe-external-data", "missing-external-data", "broken-external-data"
Entries = Iterable[tuple[str, str]]
Prepare = Callable[[Path], Any]


def nothing(folder: Path) -> None:
    pass


def link(target: str, name: str = "odd.bin") -> Prepare:
    return lambda folder: (folder / name).symlink_to(target)


def named(name: str) -> Prepare:
    return lambda folder: (folder / name).write_bytes(WEIGHTS.tobytes())


def entries(location: str = "weights.bin", offset: str = "0", length: str = "48") -> Entries:
    return [("location", location), ("offset", offset), ("length", length)]


# Beside every model: weights.bin with 48 bytes, folder/, and outside of it ../secret.bin.
REFUSED: dict[str, tuple[Entries, Prepare, str, str]] = {
    "link out": (entries("odd.bin"), link("../secret.bin"), UNSAFE, "leads out"),
    "folder link out": (entries("out/secret.bin"), link("..", "out"), UNSAFE, "leads out"),
    "link to a device": (entries("odd.bin"), link("/dev/zero"), UNSAFE, "leads out"),
    "link to nothing": (entries("odd.bin"), link("gone.bin"), MISSING, "cannot be found"),
    "link to itself": (entries("odd.bin"), link("odd.bin"), MISSING, "cannot be found"),
    "fifo": (entries("pipe"), lambda f: os.mkfifo(f / "pipe"), UNSAFE, "not a regular file"),
    "folder": (entries("folder"), nothing, UNSAFE, "not a regular file"),
    "traversal": (entries("../secret.bin"), nothing, UNSAFE, "leaves the model's folder"),
    "traversal inside": (entries("folder/../weights.bin"), nothing, UNSAFE, "leaves"),
    "absolute": (entries("/etc/passwd"), nothing, UNSAFE, "not relative"),
    "device": (entries("/dev/zero"), nothing, UNSAFE, "not relative"),
    "drive letter": (entries("C:\\weights.bin"), nothing, UNSAFE, "not relative"),
    "drive alone": (entries("c:weights.bin"), nothing, UNSAFE, "not relative"),
    "backslashes": (entries("..\\secret.bin"), nothing, UNSAFE, "not relative"),
    "share": (entries("//host/share"), nothing, UNSAFE, "not relative"),
    "empty location": (entries(""), nothing, UNSAFE, "names no file"),
    "no entries": ([], nothing, UNSAFE, "names no file"),
    "nul": (entries("weights.bin\0.png"), nothing, UNSAFE, "names no file"),
    "location twice": (
        [*entries(), ("location", "/etc/passwd")], nothing, UNSAFE, "states something twice"
    ),
    "offset twice": ([*entries(), ("offset", "0")], nothing, UNSAFE, "states something twice"),
    "percent signs": (entries("weights%2ebin"), nothing, MISSING, "weights%2ebin"),
    "url": (entries("file:weights.bin"), nothing, MISSING, "cannot be found"),
    "too long a name": (entries("x" * 5000), nothing, MISSING, "cannot be found"),
    "runtime's own mark": (entries("*/_ORT_MEM_ADDR_/*"), nothing, MISSING, "cannot be found"),
    "shorter than said": (entries(offset="4"), nothing, BROKEN, "4 to 52"),
    "length too small": (entries(length="44"), nothing, BROKEN, "needs 48 bytes"),
    "length too large": (entries(length="52"), nothing, BROKEN, "said to be 52"),
    "length of all": (entries(length=str(2**63)), nothing, BROKEN, str(2**63)),
    "negative offset": (entries(offset="-4"), nothing, BROKEN, "offset '-4'"),
    "negative length": (entries(length="-48"), nothing, BROKEN, "length '-48'"),
    "huge offset": (entries(offset=str(2**63)), nothing, BROKEN, str(2**63)),
    "wrapping offset": (entries(offset=str(2**64 - 4)), nothing, BROKEN, "offset"),
    "thousand digits": (entries(offset="9" * 1000), nothing, BROKEN, "offset"),
    "hexadecimal": (entries(offset="0x4"), nothing, BROKEN, "offset '0x4'"),
    "no number": (entries(length="many"), nothing, BROKEN, "length 'many'"),
    "fraction": (entries(offset="0.5"), nothing, BROKEN, "offset"),
    "exponent": (entries(offset="1e2"), nothing, BROKEN, "offset"),
    "other digits": (entries(offset="٣"), nothing, BROKEN, "offset"),
    "empty file": (entries("odd.bin"), lambda f: (f / "odd.bin").touch(), BROKEN, "which has 0"),
}  # fmt: skip


READ: dict[str, tuple[str, str, Prepare]] = {
    "plain": ("weights.bin", "0", nothing),
    "link inside": ("odd.bin", "0", link("weights.bin")),
    "hard link": ("odd.bin", "0", lambda f: (f / "odd.bin").hardlink_to(f / "weights.bin")),
    "hard link from outside": (
        "odd.bin", "0", lambda f: (f / "odd.bin").hardlink_to(f.parent / "secret.bin")
    ),
    "in a folder": ("folder/odd.bin", "0", named("folder/odd.bin")),
    "dotted path": ("./weights.bin", "0", nothing),
    "offset not aligned": ("odd.bin", "3", lambda f: (f / "odd.bin").write_bytes(
        b"abc" + WEIGHTS.tobytes()
    )),
    "percent sign": ("50%25.bin", "0", named("50%25.bin")),
    "unicode": ("Gewichte-権重.bin", "0", named("Gewichte-権重.bin")),
    "space": ("my weights.bin", "0", named("my weights.bin")),
    "newline": ("odd\n::error::.bin", "0", named("odd\n::error::.bin")),
    "escape codes": ("\x1b[31mred.bin", "0", named("\x1b[31mred.bin")),
    "right to left": ("\u202enib.bin", "0", named("\u202enib.bin")),
    "dots": ("...", "0", named("...")),
    "hidden": ("..weights", "0", named("..weights")),
}  # fmt: skip


def tensor(name: str, given: Entries, elements: int = 12) -> TensorProto:
    made = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[elements])
    made.data_location = TensorProto.EXTERNAL
    for key, value in given:
        made.external_data.add(key=key, value=value)
    return made


def write(folder: Path, *tensors: TensorProto) -> Path:
    """A model in a folder of its own that multiplies its input by every tensor."""
    folder.mkdir(parents=True)
    (folder / "folder").mkdir()
    (folder / "weights.bin").write_bytes(WEIGHTS.tobytes())
    (folder.parent / "secret.bin").write_bytes(WEIGHTS.tobytes())
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", held.name], [f"y{n}"]) for n, held in enumerate(tensors)],
        "g",
        [info("x", TensorProto.FLOAT, ["n", 12])],
        [info("y0", TensorProto.FLOAT, None)],
        tensors,
    )
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=8).SerializeToString())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("external")


@pytest.fixture(scope="module")
def found(folder: Path, inspect_all: Any) -> dict[str, Outcome]:
    """What the command says to each of them."""
    cases = {name: (given, prepare) for name, (given, prepare, *_) in REFUSED.items()}
    cases |= {
        name: (entries(location, offset), prepare)
        for name, (location, offset, prepare) in READ.items()
    }
    files = {}
    for number, (name, (given, prepare)) in enumerate(cases.items()):
        place = folder / f"{number}" / "model"
        files[name] = write(place, tensor("w", given))
        prepare(place)
    outcomes: dict[str, Outcome] = inspect_all(files, "--json")
    return outcomes


@pytest.mark.parametrize("name", REFUSED)
def test_refused(found: dict[str, Outcome], name: str) -> None:
    *_, code, said = REFUSED[name]
    assert found[name].refused("'w'", said) == code


@pytest.mark.parametrize("name", READ)
def test_read(found: dict[str, Outcome], name: str) -> None:
    (model,) = found[name].done()["models"]
    (weight,) = model["tensors"]
    location, offset, _ = READ[name]
    assert (weight["name"], weight["location"]) == ("w", location)
    assert (weight["bytes"], weight["logical_elements"], weight["nonzeros"]) == (48, 12, 11)
    graph = Path(model["path"]).stat().st_size  # the model file holds no tensor, but the padding is
    assert model["graph_bytes"] == graph + int(offset)  # nobody's
    assert model["file_bytes"] == model["graph_bytes"] + 48


def test_through_the_real_command(run: Run, folder: Path, found: dict[str, Outcome]) -> None:
    for name in ("fifo", "traversal", "unicode"):
        command, alone = found[name].command, run(*found[name].command)
        assert (alone.code, alone.stderr) == (found[name].code, found[name].stderr), command
        if alone.code == 0:
            assert alone.done()["models"] == found[name].document["models"]
    pipe = found["fifo"].command[1]
    run("compare", pipe, pipe, "--only", "size,macs", "--json").refused("regular file", code=2)


def test_the_model_file_as_its_own_external_data(folder: Path, inspect_all: Any) -> None:
    """Its bytes are there; they are shipped once, and the graph has what the tensor has not."""
    path = write(folder / "itself", tensor("w", entries("model.onnx")))
    report = inspect_all({"itself": path}, "--json")["itself"].done()
    (model,) = report["models"]
    assert model["file_bytes"] == path.stat().st_size
    assert model["graph_bytes"] == path.stat().st_size - 48


def test_two_tensors_that_overlap_count_every_byte_once(folder: Path, inspect_all: Any) -> None:
    path = write(
        folder / "overlap",
        tensor("a", entries(length="32"), elements=8),
        tensor("b", entries(offset="16", length="32"), elements=8),
        tensor("c", entries(offset="16", length="32"), elements=8),
    )
    (model,) = inspect_all({"": path}, "--json")[""].done()["models"]
    rows = {row["name"]: row for row in model["tensors"]}
    assert [rows[name]["bytes"] for name in "abc"] == [32, 16, 0]
    assert "16" in rows["b"]["note"]
    assert rows["c"]["tied_to"] == "b"
    assert model["file_bytes"] == model["graph_bytes"] + 48


def test_a_cache_of_links_into_a_blob_folder(folder: Path, inspect_all: Any) -> None:
    """models--x/snapshots/main/* → ../../blobs/<hash>: ordinary, and must work."""
    blobs, snapshot = folder / "cache" / "blobs", folder / "cache" / "snapshots" / "main"
    path = write(folder / "made", tensor("w", entries("model.onnx_data")))
    for place in (blobs, snapshot):
        place.mkdir(parents=True)
    path.rename(blobs / "1f0c")
    (blobs / "77ab").write_bytes(WEIGHTS.tobytes())
    (snapshot / "model.onnx").symlink_to("../../blobs/1f0c")
    (snapshot / "model.onnx_data").symlink_to("../../blobs/77ab")
    (model,) = inspect_all({"": snapshot / "model.onnx"}, "--json")[""].done()["models"]
    assert [row["bytes"] for row in model["tensors"]] == [48]
    assert model["file_bytes"] == (blobs / "1f0c").stat().st_size + 48
