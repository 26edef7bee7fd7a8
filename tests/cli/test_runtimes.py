"""Models of two frameworks, frameworks that are missing, and code that must be trusted first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

ONLY_OUTPUTS = ("--only", "size,divergence", "--limit", "32", "--json")
MISSING = "raise ModuleNotFoundError(\"No module named '{0}'\", name='{0}')"


@pytest.fixture
def without(tmp_path: Path) -> Any:
    """An environment in which this package cannot be imported, in workers neither."""

    def hide(package: str) -> dict[str, str]:
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text(MISSING.format(package))
        return {"PYTHONPATH": str(tmp_path)}

    return hide


def test_without_torch(run: Run, samples: Path, without: Any) -> None:
    hidden = without("torch")
    pair = ("compare", "digits.pt2", "digits.onnx", *ONLY_OUTPUTS, "--trust-model-code")
    report = run(*pair, cwd=samples, env=hidden).broke(
        "digits.pt2", code=2, hint="compaudit[torch]"
    )
    assert report["error"]["code"] == "runtime-missing"
    assert report["original"]["parameters"] == report["compressed"]["parameters"] == 186_442
    factory = ("inspect", "digits_net:digits_net", "--json")
    run(*factory, cwd=samples, env=hidden).refused("digits_net", hint="compaudit[torch]")
    files = ("inspect", "digits.pt2", "digits.safetensors", "digits.onnx", "--json")
    read = run(*files, cwd=samples, env=hidden).done()
    assert {model["parameters"] for model in read["models"]} == {186_442}


@pytest.mark.slow
def test_without_onnx_runtime(run: Run, without: Any) -> None:
    hidden = without("onnxruntime")
    pair = ("compare", "original.onnx", "compressed.onnx", "--json")
    report = run(*pair, env=hidden).broke("ONNX Runtime", code=2, hint="compaudit[cpu]")
    assert report["alpha"]["parameters"] == 1
    assert report["delta"] is None
    run("inspect", "original.onnx", "--json", env=hidden).done()
    run(*pair, "--only", "size", env=hidden).done()
    advice = run("doctor", "--json", env=hidden).done()["advice"]
    assert any("compaudit[cpu]" in line for line in advice)


@pytest.mark.slow
def test_an_exported_program_needs_trust_to_run_and_none_to_be_counted(
    run: Run, samples: Path
) -> None:
    pair = ("compare", "digits.pt2", "digits.onnx", *ONLY_OUTPUTS)
    report = run(*pair, cwd=samples).broke("digits.pt2", code=2, hint="--trust-model-code")
    assert report["error"]["code"] == "untrusted-code"
    assert report["original"]["parameters"] == 186_442
    assert report["alpha"]["file_bytes"] > 1
    assert report["divergence"] is None
    trusted = run(*pair, "--trust-model-code", cwd=samples).done()
    assert trusted["config"]["trust_model_code"] is True
    _assert_same_network(trusted)


@pytest.mark.slow
def test_a_factory_in_a_file_with_its_weights(run: Run, samples: Path) -> None:
    spec = "sample_models/digits_net.py:digits_net@sample_models/digits.safetensors"
    data = ("--data", "sample_models/digits_test.npz")
    pair = ("compare", spec, "sample_models/digits.onnx", *ONLY_OUTPUTS, *data)
    report = run(*pair, cwd=samples.parent).done()
    assert report["original"]["path"] == spec
    assert report["original"]["format"] == "module"
    assert report["divergence"]["kl"]["mean"]["value"] < 1e-6
    _assert_same_network(report)


def _assert_same_network(report: dict[str, Any]) -> None:
    assert "CA301" in {finding["code"] for finding in report["findings"]}
    (error,) = report["divergence"]["outputs"].values()
    assert error["max_abs_error"] < 1e-4
    assert report["alpha"]["parameters"] == 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module as code, pickled, and scripted, and code that is broken."""
    torch = pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("torch")
    (folder / "networks.py").write_text(
        "import torch\n"
        "def small(): return torch.nn.Linear(4, 3)\n"
        "def nothing(): return None\n"
        "def fails(): raise ValueError('no weights here')\n"
        "def leaves(): import os; os._exit(7)\n"
    )
    (folder / "broken.py").write_text("def small(:\n")
    module = torch.nn.Linear(4, 3)
    torch.save(module, folder / "pickled.pt")
    torch.jit.script(module).save(str(folder / "scripted.pt"))
    torch.save(module.state_dict(), folder / "state.pt")
    torch.save({"other": torch.zeros(2)}, folder / "other.pt")
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["pickled.pt", "scripted.pt"])
def test_files_that_are_code_need_trust(run: Run, saved: Path, name: str) -> None:
    outcome = run("inspect", name, "--json", cwd=saved)
    assert outcome.refused(name, hint="--trust-model-code") == "untrusted-code"
    report = run("inspect", name, "--trust-model-code", "--json", cwd=saved).done()
    assert report["models"][0]["parameters"] == 15


FACTORIES = [
    ("networks.py:small@state.pt", None, ""),
    ("networks.py:smal", "networks.py has no smal", "did you mean small"),
    ("networks.py:fails", "no weights here", ""),
    ("networks:small@other.pt", "does not fit", "state dict"),
    ("nowhere:small", "no module nowhere", "PYTHONPATH"),
    ("broken.py:small", "SyntaxError", "python broken.py"),
]


@pytest.fixture(scope="module")
def inspected(run_all: RunAll, saved: Path) -> dict[str, Outcome]:
    """What the command says to each of these factories."""
    specs = [*(spec for spec, *_ in FACTORIES), "networks.py:leaves"]
    return run_all({spec: ("inspect", spec, "--json") for spec in specs}, cwd=saved)


@pytest.mark.parametrize(("spec", "said", "hint"), FACTORIES)
def test_factories_and_their_mistakes(
    inspected: dict[str, Outcome], spec: str, said: str | None, hint: str
) -> None:
    if said is None:
        assert inspected[spec].done()["models"][0]["parameters"] == 15
    else:
        inspected[spec].refused(said, hint=hint)


def test_a_factory_that_ends_its_process(inspected: dict[str, Outcome]) -> None:
    outcome = inspected["networks.py:leaves"]
    assert outcome.refused("networks.py:leaves", "exit status 7", code=4) == "crashed"
