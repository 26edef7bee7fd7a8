import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compaudit.cache import Cache, CacheError, default_folder


def add(cache: Cache, key: str, size: int = 10) -> None:
    with cache.adding(key) as addition:
        (addition.folder / "data").write_bytes(bytes(size))
        addition.whole = True


def keys(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_what_was_added_is_found(folder: Path) -> None:
    cache = Cache(folder)
    assert cache.find("a") is None
    add(cache, "a")
    entry = Cache(folder).find("a")
    assert entry is not None
    assert (entry / "data").read_bytes() == bytes(10)
    cache.remove("a")
    assert cache.find("a") is None
    assert keys(folder) == set()
    cache.remove("a")


def test_only_the_user_may_read_it(folder: Path) -> None:
    mask = os.umask(0)
    try:
        add(Cache(folder), "a")
    finally:
        os.umask(mask)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_what_is_not_whole_is_not_kept(folder: Path, error: type[BaseException] | None) -> None:
    def make() -> None:
        with Cache(folder).adding("a") as addition:
            (addition.folder / "data").write_bytes(b"half")
            addition.whole = error is not None
            if error is not None:
                raise error

    if error is None:
        make()
    else:
        with pytest.raises(error):
            make()
    assert keys(folder) == set()


def test_of_two_who_make_the_same_entry_the_first_wins(folder: Path) -> None:
    first, second = Cache(folder), Cache(folder)
    with first.adding("a") as one, second.adding("a") as other:
        (one.folder / "data").write_bytes(b"1")
        (other.folder / "data").write_bytes(b"2")
        one.whole = other.whole = True
        # The inner block ends first.
    entry = first.find("a")
    assert entry is not None
    assert (entry / "data").read_bytes() == b"2"
    assert keys(folder) == {"a"}


def test_what_was_used_longest_ago_goes_first(folder: Path) -> None:
    cache = Cache(folder, most_bytes=100)
    for place, key in enumerate("abcd"):
        add(cache, key, 25)
        os.utime(folder / key, (place, place))
    assert cache.find("a") is not None  # used now
    add(cache, "e", 40)
    assert keys(folder) == {"a", "d", "e"}


def test_the_newest_stays_even_where_its_time_is_the_oldest(folder: Path) -> None:
    cache = Cache(folder, most_bytes=100)
    add(cache, "future", 60)
    os.utime(folder / "future", (time.time() + 1e6,) * 2)
    add(cache, "new", 60)
    assert keys(folder) == {"new"}


def test_what_nobody_finished_is_removed_after_a_day(folder: Path) -> None:
    cache = Cache(folder)
    add(cache, "a")
    for name, age_s in ((".new-dead", 2 * 86400), (".old-dead", 2 * 86400), (".new-alive", 60)):
        (folder / name).mkdir()
        (folder / name / "data").write_bytes(b"1")
        for path in (folder / name / "data", folder / name):
            os.utime(path, (time.time() - age_s,) * 2)
    add(cache, "b")
    assert keys(folder) == {"a", "b", ".new-alive"}


def test_a_reader_goes_on_when_the_entry_is_removed(folder: Path) -> None:
    import numpy as np

    cache = Cache(folder)
    add(cache, "a", 100_000)
    values = np.memmap(folder / "a" / "data", np.uint8, "r")
    cache.remove("a")
    assert int(values.sum()) == 0
    assert len(values) == 100_000


# ------------------------------------------------------------------------ folders of all kinds


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="Not a directory"):
        add(Cache(tmp_path / "file" / "cache"), "a")


def test_a_folder_into_which_others_may_write_is_not_used(folder: Path) -> None:
    cache = Cache(folder)
    add(cache, "a")
    folder.chmod(0o777)
    assert cache.find("a") is None
    with pytest.raises(CacheError, match="others may write to it"):
        add(cache, "b")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_read(folder: Path) -> None:
    cache = Cache(folder)
    add(cache, "a")
    folder.chmod(0o500)
    try:
        assert cache.find("a") is not None
        with pytest.raises(CacheError, match="Permission denied"):
            add(cache, "b")
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_CACHE_HOME": "/x/y"}, "/x/y/compaudit"),
        ({"XDG_CACHE_HOME": "not/absolute"}, None),
        ({"XDG_CACHE_HOME": ""}, None),
        ({}, None),
    ],
)
def test_where_it_is(
    environment: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for platform, usual in (("linux", ".cache"), ("darwin", "Library/Caches")):
        monkeypatch.setattr(sys, "platform", platform)
        found = default_folder(environment)
        assert found == Path(expected or f"/home/somebody/{usual}/compaudit")


# ---------------------------------------------------------------------------- several processes

_MANY = """
import sys
from pathlib import Path
from compaudit.cache import Cache

cache = Cache(Path(sys.argv[1]), most_bytes=50_000)
for number in range(60):
    key = f"k{number % 12}"
    entry = cache.find(key)
    if entry is not None:
        try:
            files = sorted(path.name for path in entry.iterdir())
            data = (entry / "data").read_bytes()
        except FileNotFoundError:
            continue  # removed to make room
        assert files in (["data", "index"], [], ["data"], ["index"]), files
        assert data == key.encode() * 1000, "half an entry"
    if number % 3 == 0:
        with cache.adding(key) as addition:
            (addition.folder / "data").write_bytes(key.encode() * 1000)
            (addition.folder / "index").write_bytes(b"")
            addition.whole = True
    if number % 7 == 0:
        cache.remove(key)
"""


def test_processes_that_add_find_and_remove_at_once(folder: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", _MANY, str(folder)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert all(name.startswith("k") for name in keys(folder))
    assert sum((folder / key / "data").stat().st_size for key in keys(folder)) <= 50_000
