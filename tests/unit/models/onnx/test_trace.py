"""ONNX Runtime's profile: a trace written by hand, in the format of onnxruntime 1.20 to 1.32."""

import json
from typing import Any

import pytest

from compaudit.errors import MeasurementError
from compaudit.models.onnx.trace import Run, calmest, parse_trace


def node(name: str, start: int, duration: int, **args: Any) -> dict[str, Any]:
    return {
        "cat": "Node",
        "pid": 7,
        "tid": 7,
        "ph": "X",
        "name": f"{name}_kernel_time",
        "ts": start,
        "dur": duration,
        "args": {"op_name": "Add", "provider": "CPUExecutionProvider", "node_index": "3"} | args,
    }


def session(name: str, start: int, duration: int) -> dict[str, Any]:
    return {"cat": "Session", "name": name, "ts": start, "dur": duration, "ph": "X", "args": {}}


def trace(*events: dict[str, Any]) -> bytes:
    return json.dumps(events).encode()


def test_each_node_goes_to_its_inference() -> None:
    first, second = parse_trace(
        trace(
            session("model_loading_uri", 2, 400),
            session("session_initialization", 410, 12_000),
            node("/a/Conv", 13_010, 60, op_name="Conv", node_index="0"),
            node("/b/Relu", 13_071, 5, op_name="Relu", node_index="1"),
            session("SequentialExecutor::Execute", 13_005, 80),
            session("model_run", 13_000, 90),
            node("/a/Conv", 14_010, 40, op_name="Conv", node_index="0"),
            session("model_run", 14_000, 50),
        )
    )
    assert first.seconds == pytest.approx(90e-6)
    assert [(n.name, n.op, n.index, n.own) for n in first.nodes] == [
        ("/a/Conv", "Conv", 0, 60),
        ("/b/Relu", "Relu", 1, 5),
    ]
    assert second.seconds == pytest.approx(50e-6)
    assert [n.own for n in second.nodes] == [40]


def test_what_runs_inside_a_loop_is_not_counted_twice() -> None:
    # ONNX Runtime writes the inner events first. 40 µs of the loop are 10 + 10 inside and 20 own.
    (run,) = parse_trace(
        trace(
            node("inner", 1_055, 10),
            session("SequentialExecutor::Execute", 1_052, 15),
            node("inner", 1_070, 10),
            node("Loop_4", 1_050, 40, op_name="Loop", node_index="4"),
            node("after", 1_090, 5),
            session("model_run", 1_000, 100),
        )
    )
    assert [(n.name, n.inside, n.own) for n in run.nodes] == [
        ("Loop_4", (), 20),
        ("inner", ("Loop_4",), 10),
        ("inner", ("Loop_4",), 10),
        ("after", (), 5),
    ]
    assert sum(n.own for n in run.nodes) == 45


def test_neighbours_are_not_taken_for_parent_and_child() -> None:
    # Whole microseconds: one ends where the next begins, and some last no time at all.
    (run,) = parse_trace(
        trace(
            session("model_run", 0, 30),
            node("a", 0, 10),
            node("b", 10, 0),
            node("c", 10, 5),
            node("d", 15, 0),
        )
    )
    assert {n.name: (n.inside, n.own) for n in run.nodes} == {
        "a": ((), 10),
        "b": ((), 0),
        "c": ((), 5),
        "d": ((), 0),
    }


def test_types_are_named_as_everywhere_else() -> None:
    shapes = [{"float": [1, 8]}, {"int8": [8, 4]}, {"double": []}, {"float16": [4]}]
    (run,) = parse_trace(
        trace(session("model_run", 0, 9), node("a", 1, 1, input_type_shape=shapes))
    )
    assert run.nodes[0].types == ("float32", "int8", "float64", "float16")


def test_events_of_other_kinds_are_left_out() -> None:
    (run,) = parse_trace(
        trace(
            session("model_run", 0, 90),
            node("a", 1, 1),
            {"cat": "Node", "name": "a_fence_before", "ts": 1, "dur": 0, "args": {}},
            {"cat": "Kernel", "name": "cudnn_conv", "ts": 2, "dur": 4, "args": {"stream": "7"}},
            {"cat": "Node", "name": "late_kernel_time", "ts": 500, "dur": 4, "args": {}},
        )
    )
    assert [n.name for n in run.nodes] == ["a"]


@pytest.mark.parametrize("text", [b"", b"{}", b'[{"cat": 1}]', b"[1, 2"])
def test_what_is_no_trace_is_refused(text: bytes) -> None:
    with pytest.raises(MeasurementError, match="cannot be read"):
        parse_trace(text)


def test_the_calmest_runs_are_the_faster_half() -> None:
    runs = [Run(seconds) for seconds in (1.0, 9.0, 2.0, 5.0, 3.0)]
    assert [run.seconds for run in calmest(runs)] == [1.0, 2.0, 3.0]
    assert [run.seconds for run in calmest(runs[:1])] == [1.0]
