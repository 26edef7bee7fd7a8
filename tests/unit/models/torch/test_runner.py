from __future__ import annotations

import collections
import dataclasses
import sys
import types

import numpy as np
import pytest

from compaudit.errors import MeasurementError, RequestError
from compaudit.models.base import RunSettings, Source
from compaudit.models.torch.factory import FactoryFormat

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

ONES = np.ones((2, 3), np.float32)


@pytest.fixture
def runner(monkeypatch):
    """A runner of a forward function or a module."""

    def make(forward, **settings):
        module = forward
        if not isinstance(forward, torch.nn.Module):
            kind = type("Made", (torch.nn.Module,), {"forward": forward})
            module = kind()
        made = types.ModuleType("made_here")
        made.make = lambda: module
        monkeypatch.setitem(sys.modules, "made_here", made)
        source = Source("made_here:make", "module", factory="made_here:make")
        return FactoryFormat().load(source, RunSettings(**settings))

    return make


@dataclasses.dataclass
class Both:
    first: object
    second: object


Named = collections.namedtuple("Named", "left right")


@pytest.mark.parametrize(
    ("forward", "names", "named"),
    [
        (lambda self, x: x, ["output"], False),
        (lambda self, x: (x, x + 1), ["output_0", "output_1"], False),
        (lambda self, x: [x], ["output_0"], False),
        (lambda self, x: {"logits": x, "none": None}, ["logits"], True),
        (lambda self, x: Both(x, (x, x)), ["first", "second_0", "second_1"], True),
        (lambda self, x: Named(x, x), ["left", "right"], True),
        (lambda self, x: {"a": {"b": x}, "loss": 0.5}, ["a_b", "loss"], True),
    ],
)
def test_outputs_have_names(runner, forward, names, named):
    made = runner(forward)
    assert made.outputs == ()
    assert [*made.run({"x": ONES})] == names
    assert made.named_outputs is named
    assert [value.name for value in made.outputs] == names


def test_values_go_in_and_come_out(runner):
    made = runner(lambda self, a, b=2.0, *, c: a * b - c)
    assert [value.name for value in made.inputs] == ["a", "c"]
    feeds = {"a": np.float32([1, 2]), "c": np.float32([1, 1])}
    assert made.run(feeds)["output"].tolist() == [1, 3]
    assert made.run({**feeds, "b": np.float32([3, 3])})["output"].tolist() == [2, 5]


@pytest.mark.parametrize("feeds", [{}, {"y": ONES}, {"x": ONES, "y": ONES}])
def test_wrong_names_are_the_requests_fault(runner, feeds):
    made = runner(lambda self, x: x)
    with pytest.raises(RequestError) as caught:
        made.run(feeds)
    assert caught.value.code == "inputs-do-not-fit"
    assert "x" in caught.value.message + caught.value.hint


def test_text_is_no_input(runner):
    with pytest.raises(RequestError):
        runner(lambda self, x: x).run({"x": np.array(["a"])})


def test_starred_arguments(runner):
    assert runner(lambda self, *args: args[0]).run({"input": ONES})["output"].shape == (2, 3)
    named = runner(lambda self, **kwargs: kwargs["anything"])
    assert named.run({"anything": ONES})["output"].shape == (2, 3)


def test_optional_arguments_only(runner):
    module = runner(lambda self, input_ids=None, attention_mask=None: input_ids)
    assert [(value.name, value.dtype) for value in module.inputs] == [("input_ids", "int64")]


def test_it_runs_in_evaluation_and_inference_mode(runner):
    made = runner(torch.nn.Sequential(torch.nn.Dropout(0.5)))
    assert made.run({"input": ONES})["output"].tolist() == ONES.tolist()
    seen = runner(lambda self, x: x + float(torch.is_inference_mode_enabled()))
    assert seen.run({"x": np.float32([0])})["output"].tolist() == [1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_inputs_take_the_modules_type(runner, dtype):
    made = runner(torch.nn.Linear(3, 2).to(dtype))
    assert made.inputs[0].dtype == str(dtype).removeprefix("torch.")
    output = made.run({"input": ONES})["output"]
    expected = "float32" if dtype is torch.bfloat16 else str(dtype).removeprefix("torch.")
    assert output.dtype.name == expected


def test_inputs_are_not_written_to(runner):
    given = np.ones(3, np.float32)
    runner(lambda self, x: x.mul_(2)).run({"x": given})
    assert given.tolist() == [1, 1, 1]


def test_a_bound_call_runs_each_time(runner):
    calls = []

    def forward(self, x):
        calls.append(1)
        return x

    call = runner(forward).bind({"x": ONES}).call
    assert calls == []
    call()
    call()
    assert len(calls) == 2


def test_threads_are_what_was_asked_for(runner):
    runner(lambda self, x: x, threads=2)
    assert torch.get_num_threads() == 2
    runner(lambda self, x: x, threads=1)
    assert torch.get_num_threads() == 1


def raising(error):
    def forward(self, x):
        raise error

    return forward


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("bad\nsecond line"), "model-failed"),
        (TypeError("inside"), "model-failed"),
        (MemoryError(), "out-of-memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out-of-memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out-of-memory"),
    ],
)
def test_a_forward_that_fails(runner, error, code):
    made = runner(raising(error))
    for call in (lambda: made.run({"x": ONES}), lambda: made.bind({"x": ONES}).call()):
        with pytest.raises(MeasurementError) as caught:
            call()
        assert caught.value.code == code
        assert "second line" not in caught.value.message


def test_long_messages_are_cut(runner):
    with pytest.raises(MeasurementError) as caught:
        runner(raising(ValueError("x" * 5000))).run({"x": ONES})
    assert len(caught.value.message) < 400


def test_no_output_is_an_error(runner):
    with pytest.raises(MeasurementError) as caught:
        runner(lambda self, x: None).run({"x": ONES})
    assert caught.value.code == "no-outputs"


@pytest.mark.parametrize(
    ("device", "code"),
    [
        ("cuda:99", "device-missing"),
        ("CUDAExecutionProvider", "unknown-device"),
        ("cpu:3", "unknown-device"),
    ],
)
def test_devices_that_are_not_here(runner, device, code):
    with pytest.raises(RequestError) as caught:
        runner(lambda self, x: x, device=device)
    assert caught.value.code == code
    assert "cpu" in caught.value.hint


def test_the_device_is_reported(runner):
    assert runner(lambda self, x: x).providers == ("torch-cpu",)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_it_runs_on_cuda(runner):
    made = runner(torch.nn.Linear(3, 2), device="cuda")
    assert made.providers == ("torch-cuda:0",)
    assert made.run({"input": ONES})["output"].shape == (2, 2)
    made.bind({"input": ONES}).call()


def test_what_comes_out_is_plain_numbers(runner):
    sparse = runner(lambda self, x: x.to_sparse()).run({"x": ONES})["output"]
    assert sparse.tolist() == ONES.tolist()
    eight = runner(lambda self, x: x.to(torch.float8_e5m2)).run({"x": ONES})["output"]
    assert eight.dtype == np.float32
