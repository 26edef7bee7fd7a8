import numpy as np
import pytest

from compaudit.data.base import DataRequest, SyntheticInput
from compaudit.data.lookups import lookup_bounds
from compaudit.data.open import open_data
from compaudit.data.synthetic import SyntheticDataset, invent_inputs
from compaudit.errors import RequestError
from compaudit.models.base import Graph, Model, Node, Role, Source, Tensor, Value

X = SyntheticInput("x", "float32", (2, 3), 0.0, 1.0)
IDS = SyntheticInput("ids", "int64", (4,), 0.0, 10.0)


def dataset(*inputs: SyntheticInput, seed: int = 0, samples: int = 16) -> SyntheticDataset:
    made = open_data(DataRequest(synthetic=inputs, samples=samples, seed=seed))
    assert isinstance(made, SyntheticDataset)
    return made


def invented(
    value: Value, shape: tuple[int, ...] | None = None, read: Model | None = None
) -> SyntheticInput:
    shapes = {} if shape is None else {value.name: shape}
    (made_up,) = invent_inputs((value,), shapes, read, "m.onnx")
    return made_up


def refusal(value: Value) -> RequestError:
    with pytest.raises(RequestError) as caught:
        invented(value)
    assert caught.value.code == "no-synthetic-input"
    assert caught.value.message.startswith("m.onnx ")
    assert "--data" in caught.value.hint
    return caught.value


# ------------------------------------------------------------------------------------- values


def test_a_sample_is_the_same_in_any_batch() -> None:
    whole = dataset(X, IDS).batch(0, 16)
    for size in (1, 3, 16, 100):
        for start in range(0, 16, size):
            part = dataset(X, IDS).batch(start, start + size)
            for name, values in part.items():
                np.testing.assert_array_equal(values, whole[name][start : start + size])


def test_samples_inputs_and_seeds_differ() -> None:
    batch = dataset(X, SyntheticInput("y", "float32", (2, 3), 0.0, 1.0)).batch(0, 2)
    assert not np.array_equal(batch["x"][0], batch["x"][1])
    assert not np.array_equal(batch["x"], batch["y"])
    assert not np.array_equal(batch["x"], dataset(X, seed=1).batch(0, 2)["x"])


def test_ranges_and_types() -> None:
    batch = dataset(
        X,
        IDS,
        SyntheticInput("flag", "bool", (50,), 0.0, 2.0),
        SyntheticInput("half", "bfloat16", (2,), 0.0, 1.0),
        SyntheticInput("ones", "float16", (2,), 1.0, 1.0),
        samples=200,
    ).batch(0, 200)
    assert batch["x"].shape == (200, 2, 3)
    assert batch["x"].dtype == np.float32
    assert 0 <= batch["x"].min() < 0.01
    assert 0.99 < batch["x"].max() <= 1
    assert batch["ids"].dtype == np.int64
    assert set(np.unique(batch["ids"])) == set(range(10))
    assert batch["flag"].dtype == np.bool_
    assert 0.4 < batch["flag"].mean() < 0.6
    assert batch["half"].dtype.name == "bfloat16"
    assert (batch["ones"] == 1).all()


def test_limit_and_digest() -> None:
    request = DataRequest(synthetic=(X,), samples=16, limit=5)
    limited = open_data(request)
    assert limited.samples == 5
    assert len(limited.batch(0, 100)["x"]) == 5
    assert dataset(X).digest() == dataset(X).digest()
    assert len({dataset(X).digest(), dataset(X, seed=1).digest(), dataset(IDS).digest()}) == 3


# ------------------------------------------------------------------------------- what to make up


def test_shapes_lose_the_first_dimension() -> None:
    assert invented(Value("x", "float32", ("N", 3, 8))) == SyntheticInput(
        "x", "float32", (3, 8), 0.0, 1.0
    )


def test_input_shape_fills_what_is_open() -> None:
    value = Value("x", "float32", ("N", "length", 8))
    assert invented(value, (1, 5, 8)).shape == (5, 8)
    assert invented(Value("x", "", None), (1, 5)) == SyntheticInput("x", "float32", (5,), 0.0, 1.0)


