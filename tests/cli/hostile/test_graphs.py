"""ONNX files whose sizes lie, and graphs that are too deep, too large or go in circles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import FunctionProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, info = helper.make_node, helper.make_tensor_value_info
HUGE = 2**40
BROKEN = "broken-model"


def model(
    nodes: Sequence[NodeProto],
    tensors: Sequence[TensorProto] = (),
    *,
    functions: Sequence[FunctionProto] = (),
    sizes: Sequence[Any] = ("n", 4),
    **more: Any,
) -> ModelProto:
    graph = helper.make_graph(
        nodes, "g", [info("x", FLOAT, sizes)], [info("y", FLOAT, None)], tensors, **more
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, ir_version=10, opset_imports=opsets, functions=functions)


def tensor(name: str, dims: Sequence[int], **fields: Any) -> TensorProto:
    return TensorProto(**{"name": name, "data_type": FLOAT, "dims": dims, **fields})


def scaled(held: TensorProto) -> ModelProto:
    return model([node("Mul", ["x", held.name], ["y"])], [held])


def four(**fields: Any) -> TensorProto:
    return tensor("w", [4], raw_data=np.array([1, 0, 3, 4], np.float32).tobytes(), **fields)


def sparse(dims: Sequence[int], values: int = 2) -> ModelProto:
    held = SparseTensorProto(
        values=tensor("w", [values], float_data=[1.0] * values),
        indices=TensorProto(data_type=INT64, dims=[2], int64_data=[0, 3]),
        dims=dims,
    )
    return model([node("Mul", ["x", "w"], ["y"])], sparse_initializer=[held])


def filled(*sizes: int) -> ModelProto:
    shape = TensorProto(name="s", data_type=INT64, dims=[len(sizes)], int64_data=sizes)
    nodes = [node("ConstantOfShape", ["s"], ["c"]), node("Mul", ["x", "c"], ["y"])]
    return model(nodes, [shape])


# What the file claims, and what the command says of it.
LIES: dict[str, tuple[ModelProto, str]] = {
    "more data than sizes": (scaled(tensor("w", [3], raw_data=bytes(16))), "needs 12 bytes"),
    "less data than sizes": (scaled(tensor("w", [5], raw_data=bytes(16))), "needs 20 bytes"),
    "no data": (scaled(tensor("w", [4])), "has 0 numbers"),
    "sizes of 2^40": (scaled(tensor("w", [HUGE], raw_data=bytes(16))), "needs"),
    "sizes that wrap": (scaled(tensor("w", [2**62, 2**62, 4], raw_data=bytes(16))), "needs"),
    "two negative sizes": (scaled(tensor("w", [-2, -2], raw_data=bytes(16))), "the shape [-2, -2]"),
    "list of other length": (scaled(tensor("w", [4], float_data=[1.0] * 3)), "has 3 numbers"),
    "other list": (scaled(tensor("w", [4], int64_data=[1] * 4)), "has 0 numbers"),
    "raw and list": (scaled(four(float_data=[1.0] * 4)), "states its numbers twice"),
    "raw and external": (
        scaled(four(data_location=TensorProto.EXTERNAL)), "names no file"
    ),
    "no such type": (scaled(four(data_type=99)), "'w' has element type 99"),
    "no type": (scaled(four(data_type=0)), "'w' has element type 0"),
    "sparse of 2^80": (sparse([HUGE, HUGE]), "impossible shape"),
    "sparse of negative size": (sparse([-4]), "impossible shape"),
    "sparse of other counts": (sparse([4], values=3), "do not fit"),
    "fill of 2^80": (filled(HUGE, HUGE), "impossible shape"),
    "fill of negative size": (filled(-4), "impossible shape"),
    "same name of subgraphs": (
        model([NodeProto(op_type="If", input=["x"], output=["y"], attribute=[
            helper.make_attribute("then_branch", helper.make_graph([], "g", [], []))
        ] * 2)]),
        "two subgraphs",
    ),
}  # fmt: skip


def identity(name: str, calls: Sequence[str], domain: str = "local") -> FunctionProto:
    """A function that hands its input through all of these, once each."""
    values = ["a", *(f"v{n}" for n in range(len(calls)))]
    nodes = [
        node(op, [values[n]], [values[n + 1]], domain="" if op == "Relu" else domain)
        for n, op in enumerate(calls)
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    return helper.make_function(domain, name, ["a"], [values[-1]], nodes, opsets)


def calling(name: str, *functions: FunctionProto, domain: str = "local") -> ModelProto:
    return model([node(name, ["x"], ["y"], domain=domain)], functions=functions)


CIRCLES: dict[str, tuple[ModelProto, str]] = {
    "recursive function": (calling("f", identity("f", ["f"])), "calls itself"),
    "mutual recursion": (
        calling("f", identity("f", ["g"]), identity("g", ["h"]), identity("h", ["f"])),
        "calls itself",
    ),
    "recursion in a subgraph": (
        calling("f", helper.make_function(
            "local", "f", ["a"], ["b"],
            [node("If", ["a"], ["b"], then_branch=helper.make_graph(
                [node("f", ["a"], ["c"], domain="local")], "t", [], [info("c", FLOAT, None)]
            ))],
            [helper.make_opsetid("", 17)],
        )),
        "calls itself",
    ),
    "nameless function": (calling("", FunctionProto(), domain=""), "no name"),
}  # fmt: skip


def nested(depth: int) -> bytes:
    """Subgraphs in subgraphs, written by hand: protobuf's own encoder goes no deeper than 100."""
    inner = helper.make_graph([], "g", [], []).SerializeToString()
    for _ in range(depth):
        inner = field(1, field(4, b"If") + field(5, field(1, b"body") + field(6, inner)))
    return field(7, inner) + b"\x08\x08"


