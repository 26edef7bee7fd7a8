import numpy as np
import pytest

from compaudit.errors import RequestError
from compaudit.measure.outputs import (
    OutputPair,
    Renaming,
    check_shapes,
    match_outputs,
)

Shapes = dict[str, tuple[int, ...]]


def outputs(*names: str, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    given = dict.fromkeys(names, (4, 3)) | shapes
    return {name: np.zeros(shape) for name, shape in given.items()}


def refusal(
    original: dict[str, np.ndarray],
    compressed: dict[str, np.ndarray],
    mapping: dict[str, str] | None = None,
    *,
    named: bool = True,
    wanted: str | None = None,
) -> RequestError:
    def compared() -> None:
        pairs = match_outputs(original, compressed, mapping or {}, named=named, wanted=wanted)
        check_shapes(pairs, original, compressed)

    with pytest.raises(RequestError) as caught:
        compared()
    assert caught.value.code == "outputs-do-not-fit"
    assert caught.value.stage == "evaluate"
    return caught.value


def test_by_name_whatever_the_order() -> None:
    pairs = match_outputs(outputs("a", "b"), outputs("b", "a"), {}, named=True)
    assert pairs == (OutputPair("a", "a"), OutputPair("b", "b"))


def test_a_single_output_of_another_name_is_not_guessed() -> None:
    error = refusal(outputs("logits"), outputs("scores"))
    assert "'logits'" in error.message
    assert "'scores'" in error.message
    assert error.hint.endswith("--map-output logits=scores")


def test_a_single_unnamed_output_is_the_one() -> None:
    pairs = match_outputs(outputs("logits"), outputs("output"), {}, named=False)
    assert pairs == (OutputPair("logits", "output"),)


def test_several_unnamed_outputs_are_not_guessed() -> None:
    error = refusal(outputs("a", "b"), outputs("output_0", "output_1"), named=False)
    assert "--map-output a=output_0" in error.hint


@pytest.mark.parametrize("named", [True, False])
def test_mapping(named: bool) -> None:
    mapping = {"a": "y", "b": "x"}
    pairs = match_outputs(outputs("a", "b"), outputs("x", "y"), mapping, named=named)
    assert pairs == (OutputPair("a", "y"), OutputPair("b", "x"))


@pytest.mark.parametrize(
    ("mapping", "which"),
    [({"c": "a"}, "original model has no output 'c'"), ({"a": "c"}, "compressed model has no")],
)
def test_mapping_of_unknown_names(mapping: dict[str, str], which: str) -> None:
    error = refusal(outputs("a", "b"), outputs("a", "b"), mapping)
    assert which in error.message
    assert error.hint == "it has 'a', 'b'"


def test_a_missing_output() -> None:
    error = refusal(outputs("a", "b"), outputs("a"))
    assert "'b' has no counterpart" in error.message
    assert "--map-output b=" in error.hint


def test_an_extra_output() -> None:
    error = refusal(outputs("a"), outputs("a", "hidden"))
    assert "'hidden'" in error.message
    assert "leave it out" in error.hint


def test_no_outputs_at_all() -> None:
    assert "'a' has no counterpart" in refusal(outputs("a"), outputs()).message


def test_another_shape() -> None:
    error = refusal(outputs(a=(4, 10)), outputs(a=(4, 1000)))
    assert "(4, 10)" in error.message
    assert "(4, 1000)" in error.message
    assert error.hint


def test_an_unknown_model_output() -> None:
    error = refusal(outputs("a", "b"), outputs("a", "b"), wanted="logits")
    assert "--model-output logits" in error.message
    assert error.hint == "it has 'a', 'b'"


# ---------------------------------------------------------------------------- the pair's names


def test_each_model_has_its_own_names_for_the_outputs_of_the_pair() -> None:
    first = Renaming("original", {"scores": "logits"})
    second = Renaming("compressed", {"scores": "y", "y": "scores"})
    assert list(first.apply(outputs("logits", "boxes"))) == ["scores", "boxes"]
    given = {"scores": np.full(2, 3.0), "y": np.full(2, 4.0), "boxes": np.full(2, 5.0)}
    renamed = second.apply(given)
    assert {name: array[0] for name, array in renamed.items()} == {
        "y": 3.0,
        "scores": 4.0,
        "boxes": 5.0,
    }


@pytest.mark.parametrize(
    ("mapping", "said", "hint"),
    [
        (
            {"scores": "logit"},
            "--compressed-map-output scores=logit: the compressed model has no output 'logit'",
            "it has 'logits', 'boxes'",
        ),
        ({"boxes": "logits"}, "another output called 'boxes'", "another name"),
    ],
)
def test_names_that_do_not_fit_the_model(mapping: dict[str, str], said: str, hint: str) -> None:
    with pytest.raises(RequestError) as caught:
        Renaming("compressed", mapping).apply(outputs("logits", "boxes"))
    assert caught.value.code == "outputs-do-not-fit"
    assert said in caught.value.message
    assert hint in caught.value.hint