@pytest.mark.parametrize(
    ("shape", "name"), [(("N", "length", 8), "length"), (("N", None), "?"), (("N", 3, -1), "-1")]
)
def test_an_open_dimension_is_named(shape: tuple[int | str | None, ...], name: str) -> None:
    error = refusal(Value("x", "float32", shape))
    assert f"dimension {name!r} of its input 'x'" in error.message
    assert "--input-shape x=" in error.hint


@pytest.mark.parametrize("shape", [None, ()])
def test_an_input_without_a_shape_or_dimension(shape: tuple[int, ...] | None) -> None:
    assert "'x'" in refusal(Value("x", "float32", shape)).message


@pytest.mark.parametrize("dtype", ["string", "complex64", "float8e4m3fn", "sequence(float32)"])
def test_types_that_cannot_be_made_up(dtype: str) -> None:
    assert dtype in refusal(Value("x", dtype, ("N", 2))).message


@pytest.mark.parametrize(
    ("dtype", "values"), [("int64", {1}), ("bool", {True}), ("float32", {1.0}), ("int8", {1})]
)
def test_masks_mask_nothing(dtype: str, values: set[float]) -> None:
    made_up = invented(Value("Attention_Mask", dtype, ("N", 50)))
    assert set(np.unique(dataset(made_up).batch(0, 4)["Attention_Mask"]).tolist()) == values


def test_bool_is_both() -> None:
    made_up = invented(Value("flag", "bool", ("N", 50)))
    assert set(np.unique(dataset(made_up).batch(0, 4)["flag"]).tolist()) == {False, True}


@pytest.mark.parametrize("name", ["token_type_ids", "segment_ids"])
def test_segments_are_all_the_first(name: str) -> None:
    made_up = invented(Value(name, "int64", ("N", 5)))
    assert dataset(made_up).batch(0, 3)[name].tolist() == [[0] * 5] * 3


@pytest.mark.parametrize(("shape", "dtype"), [(("N", 5), "int64"), (("N", 2, 5), "int32")])
def test_positions_count_up(shape: tuple[int | str, ...], dtype: str) -> None:
    made_up = invented(Value("position_ids", dtype, shape))
    values = dataset(made_up).batch(0, 3)["position_ids"]
    assert values.dtype == dtype
    assert (values == np.arange(5)).all()
    assert values.shape == (3, *shape[1:])


def test_positions_stay_inside_their_table() -> None:
    read = lookup_model(node("Gather", "t", "position_ids"), t=(3, 8), inputs="position_ids")
    made_up = invented(Value("position_ids", "int64", ("N", 5)), read=read)
    assert dataset(made_up).batch(0, 1)["position_ids"].tolist() == [[0, 1, 2, 0, 1]]


@pytest.mark.parametrize("shape", [("N",), ("N", 1)])
@pytest.mark.parametrize("name", ["lengths", "Seq_Len"])
def test_lengths_are_those_of_the_sequences(name: str, shape: tuple[int | str, ...]) -> None:
    values = (Value(name, "int64", shape), Value("features", "float32", ("N", 7, 80)))
    made_up = invent_inputs(values, {}, None, "m.onnx")
    assert set(dataset(*made_up).batch(0, 9)[name].ravel().tolist()) == {7}


def test_a_length_without_a_sequence_is_any_number() -> None:
    assert invented(Value("length", "int64", ("N",))).high == 2
    assert invented(Value("length", "float32", ("N",))).high == 1


@pytest.mark.parametrize(
    ("shape", "example"),
    [
        (("N", "length"), "x=1x128,"),
        (("N", 3, "height", "width"), "x=1x3x224x224,"),
        ((4, "height", 80), "x=4x128x80,"),
        (None, "x=1x3x224x224,"),
    ],
)
def test_the_hint_gives_sizes_of_this_input(
    shape: tuple[int | str, ...] | None, example: str
) -> None:
    assert example in refusal(Value("x", "float32", shape)).hint


# ----------------------------------------------------------------------------- embedding bounds


