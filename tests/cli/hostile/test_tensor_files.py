"""safetensors headers that lie, and archives and pickles that grow when they are opened."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run

BROKEN = "broken-model"


def entry(dtype: str, shape: Any, begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


X = entry("U8", [4], 0, 4)
X_TEXT = json.dumps(X).encode()
DATA = b"\1\0\3\4"


def file(header: Any, data: bytes = DATA, length: int | None = None) -> bytes:
    """A safetensors file; `length` is what it says of its header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


# What each is, what the command says of it, and the code of the error.
REFUSED: dict[str, tuple[bytes, str, str]] = {
    "duplicate keys": (file(b'{"a":' + X_TEXT + b',"a":' + X_TEXT + b"}"), "a twice", BROKEN),
    "duplicate dtype": (
        file(b'{"a":{"dtype":"U8",' + X_TEXT[1:] + b"}"), "", BROKEN
    ),
    "duplicate metadata": (
        file(b'{"__metadata__":{"a":"b","a":"c"},"a":' + X_TEXT + b"}"), "a twice", BROKEN
    ),
    "header beyond the file": (file({"a": X}, length=1000), "", BROKEN),
    "header of 100 MB": (file({"a": X}, length=99_999_999), "", BROKEN),
    "header of 2^63": (b"\0" * 7 + b"\x80" + b'{"a":', "not a model", "unknown-format"),
    "header cut": (file({"a": X})[:20], "", BROKEN),
    "nothing behind the length": (struct.pack("<Q", 2), "not a model", "unknown-format"),
    "not JSON": (file(b"{'a': 1}"), "", BROKEN),
    "comment": (file(b'{/**/"a":' + X_TEXT + b"}"), "", BROKEN),
    "NaN": (file(b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,4]}}'), "", BROKEN),
    "infinity": (file(b'{"a":{"dtype":"U8","shape":[1e999],"data_offsets":[0,4]}}'), "", BROKEN),
    "byte order mark": (
        file(b'\xef\xbb\xbf{"a":' + X_TEXT + b"}"), "not a model", "unknown-format"
    ),
    "UTF-16": (file('{"a":1}'.encode("utf-16-le")), "", BROKEN),
    "not UTF-8": (file(b'{"\xff":' + X_TEXT + b"}"), "", BROKEN),
    "lone surrogate": (file(b'{"\\ud800":' + X_TEXT + b"}"), "", BROKEN),
    "list": (file(b"[1]"), "not a model", "unknown-format"),
    "deep": (file(b'{"a":' * 5000), "", BROKEN),
    "deep lists": (file(b'{"a":' + b"[" * 100_000), "", BROKEN),
    "overlap": (file({"a": X, "b": entry("U8", [4], 2, 6)}, b"123456"), "", BROKEN),
    "same bytes": (file({"a": X, "b": X}), "", BROKEN),
    "hole": (file({"a": X, "b": entry("U8", [4], 5, 9)}, b"123456789"), "", BROKEN),
    "short": (file({"a": X}, b"123"), "", BROKEN),
    "bytes behind": (file({"a": X}, b"12345"), "", BROKEN),
    "shape of other bytes": (file({"a": entry("F32", [4], 0, 4)}), "", BROKEN),
    "negative size": (file({"a": entry("U8", [-4], 0, 4)}), "", BROKEN),
    "two negative sizes": (file({"a": entry("U8", [-2, -2], 0, 4)}), "", BROKEN),
    "2^40 elements": (file({"a": entry("U8", [2**20, 2**20], 0, 4)}), "", BROKEN),
    "product that wraps to 4": (
        file({"a": entry("U8", [2**62, 4, 2**60, 4, 4], 0, 4)}), "", BROKEN
    ),
    "sizes of 2^64": (file({"a": entry("U8", [2**64], 0, 4)}), "", BROKEN),
    "fraction": (file({"a": entry("U8", [4.0], 0, 4)}), "", BROKEN),
    "text as size": (file({"a": entry("U8", ["4"], 0, 4)}), "", BROKEN),
    "truth as size": (file({"a": entry("U8", [True], 0, 1)}, b"1"), "", BROKEN),
    "no shape": (file({"a": {"dtype": "U8", "data_offsets": [0, 4]}}), "", BROKEN),
    "offsets backwards": (file({"a": entry("U8", [4], 4, 0)}), "", BROKEN),
    "negative offset": (file({"a": entry("U8", [4], -4, 0)}), "", BROKEN),
    "huge offsets": (file({"a": entry("U8", [4], 2**64 - 4, 2**64 - 1)}), "", BROKEN),
    "unknown type": (file({"a": entry("Q7", [4], 0, 4)}), "", BROKEN),
    "half a byte": (file({"a": entry("F4", [3], 0, 2)}, b"12"), "", BROKEN),
    "metadata of lists": (file({"__metadata__": {"a": [1]}, "a": X}), "", BROKEN),
}  # fmt: skip