def field(number: int, body: bytes) -> bytes:
    length, count = bytearray(), len(body)
    while count >= 0x80:
        length.append(count & 0x7F | 0x80)
        count >>= 7
    return bytes([number << 3 | 2, *length, count]) + body


def chain(count: int) -> ModelProto:
    nodes = [node("Relu", [f"v{n}"], [f"v{n + 1}"]) for n in range(count)]
    nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    return model(nodes)


def cycle() -> ModelProto:
    return model([node("Add", ["a", "w"], ["b"]), node("Mul", ["b", "w"], ["a"])], [four()])


def loops(depth: int) -> ModelProto:
    """Loops in loops of 2^62 trips each, around one product with the weight."""
    body = [node("Mul", ["x", "w"], ["y"])]
    for level in range(depth):
        inner = helper.make_graph(
            [*body, node("Identity", ["c"], [f"on{level}"])],
            "body",
            [info("i", INT64, []), info("c", BOOL, [])],
            [info(f"on{level}", BOOL, [])],
        )
        body = [node("Loop", ["times", ""], [], body=inner)]
    times = TensorProto(name="times", data_type=INT64, int64_data=[2**62])
    return model([*body, node("Mul", ["x", "w"], ["y"])], [times, four()])


def scope_named_operator() -> ModelProto:
    """An operator called as the scope it is in is no call of it."""
    branch = helper.make_graph(
        [node("A.then_branch", ["x"], ["b"]), node("Mul", ["x", "w"], ["b2"])],
        "t", [], [info("b2", FLOAT, None)],
    )  # fmt: skip
    return model([node("If", ["c"], ["y"], "A", then_branch=branch, else_branch=branch)], [four()])


