"""What a worker's errors say."""

import pytest

from compaudit.workers.wording import doing, memory_hint


@pytest.mark.parametrize("stage", ["read", "load", "shapes"])
def test_no_batch_size_helps_a_model_that_has_no_inputs_yet(stage: str) -> None:
    assert memory_hint(stage) == "raise --memory-limit"


@pytest.mark.parametrize("stage", ["memory", "warm-up", "latency", "evaluate", "profile"])
def test_a_smaller_batch_helps_a_model_that_runs(stage: str) -> None:
    assert memory_hint(stage) == "raise --memory-limit, or use a smaller --batch-size"
    assert doing(stage) != stage
