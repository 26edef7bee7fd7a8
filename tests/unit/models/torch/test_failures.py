"""What PyTorch's own layers raise, told apart: inputs of another size, and all else."""

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from compaudit.errors import MeasurementError, RequestError  # noqa: E402
from compaudit.models.base import Source  # noqa: E402
from compaudit.models.torch.failures import failure  # noqa: E402

pytestmark = pytest.mark.torch
SOURCE = Source("net.py:net", "module")
ROW = torch.zeros(1, 4)


def raised(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    assert isinstance(caught.value, Exception)
    return caught.value


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.Linear(7, 3)(ROW),
        lambda: nn.Conv2d(3, 8, 3)(torch.zeros(1, 1, 8, 8)),
        lambda: nn.Conv2d(3, 8, 3)(ROW),
        lambda: nn.LayerNorm(7)(ROW),
        lambda: nn.BatchNorm1d(7).eval()(ROW),
        lambda: nn.BatchNorm2d(7)(ROW),
        lambda: nn.GRU(7, 3)(ROW),
        lambda: nn.Embedding(5, 2)(ROW),
        lambda: ROW + torch.zeros(1, 7),
        lambda: ROW.reshape(2, 3),
    ],
)
def test_a_layer_that_gets_other_sizes_is_a_request_that_does_not_fit(
    call: Callable[[], object],
) -> None:
    error = failure(SOURCE, raised(call), "run")
    assert isinstance(error, RequestError)
    assert error.code == "inputs-do-not-fit"
    assert "the inputs do not fit net.py:net: " in error.message
    assert "--input-shape" in error.hint


def test_an_index_beyond_a_table_points_at_the_data() -> None:
    error = failure(SOURCE, raised(lambda: nn.Embedding(5, 2)(torch.tensor([7]))), "run")
    assert isinstance(error, RequestError)
    assert error.code == "inputs-do-not-fit"
    assert "vocabulary" in error.hint


@pytest.mark.parametrize(
    "error",
    [ValueError("the cache is full"), RuntimeError("expected to be asked nicely"), TypeError("x")],
)
def test_anything_else_is_the_models_failure(error: Exception) -> None:
    found = failure(SOURCE, error, "run")
    assert isinstance(found, MeasurementError)
    assert (found.code, found.model) == ("model-failed", "net.py:net")
