"""Settings in compaudit.toml and pyproject.toml: found, read, or refused in one sentence."""

from pathlib import Path
from typing import Any

import pytest

from compaudit.config import check_options, config_from, find_file, keys_of_files, read_file
from compaudit.errors import ExitCode, RequestError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str | bytes, name: str = "compaudit.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ------------------------------------------------------------------------------------------ found


def test_the_nearest_file_is_found(folder: Path) -> None:
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    assert find_file(deep) is None
    above = write("[tool.compaudit]\nthreads = 2\n", "pyproject.toml").resolve()
    assert find_file(deep) == above
    write("[tool.ruff]\n", "a/pyproject.toml")  # says nothing of compaudit
    assert find_file(deep) == above
    write("# compaudit is not broken here\n[tool", "a/b/.toml")
    near = write("", "a/compaudit.toml").resolve()
    assert find_file(deep) == near


def test_a_broken_pyproject_matters_where_it_names_us(folder: Path) -> None:
    write("[tool.ruff\n", "pyproject.toml")
    assert find_file(folder) is None
    write("[tool.compaudit\n", "pyproject.toml")
    with pytest.raises(RequestError, match=r"pyproject\.toml is no TOML"):
        find_file(folder)


def test_two_files_in_one_folder_are_refused(folder: Path) -> None:
    write("[tool.compaudit]\n", "pyproject.toml")
    write("")
    with pytest.raises(RequestError, match="both hold settings") as caught:
        find_file(folder)
    assert caught.value.hint == "keep one of them"


def test_a_folder_above_that_everybody_may_write_to_says_nothing(folder: Path) -> None:
    inner = folder / "work"
    inner.mkdir()
    write("")
    assert find_file(inner) == (folder / "compaudit.toml")
    folder.chmod(0o777)
    assert find_file(inner) is None
    assert find_file(folder) == (folder / "compaudit.toml")  # who works in it has chosen it


# ------------------------------------------------------------------------------------------- read

WHOLE = """
data = "test.npz"
task = "classification"
metric = "my_metrics.py:f1"
threads = 2
seed = 7
time-budget = 90
confidence = "99%"
resolution = 0.05
memory-limit = "2 GiB"
skip = ["layers", "macs"]
no-cache = true
raw = true
inconclusive = "warn"
baseline = "last.json"
map-input = { image = "x" }
input-shape = { x = [1, 3, 8, 8], n = "scalar" }
provider-option = { arena = 1 }
compressed-session-option = { a = "b" }
require = [
  "delta >= 1.2",
  { that = "alpha.macs >= 2", severity = "warn", message = "for\\nthe watch" },
]
"""


def test_everything_that_a_file_may_say() -> None:
    found = read_file(write(WHOLE))
    assert found.path == "compaudit.toml"
    assert found.requirements == ("delta >= 1.2", "warn: alpha.macs >= 2  # for the watch")
    config = config_from("a", "b", {**found.options, "require": found.requirements})
    assert (config.data, config.task, config.threads, config.seed) == (
        *("test.npz", "classification", 2, 7),
    )
    assert config.metrics == ("my_metrics.py:f1",)
    assert (config.time_budget_s, config.confidence, config.resolution) == (90, 0.99, 0.05)
    assert config.memory_limit_bytes == 2 * 1024**3
    assert config.measurements == ("size", "latency", "memory", "divergence", "accuracy")
    assert (config.cache, config.raw, config.lock) == (False, True, True)
    assert (config.inconclusive, config.baseline) == ("warn", "last.json")
    assert config.map_input == {"image": "x"}
    assert config.input_shapes == {"x": (1, 3, 8, 8), "n": ()}
    assert config.provider_options == {"arena": "1"}
    assert config.compressed_only.session_options == {"a": "b"}
    assert config.requirements == found.requirements
    assert not config.trust_model_code


def test_pyproject_holds_the_same_in_its_table() -> None:
    text = '[tool.compaudit]\nthreads = 2\n[[tool.compaudit.require]]\nthat = "delta >= 1"\n'
    found = read_file(write(text, "pyproject.toml"))
    assert (found.options, found.requirements) == ({"threads": 2}, ("delta >= 1",))


