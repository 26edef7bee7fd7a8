import os
from pathlib import Path

import pytest

from compaudit.engines.ray import parcels as module
from compaudit.engines.ray.parcels import chunks, is_here, pack, pack_folder, python_files
from compaudit.engines.ray.shelf import Shelf
from compaudit.errors import RequestError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(b"graph")
    (folder / "m.data").write_bytes(b"weights")
    return folder


def packed(folder: Path, hashed: bool = True) -> module.Parcel:
    files = [str(folder / "m.onnx"), str(folder / "m.data")]
    return pack("original", files[0], files, hashed=hashed)


def test_a_parcel_names_its_files_relative_to_their_folder(model: Path) -> None:
    parcel = packed(model)
    assert (parcel.root, parcel.entry) == (str(model), "m.onnx")
    assert [file.name for file in parcel.files] == ["m.data", "m.onnx"]
    assert parcel.size == 12
    # sha256 of "graph", by sha256sum.
    assert parcel.files[1].sha256 == (
        "eef93e1d14482804277fca0172464032d1a4fdbcc338524059fa1e861454ad4d"
    )


def test_names_are_relative_to_where_the_user_stands(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model)
    assert pack("original", "m.onnx", ["m.onnx", "m.data"], hashed=True) == packed(model)


def test_the_very_same_file_is_known_without_reading_it(model: Path) -> None:
    parcel = packed(model, hashed=False)
    assert is_here(parcel, same_machine=True)
    # Under another kernel the numbers of a file mean nothing, and there is no hash to go by.
    assert not is_here(parcel, same_machine=False)


def test_a_file_with_the_same_content_at_the_same_place_will_do(model: Path) -> None:
    parcel = packed(model)
    (model / "m.data").unlink()
    (model / "m.data").write_bytes(b"weights")
    assert is_here(parcel, same_machine=False)
    (model / "m.data").write_bytes(b"weighty")
    assert not is_here(parcel, same_machine=False)
    assert not is_here(parcel, same_machine=True)
    (model / "m.data").unlink()
    assert not is_here(parcel, same_machine=False)


def test_files_arrive_as_they_were(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 4)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (model / "empty").touch()
    (model / "sub").mkdir()
    (model / "sub" / "long").write_bytes(bytes(range(10)))
    parcels = (packed(model), pack_folder("data", str(model), hashed=True))
    shelf = Shelf("key")
    sent = list(chunks(parcels, [1]))
    assert max(sum(len(piece) for *_, piece in chunk) for chunk in sent) <= 4
    for chunk in sent:
        shelf.write(parcels, chunk)
    there = shelf.place_of(parcels[1]) / parcels[1].entry
    assert {
        path.relative_to(there): path.read_bytes() for path in there.rglob("*") if path.is_file()
    } == {
        Path("m.onnx"): b"graph",
        Path("m.data"): b"weights",
        Path("empty"): b"",
        Path("sub/long"): bytes(range(10)),
    }
    shelf.close()
    assert list(tmp_path.glob("compaudit-sent-*")) == []


def test_a_file_that_changes_while_it_is_sent(model: Path) -> None:
    parcel = packed(model)
    (model / "m.data").write_bytes(b"more weights")
    with pytest.raises(RequestError, match="changed while it was sent"):
        list(chunks([parcel], [0]))


def test_a_missing_file_is_named(model: Path) -> None:
    with pytest.raises(RequestError, match=r"gone\.onnx cannot be read: No such file"):
        pack("original", str(model / "gone.onnx"), [str(model / "gone.onnx")], hashed=True)


def test_links_are_followed_and_only_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / "1.png").write_bytes(b"png")
    (data / "cat").symlink_to(blobs)
    (blobs / "again").symlink_to(data)
    assert [file.name for file in pack_folder("data", str(data), hashed=True).files] == [
        "data/cat/1.png"
    ]


def test_code_is_what_a_project_is_made_of(tmp_path: Path) -> None:
    for name in (".git", "venv", "package", "node_modules"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").touch()
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    (tmp_path / "nets.py").touch()
    (tmp_path / "weights.pt").touch()
    found = {os.path.relpath(path, tmp_path) for path in python_files(str(tmp_path))}
    assert found == {"nets.py", "package/module.py"}


def test_a_home_folder_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CODE_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.py").touch()
    with pytest.raises(RequestError, match="more than 2 Python files"):
        python_files(str(tmp_path))


# --------------------------------------------------------------------------------- the shelf


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_last_user_of_a_shelf_removes_it(folder: Path) -> None:
    one, other = Shelf("key"), Shelf("key")
    one.close()
    assert list(folder.iterdir()) == [folder / "compaudit-sent-key"]
    other.close()
    assert list(folder.iterdir()) == []


def test_what_a_killed_worker_left_is_swept_away_and_nothing_that_is_used(folder: Path) -> None:
    left = folder / "compaudit-sent-dead"
    left.mkdir()
    (left / "lock").touch()
    (left / "model").touch()
    used = Shelf("one")
    Shelf("two").close()
    assert list(folder.iterdir()) == [folder / "compaudit-sent-one"]
    used.close()
