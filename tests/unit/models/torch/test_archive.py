from __future__ import annotations

import io
import struct
import zipfile

import pytest

from compaudit.errors import RequestError
from compaudit.models.base import Source
from compaudit.models.torch.archive import member_names, open_archive


def write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def refusal(path, **options):
    with pytest.raises(RequestError) as caught:
        open_archive(Source(str(path), "state-dict", path=str(path)), path, **options)
    assert caught.value.hint
    return caught.value.code


def test_members_are_found_in_place(tmp_path):
    path = write(tmp_path / "a.pt", [("root/data.pkl", b"abc"), ("root/data/0", b"12345")])
    archive = open_archive(Source("a", "state-dict"), path)
    assert archive.block("data/0").tobytes() == b"12345"
    assert set(archive.members) == {"data.pkl", "data/0"}


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.pt"
    write(path, [("r/data.pkl", b"\0" * (64 << 20))], zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert refusal(path) == "unsafe-archive"


def test_a_bomb_is_refused_where_compression_is_allowed_too(tmp_path):
    path = tmp_path / "bomb.pt"
    write(path, [("r/code/a.py", b"\0" * (100 << 20))], zipfile.ZIP_DEFLATED)
    assert refusal(path, compressed=True) == "unsafe-archive"


def test_overlapping_members_are_refused(tmp_path):
    """Two names for the same bytes: the archive claims to hold more than it is."""
    path = write(tmp_path / "a.pt", [("r/a", b"x" * 10_000)])
    raw = path.read_bytes()
    start, end = raw.find(b"PK\x01\x02"), raw.find(b"PK\x05\x06")
    second = raw[start:end].replace(b"r/a", b"r/b")
    entries = raw[start:end] + second
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, len(entries), start, 0)
    path.write_bytes(raw[:start] + entries + tail)
    with pytest.raises(RequestError, match="claims to hold 20000"):
        open_archive(Source("a", "state-dict"), path)


def test_a_name_given_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = write(tmp_path / "a.pt", [("r/a", b"1"), ("r/a", b"2")])
    assert refusal(path) == "unsafe-archive"


def test_several_top_folders_are_refused(tmp_path):
    assert refusal(write(tmp_path / "a.pt", [("r/a", b"1"), ("s/b", b"2")])) == "unsafe-archive"


def test_a_truncated_archive_is_broken(tmp_path):
    path = write(tmp_path / "a.pt", [("r/a", b"1" * 100)])
    path.write_bytes(path.read_bytes()[:-30])
    assert refusal(path) == "broken-model"


def test_member_names_of_something_else_are_none(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(io.BytesIO(b"no archive").getvalue())
    assert member_names(path) == frozenset()
