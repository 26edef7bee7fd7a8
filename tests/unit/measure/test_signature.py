from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compaudit.config import Config, ModelOptions, Which
from compaudit.data.base import Answers, ArrayInfo, Feed
from compaudit.data.spool import SpoolWriter
from compaudit.errors import RequestError
from compaudit.measure.signature import (
    Samples,
    Signature,
    choose_samples,
    feeds_of,
    given_samples,
    require_inputs,
    require_labels,
    sizes_of_one_sample,
)
from compaudit.models.base import Value
from compaudit.workers.workspace import Loaded


def loaded(*inputs: Value) -> Loaded:
    return Loaded(0.0, inputs, (), True, ())


def config(**changes: Any) -> Config:
    return Config(original="o", compressed="c", **changes)


def takes(chosen: Config, which: Which, *inputs: Value) -> Signature:
    """A model called o or c that takes these inputs."""
    return Signature(which, which[0], chosen.of(which), loaded(*inputs))


def labelled(tmp_path: Path, labels: Any, name: str = "labels") -> Samples:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((len(labels), 2)), **{name: np.asarray(labels)})
    chosen = config(data=str(path))
    return choose_samples(chosen, [takes(chosen, "original", Value("x", "", None))])


# ---------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("name", ["labels", "label"])
def test_labels_are_found_and_not_fed(tmp_path: Path, name: str) -> None:
    samples = labelled(tmp_path, [3, 1, 2], name)
    assert samples.labels == name
    assert [array.name for array in samples.inputs] == ["x"]
    answers = samples.labels_of(1, 3)
    assert answers is not None
    assert answers.tolist() == [1, 2]


def test_no_labels(tmp_path: Path) -> None:
    samples = labelled(tmp_path, [3, 1, 2], "targets")
    assert samples.labels is None
    assert samples.labels_of(0, 3) is None
    require_labels(config(), samples)
    with pytest.raises(RequestError, match="no labels") as caught:
        require_labels(config(measurements=("accuracy",)), samples)
    assert "'labels'" in caught.value.hint


def test_data_that_is_open_already_is_taken(tmp_path: Path) -> None:
    given = labelled(tmp_path, [3, 1, 2])
    one = takes(config(), "original", Value("x", "", None))
    assert choose_samples(config(), [one], given) is given


def test_tokens_are_fed_and_answers_too(tmp_path: Path) -> None:
    ids, mask = np.int64([[5, 6, 7], [8, 9, 0]]), np.int64([[1, 1, 1], [1, 1, 0]])
    np.savez(tmp_path / "data.npz", input_ids=ids, attention_mask=mask)
    samples = given_samples(config(data=str(tmp_path / "data.npz"), task="causal-lm"))
    assert samples is not None
    assert samples.answers == Answers("input_ids", tokens=True, mask="attention_mask")
    assert samples.labels == "input_ids"
    assert [array.name for array in samples.inputs] == ["input_ids", "attention_mask"]


def test_answers_beside_tokens_are_not_fed(tmp_path: Path) -> None:
    ids = np.int64([[5, 6, 7], [8, 9, 0]])
    np.savez(tmp_path / "data.npz", input_ids=ids, labels=ids)
    samples = given_samples(config(data=str(tmp_path / "data.npz"), task="causal-lm"))
    assert samples is not None
    assert samples.labels == "labels"
    assert [array.name for array in samples.inputs] == ["input_ids"]


def test_accuracy_alone_wants_a_task_that_has_one(tmp_path: Path) -> None:
    samples = labelled(tmp_path, [3, 1, 2])
    require_labels(config(measurements=("accuracy",)), samples)
    with pytest.raises(RequestError) as caught:
        require_labels(config(measurements=("accuracy",), task="embedding"), samples)
    assert caught.value.code == "unsupported-task"


def test_sequences_that_differ_in_length_count_with_the_first(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path / "spool") as writer:
        writer.append({"ids": [np.arange(4), np.arange(7)], "labels": np.arange(2)})
    samples = given_samples(config(data="m:f"), str(tmp_path / "spool"))
    assert samples is not None
    assert samples.inputs == (ArrayInfo("ids", "int64", (None,)),)
    assert sizes_of_one_sample(config(), "original", samples) == {"ids": (1, 4)}


