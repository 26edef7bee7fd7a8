"""Which outputs end in a Softmax, as exporters and quantisers write it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from compaudit.measure.final_softmax import logits_in_front
from compaudit.models.base import Model, RunSettings, Source
from compaudit.models.onnx.format import OnnxFormat

HEAD = '<ir_version: 8, opset_import: ["" : {opset}]>\n'


def read(path: Path, text: str, opset: int = 17) -> Model:
    onnx.save(parser.parse_model(HEAD.format(opset=opset) + text), path)
    return OnnxFormat().read(Source(str(path), "onnx", path=str(path)))


def front(tmp_path: Path, text: str, opset: int = 17) -> dict[str, str]:
    return logits_in_front(read(tmp_path / "model.onnx", text, opset))


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", ["", "<axis = -1>", "<axis = 1>"])
@pytest.mark.parametrize("opset", [11, 12, 13, 17])
def test_two_dimensions(tmp_path, op, axis, opset) -> None:
    """Before opset 13 no axis means the second, since then the last: of two that is the same."""
    text = f"g (float[n, 3] x) => (float[n, 3] p) {{ l = Neg(x)  p = {op} {axis} (l) }}"
    assert front(tmp_path, text, opset) == {"p": "l"}


@pytest.mark.parametrize(
    ("axis", "opset", "found"),
    [
        ("<axis = 2>", 11, {"p": "l"}),
        ("<axis = -1>", 17, {"p": "l"}),
        ("<axis = 1>", 17, {}),  # over the tokens, not the classes
        ("<axis = 1>", 11, {}),  # over both
        ("", 11, {}),  # over both
    ],
)
def test_three_dimensions(tmp_path, axis, opset, found) -> None:
    text = f"g (float[n, 5, 3] x) => (float[n, 5, 3] p) {{ l = Neg(x)  p = Softmax {axis} (l) }}"
    assert front(tmp_path, text, opset) == found


def test_images_by_class_are_no_class_scores(tmp_path) -> None:
    text = (
        "g (float[n, 3, 8, 8] x) => (float[n, 3, 8, 8] p) { l = Neg(x) p = Softmax <axis = 1> (l) }"
    )
    assert front(tmp_path, text) == {}


def test_through_casts_and_identities_but_no_arithmetic(tmp_path) -> None:
    text = """g (float[n, 3] x) => (float16[n, 3] p, float[n, 3] q, float[n, 3] r) {
        l = Neg(x)  s = Softmax(l)  i = Identity(s)  p = Cast <to = 10> (i)
        m = Exp(x)  q = Mul(s, m)  r = Sigmoid(m) }"""
    assert front(tmp_path, text) == {"p": "l"}


def test_quantised_after_the_softmax(tmp_path) -> None:
    text = """g (float[n, 3] x) => (float[n, 3] p)
        <float scale = {0.00390625}, uint8 point = {0}> {
        l = Neg(x)  s = Softmax(l)
        q = QuantizeLinear(s, scale, point)  p = DequantizeLinear(q, scale, point) }"""
    assert front(tmp_path, text) == {"p": "l"}


def test_several_outputs_and_none(tmp_path) -> None:
    text = """g (float[n, 3] x) => (float[n, 3] a, float[n, 3] b, float[n, 3] l) {
        l = Neg(x)  a = Softmax(l)  k = Abs(x)  b = LogSoftmax(k) }"""
    assert front(tmp_path, text) == {"a": "l", "b": "k"}
    assert logits_in_front(None) == {}


def test_a_softmax_inside_of_a_branch_is_left_alone(tmp_path) -> None:
    text = """g (float[n, 3] x, bool c) => (float[n, 3] p) {
        l = Neg(x)
        p = If (c) <then_branch = t () => (float[n, 3] o) { o = Softmax(l) },
                    else_branch = f () => (float[n, 3] q) { q = Abs(l) }> }"""
    assert front(tmp_path, text) == {}


def test_a_model_that_is_a_softmax_and_nothing_else(tmp_path) -> None:
    assert front(tmp_path, "g (float[n, 3] x) => (float[n, 3] p) { p = Softmax(x) }") == {}


def test_the_value_in_front_can_be_tapped(tmp_path) -> None:
    text = "g (float[n, 3] x) => (float[n, 3] p) { l = Neg(x)  p = Softmax(l) }"
    model = read(tmp_path / "model.onnx", text)
    taps = tuple(logits_in_front(model).values())
    given = OnnxFormat().load(model.source, RunSettings(taps=taps))
    x = np.float32([[0, 200, -200]])
    result = given.run({"x": x})
    assert result["l"].tolist() == (-x).tolist()
    assert result["p"].tolist() == [[0, 0, 1]]  # float32 knows no e^-200


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_an_exported_program(tmp_path) -> None:
    torch = pytest.importorskip("torch")
    from compaudit.models.torch.exported import ExportedFormat

    class Net(torch.nn.Module):
        def __init__(self, axis: int) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(3, 4)
            self.axis = axis

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.log_softmax(self.fc(x), self.axis)

    x = torch.ones(2, 3)
    for axis, ends in ((-1, True), (1, True), (0, False)):
        module = Net(axis).eval()
        path = tmp_path / f"{axis}.pt2"
        torch.export.save(torch.export.export(module, (x,)), path)
        source = Source(str(path), "pt2", path=str(path))
        found = logits_in_front(ExportedFormat().read(source))
        assert bool(found) is ends
        if ends:
            taps = (found["output"],)
            runner = ExportedFormat().load(source, RunSettings(taps=taps, trust_model_code=True))
            logits = runner.run({"x": x.numpy()})[found["output"]]
            np.testing.assert_array_equal(logits, module.fc(x).detach().numpy())
