"""The real command in a process of its own, and the models, data and oddities it is given."""

from __future__ import annotations

import io
import json
import os
import pickle
import runpy
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from forked import run_forked
from jsonschema import Draft202012Validator
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_models"
COMMAND = (sys.executable, "-P", "-m", "compaudit")
LONGEST_S = 120.0
_HARMLESS = {"COLUMNS", "NO_COLOR", "GITHUB_STEP_SUMMARY", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"}
"""Variables that are read when they are needed, and not when an interpreter starts."""
_FORKS = sys.platform == "linux"
"""Elsewhere what was imported may not survive a fork."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended. `seconds` is wall time, the interpreter's start included."""

    command: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float
    validator: Draft202012Validator

    @property
    def document(self) -> dict[str, Any]:
        """All of stdout as one JSON document that the published schema accepts."""
        document: dict[str, Any] = json.loads(self.stdout)
        self.validator.validate(document)
        return document

    def done(self, code: int = 0) -> dict[str, Any]:
        """A JSON report of a request that was in order, and nothing on stderr."""
        assert self.code == code, self
        assert self.stderr == "", self
        document = self.document
        assert document["error"] is None
        return document

    def refused(self, *said: str, code: int = 2, hint: str | None = "") -> str:
        """Nothing was measured: one sentence that says all of `said`, one hint, no traceback.

        Returns the code of the error where the command printed JSON, else an empty string.
        """
        message, given = self._complaint(code)
        for words in said:
            assert words in message, self
        self._check_hint(given, hint)
        if "--json" not in self.command:
            assert self.stdout == "", self
            return ""
        document = self.document
        assert document["kind"] == "error"
        return self._check_failure(document, message, given, code)

    def broke(self, *said: str, code: int = 4, hint: str | None = "") -> dict[str, Any]:
        """Something went wrong, and a report of the rest is there: a comparison with its error."""
        message, given = self._complaint(code)
        for words in said:
            assert words in message, self
        self._check_hint(given, hint)
        document = self.document
        assert document["kind"] == "comparison"
        self._check_failure(document, message, given, document["error"]["exit"])
        return document

    def _complaint(self, code: int) -> tuple[str, str]:
        """The sentence and the hint on stderr: one of each, and nothing else."""
        assert self.code == code, self
        assert "Traceback" not in self.stderr, self
        lines = self.stderr.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        hints = [line for line in lines if line.startswith("hint:  ")]
        assert len(errors) == 1, self
        assert len(hints) <= 1, self
        assert lines == [*errors, *hints], self
        return errors[0].removeprefix("error: "), "".join(hints).removeprefix("hint:  ")

    def _check_hint(self, given: str, wanted: str | None) -> None:
        if wanted is None:
            assert given == "", self
        else:
            assert given, self
            assert wanted in given, self

    def _check_failure(self, document: dict[str, Any], message: str, hint: str, code: int) -> str:
        failure = document["error"]
        assert set(failure) == {"code", "exit", "message", "hint", "model", "stage"}
        assert failure["exit"] == code
        assert _on_terminal(failure["message"]) == message
        assert _on_terminal(failure["hint"]) == hint
        return str(failure["code"])


def _on_terminal(text: str) -> str:
    """Text as stderr shows it: what cannot be printed is replaced, commands to runners broken."""
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return shown.replace("##[", "## [").replace("##vso[", "## vso[")


Run = Callable[..., Outcome]
Start = Callable[..., subprocess.Popen[bytes]]
RunAll = Callable[..., dict[Any, Outcome]]


@pytest.fixture(scope="session")
def schema() -> Draft202012Validator:
    """The schema that the command publishes."""
    found = subprocess.run([*COMMAND, "schema"], capture_output=True, check=True, timeout=LONGEST_S)
    document = json.loads(found.stdout)
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


@pytest.fixture(scope="session")
def outcome(schema: Draft202012Validator) -> Callable[..., Outcome]:
    """Makes an `Outcome` of a command that was run in another way than by `run`."""
    return partial(Outcome, validator=schema)


@pytest.fixture(scope="session")
def run(schema: Draft202012Validator, files: Path, quiet_folder: Path) -> Run:
    """Run the command in the folder of test files; a command that hangs fails the test.

    In a forked process where nothing is asked for that only a fresh interpreter would notice.
    """

    def run_command(
        *arguments: str | bytes,
        env: Mapping[str, str] | None = None,
        cwd: Path = files,
        stdout: Any = None,
        python: Sequence[str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Outcome:
        began = time.monotonic()
        around = environment(quiet_folder, env or {})
        words = [argument for argument in arguments if isinstance(argument, str)]
        as_usual = len(words) == len(arguments) and _HARMLESS.issuperset(env or ())
        if _FORKS and as_usual and stdout is python is before is None:
            ended = run_forked(words, cwd=cwd, env=around, timeout=LONGEST_S)
        else:
            ended = subprocess.run(
                [*(python or COMMAND), *arguments],
                cwd=cwd,
                env=around,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout is None else stdout,
                stderr=subprocess.PIPE,
                timeout=LONGEST_S,
                preexec_fn=before,
            )
        return Outcome(
            tuple(os.fsdecode(argument) for argument in arguments),
            ended.returncode,
            (ended.stdout or b"").decode(),
            ended.stderr.decode(),
            time.monotonic() - began,
            schema,
        )

    return run_command


@pytest.fixture(scope="session")
def run_all(run: Run) -> RunAll:
    """Run many commands, as many at once as there are cores: for tables of cases."""

    def run_commands(commands: Mapping[Any, Sequence[str]], **settings: Any) -> dict[Any, Outcome]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            outcomes = pool.map(lambda command: run(*command, **settings), commands.values())
            return dict(zip(commands, outcomes, strict=True))

    return run_commands


@pytest.fixture
def start(files: Path, quiet_folder: Path) -> Iterator[Start]:
    """Start the command and go on; it is killed when the test ends."""
    started = []

    def start_command(*arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=files,
            env=environment(quiet_folder, {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start_command
    for process in started:
        process.kill()
        process.communicate()


def environment(temporary: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what would change reports; temporary files go apart."""
    unwanted = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "GITHUB_STEP_SUMMARY")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "TMPDIR": str(temporary), "COLUMNS": "100", **extra}


@pytest.fixture(scope="session")
def quiet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands put temporary files; it must be empty whenever none is running."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample models."""
    return SAMPLES


# ------------------------------------------------------------------------------------- files


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of small models and data, good and bad; commands run here."""
    folder = tmp_path_factory.mktemp("files")
    _write_models(folder)
    _write_no_models(folder)
    _write_pickles(folder)
    _write_data(folder)
    return folder


@pytest.fixture(scope="session")
def quality_files(files: Path) -> Path:
    """The same folder with the data, loaders and metrics of ``quality_files.py`` in it too."""
    runpy.run_path(str(Path(__file__).with_name("quality_files.py")))["write_all"](files)
    return files


def _write_models(folder: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    _save(folder / "original.onnx", _dense(weights))
    _save(folder / "compressed.onnx", _dense(weights.round(1).astype(np.float32)))
    _save(folder / "renamed_output.onnx", _dense(weights, output="scores"))
    _save(folder / "five_classes.onnx", _dense(np.ones((4, 5), np.float32)))
    _save(folder / "wide_input.onnx", _dense(np.ones((7, 3), np.float32)))
    _save(folder / "open_input.onnx", _dense(weights, sizes=("N", "features")))
    _save(folder / "two_outputs.onnx", _two_outputs(weights))
    _save(folder / "integers.onnx", _integers())
    _save(folder / "unknown_operator.onnx", _one_node("Frobnicate"))
    _save(folder / "unknown_domain.onnx", _one_node("Frobnicate", domain="com.example"))
    _save(folder / "future_opset.onnx", _one_node("Relu", opset=99))
    _save(folder / "future_format.onnx", _one_node("Relu", ir_version=99))
    _save(folder / "segfault.onnx", _one_node("Max", inputs=["input", ""], opset=13))
    _save(folder / "endless.onnx", _endless())
    _save(folder / "hungry.onnx", _hungry())
    _save(folder / "missing_data.onnx", _external(weights, "nowhere.bin"))
    _save(folder / "escaping_data.onnx", _external(weights, "../../etc/passwd"))
    whole = (folder / "original.onnx").read_bytes()
    for share in (0.02, 0.5, 0.99):
        (folder / f"cut_{share}.onnx").write_bytes(whole[: max(1, int(len(whole) * share))])


def _save(path: Path, model: onnx.ModelProto) -> None:
    path.write_bytes(model.SerializeToString())


def _model(
    nodes: list[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto] = (),
    *,
    sizes: Sequence[Any] = ("N", 4),
    outputs: Mapping[str, Sequence[Any]] | None = None,
    dtype: int = TensorProto.FLOAT,
    opset: int = 17,
    ir_version: int = 8,
    domain: str = "",
) -> onnx.ModelProto:
    shapes = outputs or {"logits": ("N", None)}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", dtype, sizes)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ],
        initializer=weights,
    )
    imports = [helper.make_opsetid("", opset)]
    if domain:
        imports.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def _dense(
    weights: np.ndarray[Any, Any],
    *,
    output: str = "logits",
    sizes: Sequence[Any] | None = None,
) -> onnx.ModelProto:
    inputs, classes = weights.shape
    return _model(
        [helper.make_node("MatMul", ["input", "weights"], [output])],
        [numpy_helper.from_array(weights, "weights")],
        sizes=sizes or ("N", inputs),
        outputs={output: ("N", classes)},
    )


def _two_outputs(weights: np.ndarray[Any, Any]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["input", "weights"], ["logits"]),
        helper.make_node("Relu", ["logits"], ["features"]),
    ]
    return _model(
        nodes,
        [numpy_helper.from_array(weights, "weights")],
        outputs={"logits": ("N", 3), "features": ("N", 3)},
    )


def _integers() -> onnx.ModelProto:
    table = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["logits"], keepdims=0),
    ]
    return _model(
        nodes,
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
        dtype=TensorProto.INT64,
    )


def _one_node(
    operator: str, *, inputs: Sequence[str] = ("input",), domain: str = "", **versions: Any
) -> onnx.ModelProto:
    node = helper.make_node(operator, inputs, ["logits"], domain=domain)
    return _model([node], domain=domain, **versions)


def _endless() -> onnx.ModelProto:
    """A Loop of 2**62 iterations."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Mul", ["state", "state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["times", "true", "input"], ["logits"], body=body)
    return _model(
        [loop],
        [
            numpy_helper.from_array(np.array(2**62, np.int64), "times"),
            numpy_helper.from_array(np.array(True), "true"),
        ],
    )


def _hungry() -> onnx.ModelProto:
    """Fills 3 GB from a few bytes, and goes on working on them."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        *(helper.make_node("Sin", ["huge"], [f"sin{number}"]) for number in range(2)),
        helper.make_node("Add", ["sin0", "sin1"], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["mean"], keepdims=0),
        helper.make_node("Add", ["input", "mean"], ["logits"]),
    ]
    shape = numpy_helper.from_array(np.array([1000, 250_000], np.int64), "shape")
    return _model(nodes, [shape])


def _external(weights: np.ndarray[Any, Any], location: str) -> onnx.ModelProto:
    model = _dense(weights)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return model


def _write_no_models(folder: Path) -> None:
    (folder / "folder.onnx").mkdir()
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "page.onnx").write_text("\n<!DOCTYPE html><html><body>404</body></html>")
    (folder / "pointer.onnx").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    )
    (folder / "text.onnx").write_text("This is a note about a model.\n")
    (folder / "random.onnx").write_bytes(np.random.default_rng(7).bytes(4096))
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    os.mkfifo(folder / "pipe.onnx")


class _Bomb:
    """A pickle that makes a file called MARKER where it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("MARKER",))


def _write_pickles(folder: Path) -> None:
    for protocol in (0, 2, 4):
        (folder / f"bomb_{protocol}.pkl").write_bytes(pickle.dumps(_Bomb(), protocol))
    held = io.BytesIO()
    pickle.dump({"weight": _Bomb()}, held, 2)
    with zipfile.ZipFile(folder / "bomb.pt", "w") as archive:
        archive.writestr("archive/data.pkl", held.getvalue())
        archive.writestr("archive/version", "3\n")


def _write_data(folder: Path) -> None:
    random = np.random.default_rng(3)
    inputs = random.normal(size=(40, 4)).astype(np.float32)
    labels = random.integers(0, 3, 40)
    save = np.savez
    save(folder / "data.npz", input=inputs, labels=labels)
    save(folder / "unlabelled.npz", input=inputs)
    save(folder / "out_of_range.npz", input=inputs, labels=labels + 5)
    save(folder / "no_samples.npz", input=inputs[:0], labels=labels[:0])
    save(folder / "lengths_differ.npz", input=inputs, labels=labels[:-1])
    save(folder / "other_names.npz", left=inputs, right=inputs, labels=labels)
    save(folder / "other_shape.npz", input=inputs[:, :3], labels=labels)
    save(folder / "text_inputs.npz", input=inputs.astype("U8"), labels=labels)
    save(folder / "objects.npz", input=np.array([{}] * 40, object), labels=labels)
    whole = (folder / "data.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[:200])
    damaged = bytearray(whole)
    place = whole.index(b"NUMPY") + 200
    damaged[place : place + 8] = bytes(byte ^ 0xFF for byte in damaged[place : place + 8])
    (folder / "damaged.npz").write_bytes(bytes(damaged))
    (folder / "empty.npz").write_bytes(b"")
    (folder / "data.csv").write_text("1,2,3,4\n")
