import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compaudit.engines.metrics import metric_names, score_outputs
from compaudit.errors import RequestError

OUTPUTS = {"logits": np.array([[0.1, 2.0], [3.0, -1.0], [0.5, 0.4]], np.float32)}
LABELS = np.array([1, 0, 1])


@pytest.fixture
def module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], str]]:
    """Writes a module of the user's own where Python finds it; gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names: list[str] = []

    def write(text: str) -> str:
        # Functions are looked up once, by name: no two tests may share one.
        name = f"metric_{abs(hash((request.node.name, len(names))))}"
        (tmp_path / f"{name}.py").write_text(f"import numpy as np\n\n{text}", encoding="utf-8")
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


def refusal(metric: str, outputs: Any = None) -> RequestError:
    with pytest.raises(RequestError) as caught:
        score_outputs([metric], outputs or OUTPUTS, LABELS)
    assert caught.value.stage == "evaluate"
    assert caught.value.hint
    assert metric.rpartition(":")[2] in caught.value.message
    return caught.value


def test_a_score_for_every_sample(module: Callable[[str], str]) -> None:
    name = module(
        "def hit(outputs, labels):\n"
        "    return outputs['logits'].argmax(axis=1) == labels\n"
        "def margin(outputs, labels):\n"
        "    return outputs['logits'][:, 1] - outputs['logits'][:, 0]\n"
    )
    scores = score_outputs([f"{name}:hit", f"{name}:margin"], OUTPUTS, LABELS)
    assert list(scores) == ["hit", "margin"]
    assert scores["hit"].tolist() == [1.0, 1.0, 0.0]
    assert scores["margin"] == pytest.approx([1.9, -4.0, -0.1], rel=1e-6)
    assert all(score.dtype == np.float64 for score in scores.values())


def test_lists_and_tensors_are_numbers_too(module: Callable[[str], str]) -> None:
    name = module(
        "import torch\n"
        "def whole(outputs, labels):\n"
        "    return [1, 2, 3]\n"
        "def tensor(outputs, labels):\n"
        "    return torch.tensor(outputs['logits'].copy()).softmax(-1)[:, 0]\n"
    )
    scores = score_outputs([f"{name}:whole", f"{name}:tensor"], OUTPUTS, LABELS)
    assert scores["whole"].tolist() == [1.0, 2.0, 3.0]
    # softmax of two numbers is the logistic function of their difference
    assert scores["tensor"] == pytest.approx(1 / (1 + np.exp([1.9, -4.0, -0.1])), rel=1e-6)


def test_without_labels_the_function_gets_none(module: Callable[[str], str]) -> None:
    name = module("def f(outputs, labels):\n    assert labels is None\n    return [0.5] * 3\n")
    assert score_outputs([f"{name}:f"], OUTPUTS, None)["f"].tolist() == [0.5] * 3


def test_methods_and_files(module: Callable[[str], str], tmp_path: Path) -> None:
    name = module(
        "class Scores:\n"
        "    @staticmethod\n"
        "    def first(outputs, labels):\n"
        "        return outputs['logits'][:, 0]\n"
    )
    assert list(score_outputs([f"{name}:Scores.first"], OUTPUTS, LABELS)) == ["first"]
    path = f"{tmp_path / name}.py:Scores.first"
    assert score_outputs([path], OUTPUTS, LABELS)["first"] == pytest.approx([0.1, 3.0, 0.5])


def test_nan_is_left_for_the_report_to_find(module: Callable[[str], str]) -> None:
    name = module("def f(outputs, labels):\n    return [1.0, np.nan, np.inf]\n")
    assert np.isfinite(score_outputs([f"{name}:f"], OUTPUTS, LABELS)["f"]).tolist() == [
        *(True, False, False)
    ]


def test_names_in_the_report() -> None:
    assert metric_names(["a:f", "b.c:g", "d:Class.h"]) == {
        "f": "a:f",
        "g": "b.c:g",
        "h": "d:Class.h",
    }
    assert metric_names(["a:f", "b:f", "b:g"]) == {"a:f": "a:f", "b:f": "b:f", "g": "b:g"}
    assert metric_names(["a:f", "a:f"]) == {"f": "a:f"}
    assert metric_names([]) == {}


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("no_such_module_here:f", "no module no_such_module_here"),
        ("math:no_such_function", "math has no no_such_function"),
        ("math:pi", "is a float, not a function"),
        ("math", "does not name a function"),
        (":f", "does not name a function"),
        ("math:", "does not name a function"),
        ("math:a..b", "math has no"),
    ],
)
def test_what_cannot_be_imported(metric: str, says: str) -> None:
    error = refusal(metric)
    assert error.code == "metric-missing"
    assert says in error.message
    assert "--metric" in error.message


def test_a_module_that_fails_to_import(module: Callable[[str], str]) -> None:
    error = refusal(f"{module('raise OSError(7, chr(33))')}:f")
    assert error.code == "metric-missing"
    assert "OSError" in error.message
    error = refusal(f"{module('import no_such_package_at_all')}:f")
    assert "no_such_package_at_all" in error.message + error.hint
    error = refusal(f"{module('raise SystemExit(0)')}:f")
    assert error.code == "metric-missing"
    assert "__main__" in error.hint


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("return outputs['nothing']", "KeyError: 'nothing'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("outputs['logits'][0] = 0", "ValueError: assignment destination is read-only"),
        ("labels += 1", "ValueError: output array is read-only"),
    ],
)
def test_a_function_that_raises(module: Callable[[str], str], body: str, says: str) -> None:
    name = module(f"def f(outputs, labels):\n    {body}\n")
    error = refusal(f"{name}:f")
    assert error.code == "metric-failed"
    assert says in error.message
    assert f"{name}.py, line 4" in error.hint


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("0.5", "shape () for 3 samples, not (3,)"),
        ("[1.0, 2.0]", "shape (2,) for 3 samples"),
        ("[[1.0], [2.0], [3.0]]", "shape (3, 1) for 3 samples"),
        ("None", "returned None, not numbers"),
        ("['a', 'b', 'c']", "not numbers"),
        ("[1j, 2j, 3j]", "complex128 values, not numbers"),
        ("[[1.0], [2.0, 3.0], 4.0]", "returned a list that is no array"),
        ("{'f': 1}", "not numbers"),
    ],
)
def test_what_is_no_score_for_each_sample(
    module: Callable[[str], str], returned: str, says: str
) -> None:
    name = module(f"def f(outputs, labels):\n    return {returned}\n")
    error = refusal(f"{name}:f")
    assert error.code == "metric-not-scores"
    assert says in error.message


def test_the_module_is_imported_once(module: Callable[[str], str], tmp_path: Path) -> None:
    counter = tmp_path / "imports"
    name = module(
        f"with open({str(counter)!r}, 'a') as file:\n    file.write('x')\n"
        "def f(outputs, labels):\n    return [0.0] * 3\n"
    )
    for _ in range(3):
        score_outputs([f"{tmp_path / name}.py:f"], OUTPUTS, LABELS)
    assert counter.read_text(encoding="utf-8") == "x"


def test_functions_cannot_touch_what_others_read(module: Callable[[str], str]) -> None:
    name = module(
        "def f(outputs, labels):\n"
        "    outputs['more'] = outputs.pop('logits')\n"
        "    return [0.0] * 3\n"
        "def g(outputs, labels):\n"
        "    return outputs['logits'].sum(axis=1)\n"
    )
    scores = score_outputs([f"{name}:f", f"{name}:g"], OUTPUTS, LABELS)
    assert scores["g"] == pytest.approx([2.1, 2.0, 0.9], rel=1e-6)
    assert list(OUTPUTS) == ["logits"]
    assert OUTPUTS["logits"].flags.writeable
