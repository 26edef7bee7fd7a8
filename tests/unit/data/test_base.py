import numpy as np
import pytest

from compaudit.data.base import ArrayInfo, Feed, convert, element_type, feeds_for
from compaudit.errors import RequestError
from compaudit.models.base import Value

IMAGE = ArrayInfo("image", "float32", (3, 4))


def refusal(
    *inputs: Value, arrays: tuple[ArrayInfo, ...] = (IMAGE,), mapping: dict[str, str] | None = None
) -> RequestError:
    with pytest.raises(RequestError) as caught:
        feeds_for(inputs, arrays, mapping or {}, "m.onnx")
    assert caught.value.code == "inputs-do-not-fit"
    assert caught.value.model == "m.onnx"
    assert caught.value.hint
    return caught.value


# ------------------------------------------------------------------------------- which array


def test_arrays_feed_inputs_of_their_name_in_any_order() -> None:
    arrays = (
        ArrayInfo("b", "int64", (5,)),
        ArrayInfo("extra", "int64", ()),
        ArrayInfo("a", "float32", ()),
    )
    inputs = (Value("a", "float32", (None,)), Value("b", "int64", ("N", 5)))
    assert feeds_for(inputs, arrays, {}, "m") == (
        Feed("a", "a", "float32", None),
        Feed("b", "b", "int64", None),
    )


def test_one_input_and_one_array_need_no_names() -> None:
    (feed,) = feeds_for((Value("x", "float32", ("N", 3, 4)),), (IMAGE,), {}, "m")
    assert (feed.input, feed.array) == ("x", "image")


def test_two_arrays_are_never_matched_by_position() -> None:
    error = refusal(
        Value("x", "float32", None), arrays=(IMAGE, ArrayInfo("other", "float32", (3, 4)))
    )
    assert "'x'" in error.message
    assert "'image', 'other'" in error.hint
    assert "--map-input NAME=x" in error.hint


def test_mapping_goes_from_array_to_input() -> None:
    arrays = (IMAGE, ArrayInfo("x", "float32", (9,)))
    (feed,) = feeds_for((Value("x", "float32", ("N", 3, 4)),), arrays, {"image": "x"}, "m")
    assert feed.array == "image"


def test_mapping_from_an_array_that_is_not_there_names_it() -> None:
    error = refusal(Value("x", "float32", None), mapping={"imgae": "x"})
    assert "'imgae'" in error.message


def test_an_input_whose_column_holds_no_numbers_is_refused_by_name() -> None:
    """And is not fed by the one array that is left."""
    inputs, left_out = (Value("photo", "float32", None),), {"photo": "struct<bytes: binary>"}
    with pytest.raises(RequestError) as caught:
        feeds_for(inputs, (IMAGE,), {}, "m", left_out)
    assert caught.value.code == "inputs-do-not-fit"
    assert "'photo' in the data holds struct<bytes: binary>" in caught.value.message
    (feed,) = feeds_for(inputs, (IMAGE,), {"image": "photo"}, "m", left_out)
    assert feed.array == "image"
    (feed,) = feeds_for(inputs, (IMAGE,), {}, "m", {"text": "string"})
    assert feed.array == "image"


def test_nothing_but_labels() -> None:
    assert "nothing but labels" in refusal(Value("x", "float32", None), arrays=()).hint


# ------------------------------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("given", "wanted", "fits"),
    [
        ("float64", "float32", True),
        ("float32", "float64", True),
        ("float64", "float16", True),
        ("float32", "bfloat16", True),
        ("int64", "bfloat16", True),
        ("int64", "float32", True),
        ("uint8", "float16", True),
        ("int64", "uint8", True),
        ("uint8", "int64", True),
        ("float32", "complex64", True),
        ("bool", "bool", True),
        ("float32", "int64", False),
        ("float16", "uint8", False),
        ("complex64", "float32", False),
        ("complex64", "bfloat16", False),
        ("bool", "float32", False),
        ("bool", "int64", False),
        ("int8", "bool", False),
        ("str160", "float32", False),
        ("str160", "string", False),
        ("float32", "string", False),
        ("datetime64[ns]", "int64", False),
        ("void16", "bfloat16", False),
        ("float32", "float8e4m3fn", False),
        ("float32", "float8_e5m2", False),  # a name that ml_dtypes registers with NumPy
        ("float32", "int4", False),
        ("float32", "sequence(float32)", False),
        ("float32", "map(int64,float32)", False),
    ],
)
def test_types_that_fit(given: str, wanted: str, fits: bool) -> None:
    arrays = (ArrayInfo("x", given, (2,)),)
    inputs = (Value("x", wanted, ("N", 2)),)
    if fits:
        assert feeds_for(inputs, arrays, {}, "m") == (Feed("x", "x", wanted, None),)
        return
    with pytest.raises(RequestError) as caught:
        feeds_for(inputs, arrays, {}, "m")
    assert wanted in caught.value.message
    assert "'x'" in caught.value.message