READ: dict[str, tuple[bytes, str, int, int]] = {
    # name of the tensor, its elements and how many are not zero
    "plain": (file({"a": X}), "a", 4, 3),
    "escaped nul": (file({"a\0b": X}), "a\0b", 4, 3),
    "empty name": (file({"": X}), "", 4, 3),
    "name of 100 kB": (file({"n" * 100_000: X}), "n" * 100_000, 4, 3),
    "padded header": (file(json.dumps({"a": X}).encode() + b" " * 1000), "a", 4, 3),
    "no elements, 2^62 a side": (
        file({"a": entry("U8", [0, 2**62], 0, 0)}, b""), "a", 0, 0
    ),
    "scalar": (file({"a": entry("F32", [], 0, 4)}, b"\0\0\x80\x3f"), "a", 1, 1),
    "a thousand sizes": (file({"a": entry("U8", [1] * 1000, 0, 1)}, b"1"), "a", 1, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, inspect_all: Any) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("tensors")
    contents = {name: data for name, (data, *_) in (REFUSED | READ).items()}
    return inspected(folder, contents, inspect_all, ".safetensors")


def inspected(
    folder: Path, contents: Mapping[str, bytes], inspect_all: Any, suffix: str, **options: Any
) -> dict[str, Outcome]:
    files = {}
    for number, (name, data) in enumerate(contents.items()):
        files[name] = folder / f"{number}{suffix}"
        files[name].write_bytes(data)
    outcomes: dict[str, Outcome] = inspect_all(files, "--json", **options)
    return outcomes


@pytest.mark.parametrize("name", REFUSED)
def test_refused(found: dict[str, Outcome], name: str) -> None:
    _, said, code = REFUSED[name]
    assert found[name].refused(said) == code


@pytest.mark.parametrize("name", READ)
def test_read(found: dict[str, Outcome], name: str) -> None:
    data, called, elements, nonzeros = READ[name]
    (model,) = found[name].done()["models"]
    (tensor,) = model["tensors"]
    assert (tensor["name"], tensor["logical_elements"]) == (called, elements)
    assert tensor["nonzeros"] == nonzeros
    assert model["file_bytes"] == len(data) == model["graph_bytes"] + tensor["bytes"]


def test_through_the_real_command(run: Run, found: dict[str, Outcome]) -> None:
    for name in ("duplicate keys", "deep", "escaped nul"):
        alone = run(*found[name].command)
        assert (alone.code, alone.stderr) == (found[name].code, found[name].stderr)
    path = found["duplicate keys"].command[1]
    run("compare", path, path, "--only", "size,macs").refused("a twice")


# ------------------------------------------------------------------------- archives and pickles


def archive(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Any:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", compression) as made:
            for name, data in members.items():
                made.writestr(f"archive/{name}", data)

    return write


def checkpoint(pickle: bytes) -> Any:
    return archive({"data.pkl": b"\x80\x02" + pickle, "version": b"3\n", "byteorder": b"little"})


PT2 = {"archive_format": b"pt2", "version": b"8.20"}
UNSAFE = "unsafe-archive"
HUNGRY_CALL = b"c__builtin__\nbytearray\n"  # of the number that follows: memory, filled with zeros

ARCHIVES: dict[str, tuple[Any, str, str]] = {
    "bomb.pt": (
        archive({"data.pkl": b"\x80\x02}.", "data/0": bytes(1 << 26)}, zipfile.ZIP_DEFLATED),
        "compresses", UNSAFE,
    ),
    "bomb.pt2": (
        archive({**PT2, "models/model.json": b" " * (1 << 26)}, zipfile.ZIP_DEFLATED),
        "compresses", UNSAFE,
    ),
    "tuples.pt": (
        checkpoint(b"}N" + b"\x85" * 1_000_000 + b"K\x01s."), "nests tuples", UNSAFE
    ),
    "tuples.bin": (
        lambda path: path.write_bytes(b"\x80\x02}N" + b"\x85" * 1_000_000 + b"K\x01s."),
        "nests tuples", UNSAFE,
    ),
    "bytes.pt": (
        checkpoint(b"}K\x01" + HUNGRY_CALL + b"\x8a\x05\0\0\0\0\1\x85Rs."), "bytearray", UNSAFE
    ),
    "bytes_remembered.pt": (
        checkpoint(b"}K\x01" + HUNGRY_CALL + b"q\0000h\0J\0\0\0\x7f\x85Rs."), "bytearray", UNSAFE
    ),
    "bytes_by_another.pt": (
        checkpoint(
            b"}K\x01ctorch._tensor\n_rebuild_from_type_v2\n(" + HUNGRY_CALL
            + b"cbuiltins\nset\nJ\0\0\0\x7f\x85NtRs."
        ),
        "bytearray", UNSAFE,
    ),
    "storage.pt": (checkpoint(b"}K\x01ctorch\nTensor\nJ\0\0\0\x7f\x85Rs."), "claims", UNSAFE),
    "lists.pt": (checkpoint(b"}K\x01" + b"]" * 100_000 + b"a" * 99_999 + b"s."), "", "no-tensors"),
    "nothing.pt": (checkpoint(b"}."), "no tensors", "no-tensors"),
}  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, inspect_all: Any) -> dict[str, Outcome]:
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("archives")
    files = {name: folder / name for name in ARCHIVES}
    for name, path in files.items():
        ARCHIVES[name][0](path)
    outcomes: dict[str, Outcome] = inspect_all(files, "--json")
    return outcomes


@pytest.mark.torch
@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_that_grow(opened: dict[str, Outcome], name: str) -> None:
    _, said, code = ARCHIVES[name]
    assert opened[name].refused(name, said) == code


@pytest.mark.torch
def test_an_archive_through_the_real_command(run: Run, opened: dict[str, Outcome]) -> None:
    run(*opened["tuples.pt"].command).refused("nests tuples")
