import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-golden",
        action="store_true",
        help="write the golden files of tests/report anew; read them before you commit",
    )


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test, and no session's fixture, reads or writes what the user's own audits have kept."""
    with pytest.MonkeyPatch.context() as patch:
        if "MPLCONFIGDIR" not in os.environ:
            # Matplotlib lists all fonts anew where its own cache is empty, which takes seconds.
            caches = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
            patch.setenv("MPLCONFIGDIR", str(caches / "matplotlib"))
        folder = tmp_path_factory.getbasetemp() / "caches"
        patch.setenv("XDG_CACHE_HOME", str(folder / "session"))
        yield folder


_numbers = itertools.count()


@pytest.fixture(autouse=True)
def empty_cache(no_cache_of_the_user: Path) -> Iterator[None]:
    """Every test begins without anything kept; the folder is made when something is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(no_cache_of_the_user / str(next(_numbers))))
        yield