def test_a_language_model_without_tokens(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", a=np.int64([[1, 2]]), b=np.int64([[3, 4]]))
    asked = config(data=str(tmp_path / "data.npz"), task="causal-lm", measurements=("accuracy",))
    samples = given_samples(asked)
    assert samples is not None
    with pytest.raises(RequestError, match="no labels") as caught:
        require_labels(asked, samples)
    assert "'input_ids'" in caught.value.hint


def test_synthetic_inputs_take_shapes_from_either_model() -> None:
    open_ = takes(config(), "original", Value("x", "", None))
    said = takes(config(), "compressed", Value("y", "float32", ("N", 3)))
    samples = choose_samples(config(), [open_, said])
    assert samples.request.uri is None
    assert [(a.dtype, a.shape) for a in samples.inputs] == [("float32", (3,))]
    assert samples.labels is None


def test_as_many_samples_are_made_up_as_either_model_takes_at_once() -> None:
    chosen = config(compressed_only=ModelOptions(batch_size=100))
    inputs = Value("x", "float32", ("N", 3))
    both = [takes(chosen, "original", inputs), takes(chosen, "compressed", inputs)]
    assert choose_samples(chosen, both).dataset.samples == 100


# --------------------------------------------------------------------------------- the options


def test_input_shape_completes_a_model_that_declares_none() -> None:
    one = takes(config(input_shapes={"x": (1, 3)}), "original", Value("x", "", None))
    samples = choose_samples(config(), [one])
    assert feeds_of(one, samples) == (Feed("x", "x", "float32", None),)


def test_the_shape_for_one_model_wins_and_holds_for_that_model() -> None:
    chosen = config(
        input_shapes={"x": (1, 3)}, compressed_only=ModelOptions(input_shapes={"x": (1, 5)})
    )
    open_ = Value("x", "float32", ("N", "features"))
    original, compressed = (takes(chosen, which, open_) for which in ("original", "compressed"))
    samples = choose_samples(chosen, [original, compressed])
    assert samples.inputs[0].shape == (3,)
    # What was made up for the original is not what the compressed model is fed.
    assert sizes_of_one_sample(chosen, "compressed", samples) == {"x": (1, 5)}
    assert feeds_of(original, samples)
    with pytest.raises(RequestError, match=r"shape \(N, 5\)") as caught:
        feeds_of(compressed, samples)
    assert caught.value.model == "c"
    assert sizes_of_one_sample(chosen, "original", None) == {"x": (1, 3)}
    assert sizes_of_one_sample(chosen, "compressed", None) == {"x": (1, 5)}


def test_a_size_that_a_model_states_stays() -> None:
    one = takes(config(input_shapes={"x": (8, 3, 7)}), "original", Value("x", "f", (4, "a", 5)))
    assert one.inputs[0].shape == (4, 3, 5)


def test_one_array_feeds_inputs_of_different_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", p=np.zeros((4, 2)), q=np.zeros((4, 3)))
    chosen = config(
        data=str(tmp_path / "data.npz"),
        original_only=ModelOptions(map_input={"p": "a"}),
        compressed_only=ModelOptions(map_input={"p": "b", "q": "a"}),
    )
    original = takes(chosen, "original", Value("a", "", None), Value("q", "", None))
    compressed = takes(chosen, "compressed", Value("a", "", None), Value("b", "", None))
    samples = choose_samples(chosen, [original, compressed])
    assert {feed.input: feed.array for feed in feeds_of(original, samples)} == {"a": "p", "q": "q"}
    assert {feed.input: feed.array for feed in feeds_of(compressed, samples)} == {
        "a": "q",
        "b": "p",
    }
    assert sizes_of_one_sample(chosen, "original", samples)["a"] == (1, 2)
    assert sizes_of_one_sample(chosen, "compressed", samples)["a"] == (1, 3)


def test_without_data_both_maps_speak_of_the_same_arrays() -> None:
    chosen = config(
        original_only=ModelOptions(map_input={"p": "a", "q": "b"}),
        compressed_only=ModelOptions(map_input={"p": "c", "q": "d"}),
    )
    small, large = ("N", 2), ("N", 3)
    original = takes(chosen, "original", Value("a", "float32", small), Value("b", "float32", large))
    compressed = takes(
        chosen, "compressed", Value("d", "float32", large), Value("c", "float32", small)
    )
    samples = choose_samples(chosen, [original, compressed])
    assert {array.name: array.shape for array in samples.inputs} == {"p": (2,), "q": (3,)}
    assert {feed.input: feed.array for feed in feeds_of(compressed, samples)} == {
        "d": "q",
        "c": "p",
    }


@pytest.mark.parametrize("order", [("x", "y"), ("y", "x")])
def test_without_data_an_array_that_feeds_two_inputs_is_made_up_once(order: list[str]) -> None:
    chosen = config(original_only=ModelOptions(map_input={"x": "y"}))
    types = {"x": "float32", "y": "float64"}
    original = takes(chosen, "original", *(Value(name, types[name], ("N", 2)) for name in order))
    samples = choose_samples(chosen, [original])
    assert [(array.name, array.dtype) for array in samples.inputs] == [("x", "float32")]
    assert [feed.array for feed in feeds_of(original, samples)] == ["x", "x"]


X, Y = Value("x", "float32", ("N", 3)), Value("y", "float32", ("N", 3))


@pytest.mark.parametrize(
    ("asked", "said", "hint"),
    [
        ({"input_shapes": {"z": (1, 3)}}, "--input-shape names 'z'", "their inputs are 'x', 'y'"),
        ({"map_input": {"x": "z"}}, "--map-input names 'z'", "their inputs are 'x', 'y'"),
        (
            {"original_only": ModelOptions(input_shapes={"y": (1, 3)})},
            "--original-input-shape names 'y', which is no input of o",
            "its inputs are 'x'",
        ),
        (
            {"compressed_only": ModelOptions(map_input={"y": "x"})},
            "--compressed-map-input names 'x', which is no input of c",
            "its inputs are 'y'",
        ),
    ],
)
def test_options_that_name_no_input(asked: dict[str, Any], said: str, hint: str) -> None:
    chosen = config(**asked)
    with pytest.raises(RequestError) as caught:
        require_inputs(chosen, [takes(chosen, "original", X), takes(chosen, "compressed", Y)])
    assert caught.value.code == "unknown-input"
    assert said in caught.value.message
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "asked",
    [
        {"input_shapes": {"y": (1, 3)}},
        {"map_input": {"x": "y"}},
        {"compressed_only": ModelOptions(map_input={"x": "y"})},
    ],
)
def test_an_option_for_both_may_name_the_input_of_one(asked: dict[str, Any]) -> None:
    chosen = config(**asked)
    require_inputs(chosen, [takes(chosen, "original", X), takes(chosen, "compressed", Y)])