def lookup_model(*nodes: Node, inputs: str = "ids", **tables: tuple[int, ...]) -> Model:
    return Model(
        source=Source("m.onnx", "onnx"),
        tensors=tuple(
            Tensor(name, Role.WEIGHT, "float32", shape, 1, 4) for name, shape in tables.items()
        ),
        graph=Graph(nodes, (Value(inputs, "int64", ("N", 4)),), ()),
        files=(),
    )


def node(op: str, *inputs: str, to: str = "out", **attributes: object) -> Node:
    return Node(op, op, inputs, (to,), attributes)


CAST = node("Cast", "ids", to="cast")
RESHAPE = node("Reshape", "cast", "shape", to="flat")


@pytest.mark.parametrize(
    ("nodes", "tables", "bound"),
    [
        ((node("Gather", "t", "ids"),), {"t": (30, 8)}, 30),
        ((CAST, node("Gather", "t", "cast")), {"t": (30, 8)}, 30),
        ((CAST, RESHAPE, node("Gather", "t", "flat")), {"t": (30, 8)}, 30),
        # the smallest of several tables
        ((node("Gather", "t", "ids"), node("Gather", "u", "ids")), {"t": (30, 8), "u": (9, 8)}, 9),
        ((node("Gather", "u", "ids"), node("Gather", "t", "ids")), {"t": (30, 8), "u": (9, 8)}, 9),
        # a quantised table
        (
            (node("DequantizeLinear", "t", "s", to="w"), node("Gather", "w", "ids")),
            {"t": (30, 8), "s": ()},
            30,
        ),
        ((node("GatherBlockQuantized", "t", "ids", "s"),), {"t": (30, 8)}, 30),
        ((node("GatherBlockQuantized", "t", "ids", "s", gather_axis=1),), {"t": (30, 8)}, 8),
        # other axes
        ((node("Gather", "t", "ids", axis=1),), {"t": (30, 8)}, 8),
        ((node("Gather", "t", "ids", axis=-2),), {"t": (30, 8)}, 30),
        # PyTorch
        ((node("aten.embedding.default", "t", "ids"),), {"t": (30, 8)}, 30),
        (
            (
                node("aten.view.default", "ids", to="flat"),
                node("aten.embedding.default", "t", "flat"),
            ),
            {"t": (30, 8)},
            30,
        ),
        # what indexes nothing stored, and what is broken
        ((node("Gather", "other", "ids"),), {"t": (30, 8)}, 2),
        ((node("Gather", "ids", "t"),), {"t": (30, 8)}, 2),
        ((node("Gather", "t"),), {"t": (30, 8)}, 2),
        ((node("Gather", "t", "ids", axis=7),), {"t": (30, 8)}, 2),
        ((node("Gather", "t", "ids", axis="0"),), {"t": (30, 8)}, 2),
        ((node("Add", "ids", "one", to="next"), node("Gather", "t", "next")), {"t": (30,)}, 2),
    ],
)
def test_ids_stay_inside_the_table(
    nodes: tuple[Node, ...], tables: dict[str, tuple[int, ...]], bound: int
) -> None:
    made_up = invented(Value("ids", "int64", ("N", 4)), read=lookup_model(*nodes, **tables))
    assert (made_up.low, made_up.high) == (0.0, bound)


def test_onnx_counts_negative_indices_from_the_end_and_pytorch_has_none() -> None:
    onnx = lookup_model(node("Gather", "t", "ids"), t=(30, 8))
    torch = lookup_model(node("aten.embedding.default", "t", "ids"), t=(30, 8))
    assert onnx.graph is not None
    assert torch.graph is not None
    assert lookup_bounds(onnx.graph, onnx) == {"ids": range(-30, 30)}
    assert lookup_bounds(torch.graph, torch) == {"ids": range(30)}


def test_ids_stay_inside_their_type() -> None:
    read = lookup_model(CAST, node("Gather", "t", "cast"), t=(30522, 8))
    made_up = invented(Value("ids", "int8", ("N", 400)), read=read)
    values = dataset(made_up).batch(0, 16)["ids"]
    assert values.min() == 0
    assert values.max() == 127
