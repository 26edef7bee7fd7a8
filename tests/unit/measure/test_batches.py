from typing import Any

import pytest

from compaudit.config import Config, ModelOptions
from compaudit.data.base import Feed
from compaudit.errors import RequestError
from compaudit.measure.batches import Fed, batch_size, evaluation_batch, require_same_batch


def config(**changes: Any) -> Config:
    return Config(original="o", compressed="c", **changes)


def feeds(batch: int | None) -> tuple[Feed, ...]:
    return (Feed("x", "x", "float32", batch),)


def sizes(chosen: Config, original: int | None, compressed: int | None) -> list[tuple[Fed, int]]:
    """What each of two models takes that insist on these sizes."""
    fed = [Fed("original", "o", feeds(original)), Fed("compressed", "c", feeds(compressed))]
    return [(one, batch_size(chosen, one, fed)) for one in fed]


@pytest.mark.parametrize(
    ("asked", "fixed", "expected"),
    [
        ({}, (None, None), (1, 1)),
        ({"batch_size": 8}, (None, None), (8, 8)),
        ({}, (None, 4), (4, 4)),
        ({}, (4, None), (4, 4)),
        ({"batch_size": 4}, (4, None), (4, 4)),
        ({}, (1, 4), (1, 4)),
        ({"original_only": ModelOptions(batch_size=8)}, (None, None), (8, 1)),
        ({"original_only": ModelOptions(batch_size=8)}, (None, 4), (8, 4)),
        ({"batch_size": 2, "compressed_only": ModelOptions(batch_size=8)}, (None, None), (2, 8)),
        ({"batch_size": 2, "compressed_only": ModelOptions(batch_size=4)}, (None, 4), (2, 4)),
    ],
)
def test_what_is_insisted_on_then_what_was_asked_then_what_the_other_takes(
    asked: dict[str, Any], fixed: tuple[int | None, int | None], expected: tuple[int, int]
) -> None:
    assert tuple(size for _, size in sizes(config(**asked), *fixed)) == expected


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"batch_size": 8}, "--batch-size asks for 8"),
        (
            {"batch_size": 2, "compressed_only": ModelOptions(batch_size=8)},
            "--compressed-batch-size asks for 8",
        ),
    ],
)
def test_another_size_than_the_model_insists_on(asked: dict[str, Any], option: str) -> None:
    with pytest.raises(RequestError) as caught:
        sizes(config(**asked), None, 4)
    error = caught.value
    assert error.message == f"c takes 4 samples at once, and {option}"
    assert (error.code, error.model) == ("batch-sizes-differ", "c")
    assert "open batch dimension" in error.hint


def test_times_need_the_same_size() -> None:
    require_same_batch(sizes(config(), 4, None))
    require_same_batch(sizes(config(), 4, None)[:1])
    require_same_batch([])
    with pytest.raises(RequestError, match=r"takes 1 sample at once.* takes 4 samples") as caught:
        require_same_batch(sizes(config(), 1, 4))
    assert caught.value.code == "batch-sizes-differ"
    assert "export both" in caught.value.hint
    with pytest.raises(RequestError) as caught:
        require_same_batch(sizes(config(original_only=ModelOptions(batch_size=8)), None, None))
    assert "--batch-size" in caught.value.hint
    assert "--skip latency" in caught.value.hint


def test_outputs_are_compared_in_batches_of_each_model() -> None:
    chosen = config(compressed_only=ModelOptions(batch_size=8))
    assert evaluation_batch(chosen, "original") == 64
    assert evaluation_batch(chosen, "compressed") == 8
    assert evaluation_batch(config(batch_size=16), "original") == 16


def test_sequences_are_evaluated_one_by_one_unless_asked_otherwise() -> None:
    assert evaluation_batch(config(task="causal-lm"), "original") == 1
    assert evaluation_batch(config(task="causal-lm", batch_size=4), "compressed") == 4
