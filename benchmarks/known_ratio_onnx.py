"""ONNX models whose true speed-up is known: a Loop that calls one body so many times.

    python benchmarks/known_ratio_onnx.py            # how exact the ratio is on this machine

The trip count is the only difference between two of them, so that k calls against m take k : m as
long, but for what the session and the Loop take once (some 10 µs; running this file tells). Every
call works on what the one before gave: nothing can be folded, shared, or taken out of the loop. The
weights are drawn so that the values neither vanish nor grow, as subnormal numbers would make later
calls dearer: the body is a contraction with positive biases.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

__all__ = ["INPUT_COLUMNS", "check", "model", "write", "write_data"]

WIDTH = 256
ROWS = 64
LAYERS = 4
"""A call of the body (four times Gemm and Relu) takes some 300 µs on one core."""
INPUT_COLUMNS = ROWS * WIDTH


def model(calls: int, rows: int = ROWS) -> ModelProto:
    """``x`` float32 [n, rows × WIDTH] → ``y`` of that shape, after so many calls of the body."""
    random = np.random.default_rng(0)
    stored = {
        "calls": np.int64(calls),
        "rows": np.int64([-1, WIDTH]),
        "samples": np.int64([-1, rows * WIDTH]),
    }
    nodes: list[NodeProto] = []
    last = "before"
    for layer in range(LAYERS):
        weight = random.normal(scale=0.5 / np.sqrt(WIDTH), size=(WIDTH, WIDTH))
        stored[f"weight{layer}"] = weight.astype(np.float32)
        stored[f"bias{layer}"] = random.uniform(0.5, 1.0, size=WIDTH).astype(np.float32)
        inputs = [last, f"weight{layer}", f"bias{layer}"]
        last = "after" if layer == LAYERS - 1 else f"hidden{layer}"
        nodes.append(helper.make_node("Gemm", inputs, [f"sum{layer}"]))
        nodes.append(helper.make_node("Relu", [f"sum{layer}"], [last]))
    nodes.append(helper.make_node("Identity", ["go"], ["go_on"]))
    value = helper.make_tensor_value_info
    carried = [value("go", TensorProto.BOOL, []), value("before", TensorProto.FLOAT, None)]
    given = [value("go_on", TensorProto.BOOL, []), value("after", TensorProto.FLOAT, None)]
    body = helper.make_graph(nodes, "body", [value("trip", TensorProto.INT64, []), *carried], given)
    whole = [
        helper.make_node("Reshape", ["x", "rows"], ["start"]),
        helper.make_node("Loop", ["calls", "", "start"], ["end"], body=body),
        helper.make_node("Reshape", ["end", "samples"], ["y"]),
    ]
    shape = ["n", rows * WIDTH]
    graph = helper.make_graph(
        whole,
        f"calls_{calls}",
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


def write(calls: int, folder: Path) -> Path:
    """The model as a file, ``calls_10.onnx`` …; written once a folder."""
    path = folder / f"calls_{calls}.onnx"
    if not path.exists():
        onnx.save(model(calls), path)
    return path


def write_data(folder: Path) -> Path:
    """Eight samples of the models' input, as the .npz that compaudit takes."""
    path = folder / "onnx.npz"
    samples = np.random.default_rng(1).normal(size=(8, INPUT_COLUMNS))
    np.savez(path, x=samples.astype(np.float32))
    return path


def check(rounds: int, counts: tuple[int, ...] = (0, 1, 10, 11, 20, 21)) -> dict[int, float]:
    """Seconds of one inference for each number of calls, taken in turns: medians."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    x = np.random.default_rng(1).normal(size=(1, INPUT_COLUMNS)).astype(np.float32)
    sessions = {
        calls: onnxruntime.InferenceSession(
            model(calls).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for calls in counts
    }
    taken: dict[int, list[float]] = {calls: [] for calls in counts}
    for round_ in range(rounds):
        for calls, session in list(sessions.items())[:: -1 if round_ % 2 else 1]:
            session.run(None, {"x": x})  # the caches of the one before are not its
            began = time.perf_counter()
            session.run(None, {"x": x})
            taken[calls].append(time.perf_counter() - began)
    return {calls: statistics.median(times) for calls, times in taken.items()}


def main() -> None:
    """Print what an inference takes, and how far the ratios are from exact ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--write", type=Path, help="write the models and their data here instead")
    options = parser.parse_args()
    if options.write is not None:
        options.write.mkdir(parents=True, exist_ok=True)
        for calls in (10, 11, 20, 21):
            print(write(calls, options.write))
        print(write_data(options.write))
        return
    seconds = check(options.rounds)
    per_call, fixed = np.polyfit(list(seconds), list(seconds.values()), 1)
    print(f"one call {per_call * 1e6:.1f} µs, once per inference {fixed * 1e6:.1f} µs;")
    print("that alone moves a ratio from what the calls say:")
    for original, compressed in ((20, 10), (11, 10), (21, 20)):
        truth = original / compressed
        measured = seconds[original] / seconds[compressed]
        expected = (original * per_call + fixed) / (compressed * per_call + fixed)
        print(
            f"  {original}:{compressed}  exact {truth:.4f}  with the fixed part {expected:.4f} "
            f"({(expected / truth - 1) * 100:+.2f} %)  these medians {measured:.4f} "
            f"({(measured / truth - 1) * 100:+.2f} %)"
        )


if __name__ == "__main__":
    main()