# What has a ledger all the same: one weight of four elements, three of them not zero.
COUNTED: dict[str, Callable[[], ModelProto | bytes]] = {
    "plain": lambda: scaled(four()),
    "cyclic graph": cycle,
    "loops in loops": lambda: loops(20),
    "operator named as a scope": scope_named_operator,
    "functions named alike": lambda: model(
        [node("a::b", ["x"], ["h"]), node("Mul", ["h", "w"], ["y"])],
        [four()],
        functions=[identity("b", ["a::b"], "a"), identity("a::b", ["Relu"], "")],
    ),
    "chain of 2,000 functions": lambda: model(
        [node("f0", ["x"], ["h"], domain="local"), node("Mul", ["h", "w"], ["y"])],
        [four()],
        functions=[identity(f"f{n}", [f"f{n + 1}"]) for n in range(2000)]
        + [identity("f2000", ["Relu"])],
    ),
    "2^40 calls": lambda: model(
        [node("f0", ["x"], ["h"], domain="local"), node("Mul", ["h", "w"], ["y"])],
        [four()],
        functions=[identity(f"f{n}", [f"f{n + 1}"] * 2) for n in range(40)]
        + [identity("f40", ["Relu"])],
    ),
    "input of 2^62": lambda: model(
        [node("Mul", ["x", "w"], ["h"]), node("Add", ["x", "x"], ["y"])], [four()], sizes=[2**62]
    ),
    "stated sizes of 2^40": lambda: model(
        [node("Mul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])],
        [four()],
        value_info=[info("h", FLOAT, [HUGE, HUGE, -1])],
    ),
    "data is an input, too": lambda: model(
        [node("Mul", ["x", "w"], ["y"])], [four()], value_info=[info("w", FLOAT, [HUGE])]
    ),
    "names that are not UTF-8": lambda: (
        scaled(four()).SerializeToString().replace(b"Mul", b"M\xffl")
    ),
    "no outputs": lambda: model([NodeProto(op_type="Mul", input=["x", "w"])], [four()]),
    "nothing but dots": lambda: model(
        [node("Mul", ["x", "w"], ["y"], "../../.."), NodeProto()], [four()]
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, inspect_all: Any) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("graphs")
    contents: dict[str, ModelProto | bytes] = {"200,000 nodes": chain(200_000)}
    contents |= {name: made for name, (made, _) in (LIES | CIRCLES).items()}
    contents |= {name: make() for name, make in COUNTED.items()}
    contents |= {"1,000 subgraphs deep": nested(1000), "30 subgraphs deep": nested(30)}
    files = {}
    for number, (name, made) in enumerate(contents.items()):
        files[name] = folder / f"{number}.onnx"
        files[name].write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    outcomes: dict[str, Outcome] = inspect_all(files, "--json")
    return outcomes


@pytest.mark.parametrize("name", [*LIES, *CIRCLES])
def test_refused(found: dict[str, Outcome], name: str) -> None:
    _, said = (LIES | CIRCLES)[name]
    assert found[name].refused(said) in (BROKEN, "unsafe-external-data")


@pytest.mark.parametrize("name", COUNTED)
def test_counted(found: dict[str, Outcome], name: str) -> None:
    (read,) = found[name].done()["models"]
    rows = {row["name"]: row for row in read["tensors"]}
    assert (rows["w"]["logical_elements"], rows["w"]["nonzeros"]) == (4, 3)
    size = Path(read["path"]).stat().st_size
    assert read["file_bytes"] == size
    assert sum(row["bytes"] for row in rows.values()) + read["graph_bytes"] == size
    if name == "plain":
        assert read["macs"]["coverage"] == 1


def test_a_thousand_subgraphs_deep(found: dict[str, Outcome]) -> None:
    assert found["1,000 subgraphs deep"].refused("not a readable ONNX model") == BROKEN
    assert found["30 subgraphs deep"].done()["models"][0]["tensors"] == []


def test_two_hundred_thousand_nodes(found: dict[str, Outcome]) -> None:
    outcome = found["200,000 nodes"]
    (read,) = outcome.done()["models"]
    assert read["tensors"] == []
    assert read["graph_bytes"] == Path(read["path"]).stat().st_size


def test_sizes_that_are_real_have_their_ledger(tmp_path: Path, inspect_all: Any) -> None:
    """2^40 elements of one value, and 2^40 of which two are stored, are possible and cost nothing.

    A ConstantOfShape stores its one float32 value nowhere where it leaves it to be 0; a sparse
    tensor stores two values of four bytes, and two indices that protobuf writes in a byte each.
    """
    files = {"fill": tmp_path / "fill.onnx", "sparse": tmp_path / "sparse.onnx"}
    files["fill"].write_bytes(filled(2**20, 2**20).SerializeToString())
    files["sparse"].write_bytes(sparse([HUGE]).SerializeToString())
    outcomes = inspect_all(files, "--json")
    (fill,) = outcomes["fill"].done()["models"]
    (row,) = [row for row in fill["tensors"] if row["name"] == "c"]
    assert (row["logical_elements"], row["nonzeros"], row["bytes"]) == (HUGE, 0, 0)
    (held,) = outcomes["sparse"].done()["models"]
    (row,) = held["tensors"]
    assert (row["logical_elements"], row["nonzeros"], row["bytes"]) == (HUGE, 2, 2 * 4 + 2)
    assert row["stored_elements"] == 4


def test_through_the_real_command(run: Run, found: dict[str, Outcome]) -> None:
    for name in ("recursive function", "sizes that wrap", "cyclic graph"):
        alone = run(*found[name].command)
        assert (alone.code, alone.stderr) == (found[name].code, found[name].stderr)
    path = found["cyclic graph"].command[1]
    report = run("compare", path, path, "--only", "size,macs", "--json").done()
    assert report["original"]["parameters"] == 4
