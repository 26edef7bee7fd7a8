import sys
from pathlib import Path

import pytest

from compaudit.data.function import find_function, is_function
from compaudit.errors import RequestError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in set(sys.modules):
        if name.startswith(("own_", "pkg")):
            monkeypatch.delitem(sys.modules, name)
    return tmp_path


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("loader:batches", True),
        ("package.module:function", True),
        ("package.module:Class.method", True),
        ("data/loader.py:batches", True),
        ("data.npz", False),
        ("data/folder", False),
        ("loader:", False),
        (":batches", False),
        ("folder/loader:batches", False),
        ("loader:two words", False),
        ("loader:9", False),
        ("x" * 5000 + ":f", True),
    ],
)
def test_what_names_a_function(here: Path, uri: str, expected: bool) -> None:
    assert is_function(uri) is expected


def test_a_path_of_that_name_wins(here: Path) -> None:
    (here / "loader:batches").touch()
    assert not is_function("loader:batches")


def test_functions_of_modules_and_files(here: Path) -> None:
    (here / "own_loader.py").write_text(
        "import own_other\nclass Loader:\n    @staticmethod\n    def batches():\n"
        "        return own_other.NUMBER\n"
    )
    (here / "own_other.py").write_text("NUMBER = 7")
    assert find_function("own_loader:Loader.batches")() == 7
    folder = here / "elsewhere"
    folder.mkdir()
    (folder / "own_script.py").write_text("import own_beside\ndef f(): return own_beside.NUMBER")
    (folder / "own_beside.py").write_text("NUMBER = 8")
    assert find_function("elsewhere/own_script.py:f")() == 8


@pytest.mark.parametrize(
    ("spec", "code", "said", "hint"),
    [
        ("own_missing:f", "function-missing", "no module own_missing", "PYTHONPATH"),
        ("pkg.own_missing:f", "function-missing", "no module pkg.own_missing", "PYTHONPATH"),
        ("nowhere.py:f", "function-missing", "no file nowhere.py", "path"),
        ("own_good:bathces", "function-missing", "own_good has no bathces", "batches"),
        ("own_good:NUMBER", "function-missing", "is a int, not a function", "name a function"),
        ("own_imports:f", "function-failed", "No module named 'own_absent'", "own_absent"),
        ("own_raises:f", "function-failed", "ValueError: bad luck", "own_raises.py, line 2"),
        ("own_syntax:f", "function-failed", "SyntaxError", "own_syntax.py, line 1"),
        ("own_opens:f", "function-failed", "FileNotFoundError", "own_opens.py, line 1"),
        ("own_opens.py:f", "function-failed", "FileNotFoundError", "own_opens.py, line 1"),
    ],
)
def test_what_cannot_be_found(here: Path, spec: str, code: str, said: str, hint: str) -> None:
    (here / "pkg").mkdir()
    (here / "pkg" / "__init__.py").touch()
    (here / "own_good.py").write_text("def batches(): ...\nNUMBER = 7")
    (here / "own_imports.py").write_text("import own_absent")
    (here / "own_raises.py").write_text("def g(): ...\nraise ValueError('bad luck\\nand more')")
    (here / "own_syntax.py").write_text("def (")
    (here / "own_opens.py").write_text("open('absent.txt')")
    with pytest.raises(RequestError) as caught:
        find_function(spec)
    error = caught.value
    assert (error.code, error.stage) == (code, "data")
    assert said in error.message
    assert "\n" not in error.message
    assert hint in error.hint