def test_an_undeclared_type_is_taken_from_the_data() -> None:
    (feed,) = feeds_for((Value("x", "", None),), (ArrayInfo("x", "int32", ()),), {}, "m")
    assert feed.dtype == "int32"


def test_element_types() -> None:
    assert element_type("float32") == np.float32
    bfloat16 = element_type("bfloat16")
    assert bfloat16 is not None
    assert bfloat16.itemsize == 2
    assert element_type("float8e5m2") is None
    assert element_type("") is None


def test_conversion_keeps_the_values() -> None:
    whole = convert(np.array([-128, 127], dtype=">i8"), Feed("x", "x", "int8", None))
    assert whole.dtype == np.int8
    assert whole.tolist() == [-128, 127]
    same = np.ones(3, dtype=np.float32)
    assert convert(same, Feed("x", "x", "float32", None)) is same
    short = convert(np.array([1.0, 2.5]), Feed("x", "x", "bfloat16", None))
    assert short.astype(np.float32).tolist() == [1.0, 2.5]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([0, 256]), "uint8"),
        (np.array([0, -1]), "uint64"),
        (np.array([2**40]), "int32"),
        (np.array([70000.0]), "float16"),
        (np.array([70000]), "float16"),
        (np.array([1e300, 1.0]), "float32"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(values: np.ndarray, dtype: str) -> None:
    with pytest.raises(RequestError, match="'pixels'") as caught:
        convert(values, Feed("x", "pixels", dtype, None))
    assert caught.value.code == "data-out-of-range"


def test_nan_and_infinity_stay_what_they_are() -> None:
    given = np.array([np.nan, np.inf, -np.inf, 1.0])
    got = convert(given, Feed("x", "x", "float16", None))
    np.testing.assert_array_equal(got.astype(np.float64), given)


# ------------------------------------------------------------------------------------ shapes


def test_wrong_sizes_are_shown() -> None:
    error = refusal(Value("x", "float32", ("N", None, 5)))
    assert "(N, ?, 5)" in error.message
    assert "(3, 4)" in error.message


def test_samples_of_different_sizes_feed_an_open_dimension() -> None:
    ids = ArrayInfo("ids", "int64", (None, 3))
    (feed,) = feeds_for((Value("ids", "int64", ("N", "length", 3)),), (ids,), {}, "m")
    assert feed == Feed("ids", "ids", "int64", None)


def test_samples_of_different_sizes_cannot_feed_a_fixed_one() -> None:
    ids = ArrayInfo("ids", "int64", (None,))
    error = refusal(Value("ids", "int64", ("N", 128)), arrays=(ids,))
    assert "(N, 128)" in error.message
    assert "samples of 'ids' in the data differ in size: (?)" in error.message
    assert "pad" in error.hint
    refusal(Value("ids", "int64", ("N", "length", 1)), arrays=(ids,))
    refusal(Value("ids", "int64", ("N", 4)), arrays=(ArrayInfo("ids", "int64", (None, 4)),))


@pytest.mark.parametrize("shape", [(), ("N",), ("N", 3), ("N", 3, 4, 1)])
def test_another_rank_is_refused(shape: tuple[int | str, ...]) -> None:
    refusal(Value("x", "float32", shape))


@pytest.mark.parametrize("size", [None, "N", 0, -1])
def test_an_open_first_dimension_takes_any_batch(size: int | str | None) -> None:
    (feed,) = feeds_for((Value("x", "float32", (size, -1, 4)),), (IMAGE,), {}, "m")
    assert feed.batch is None


def test_a_fixed_first_dimension_is_the_batch() -> None:
    (feed,) = feeds_for((Value("x", "float32", (8, 3, 4)),), (IMAGE,), {}, "m")
    assert feed.batch == 8


def test_inputs_that_insist_on_different_batches() -> None:
    error = refusal(
        Value("a", "float32", (8, 3)),
        Value("b", "float32", (1, 3)),
        arrays=(ArrayInfo("a", "float32", (3,)), ArrayInfo("b", "float32", (3,))),
    )
    assert "8 for its input 'a', 1 for its input 'b'" in error.message