def test_paths_are_those_of_the_files_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        'data = "test.npz"\npolicy = "ci/policy.toml"\nbaseline = "/tmp/last.json"\n'
        'metric = ["m.py:f1", "package.module:f2"]\npreprocess = "imagenet"\n'
    )
    inner = folder / "models"
    inner.mkdir()
    monkeypatch.chdir(inner)
    found = read_file(folder / "compaudit.toml")
    assert found.path == "../compaudit.toml"
    assert found.options == {
        "data": "../test.npz",
        "policy": "../ci/policy.toml",
        "baseline": "/tmp/last.json",
        "metric": ["../m.py:f1", "package.module:f2"],
        "preprocess": "imagenet",
    }


def test_every_key_is_an_option_of_compare() -> None:
    import typer

    from compaudit.cli.main import app

    group: Any = typer.main.get_command(app)
    known = {name for one in group.commands["compare"].params for name in one.opts}
    assert {f"--{key}" for key in keys_of_files()} <= known


# ---------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("treads = 2", "unknown key 'treads'", "did you mean 'threads'?"),
        ("time_budget = 3", "unknown key 'time_budget'", "did you mean 'time-budget'?"),
        ("zzz = 3", "unknown key 'zzz'", "choose from"),
        ("[tool.compaudit]", "a table of tools", "here the keys stand alone"),
        ("trust-model-code = true", "which no file can", "command line"),
        ("trust_model_code = true", "which no file can", "command line"),
        ('custom-op-library = ["a.so"]', "which no file can", "command line"),
        ('format = "json"', "given with a command", "--format"),
        ('threads = "two"', 'says threads = "two"', "a whole number"),
        ("threads = 2.0", "says threads = 2.0", "a whole number"),
        ("threads = true", "says threads = true", "a whole number"),
        ("raw = 1", "says raw = 1", "true or false"),
        ("data = 1979-05-27", 'says data = "1979-05-27"', "a text"),
        ("data = true", "says data = true", "a text"),
        ("skip = [1]", "says skip = [1]", "a list of texts"),
        ("map-input = ['a=b']", "says map-input", "a table"),
        ("input-shape = { x = [1.5] }", "says input-shape", "a table"),
        ("require = 3", "says require, and not in a list", "for example"),
        ("require = [3]", "neither text nor a table", "for example"),
        ("[require]\nthat = 'x'", "not in a list", "for example"),
        ("[[require]]\nthis = 'x'", "unknown key 'this' in require", "that"),
        ("[[require]]\nthat = 3", "a that in require that is no text", "that"),
        ("[[require]]\nseverity = 'warn'", "requires nothing", "that"),
        ("[[require]]\nthat = 'x'\nseverity = 'warning'", "unknown severity 'warning'", "'warn'"),
        ("threads = 2\nthreads = 3", "is no TOML", "for example"),
        ("threads = ", "is no TOML: invalid value (at ", "for example"),
        (b"data = '\xff'", "is not UTF-8 in line 1", "UTF-8"),
        (b"threads = 1\ndata = 'caf\xe9'", "is not UTF-8 in line 2", "UTF-8"),
        (b"\x00", "is no TOML", ""),
    ],
)
def test_wrong_files_are_refused(text: str | bytes, said: str, hint: str) -> None:
    path = write(text)
    with pytest.raises(RequestError) as caught:
        read_file(path)
    assert caught.value.message.startswith("compaudit.toml ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert hint in caught.value.hint
    assert caught.value.exit_code is ExitCode.BAD_REQUEST


def test_places_that_hold_no_file(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"gone\.toml does not exist"):
        read_file(Path("gone.toml"))
    with pytest.raises(RequestError, match="is a folder"):
        read_file(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threads = 0", "--threads is 0, which is below 1"),
        ('task = "clasification"', "--task 'clasification' is not known"),
        ('time-budget = "3 kB"', "unknown unit 'kB'"),
        ("confidence = 2", "--confidence is 2"),
        ('skip = ["sise"]', "unknown measurement 'sise'"),
    ],
)
def test_impossible_values_are_refused_by_the_name_of_the_file(text: str, said: str) -> None:
    found = read_file(write(text))
    with pytest.raises(RequestError) as caught:
        check_options(found.options, found.path)
    assert caught.value.message.startswith("compaudit.toml: ")
    assert said in caught.value.message
    assert caught.value.hint
