import pytest

from compaudit.config import Config, Setting, Sweep, parse_names, parse_numbers
from compaudit.errors import RequestError

COMMON = Config(original="a.onnx", compressed="b.onnx")


def sweep(**settings: object) -> Sweep:
    values = {"devices": ("cpu",), "threads": (), "batch_sizes": (1,), **settings}
    return Sweep(models=("a.onnx", "b.onnx"), common=COMMON, **values)  # type: ignore[arg-type]


def test_every_combination_in_order() -> None:
    settings = list(sweep(devices=("cpu", "cuda"), threads=(1, 2), batch_sizes=(1, 8)))
    assert settings == [
        Setting(device, threads, batch)
        for device in ("cpu", "cuda")
        for threads in (1, 2)
        for batch in (1, 8)
    ]
    assert len(sweep(devices=("cpu", "cuda"), threads=(1, 2), batch_sizes=(1, 8))) == 8


def test_without_threads_the_machine_decides() -> None:
    assert list(sweep()) == [Setting("cpu", None, 1)]


def test_numbers_ascend_and_come_once() -> None:
    assert parse_numbers("threads", "8, 1,8,32") == (1, 8, 32)


@pytest.mark.parametrize("text", ["", "1,,2", "0", "-1", "1;2", "1.5", "x", "²"])
def test_what_is_no_list_of_numbers(text: str) -> None:
    with pytest.raises(RequestError, match="--batch-size"):
        parse_numbers("batch-size", text)


def test_names_come_once_in_their_order() -> None:
    assert parse_names("device", ["cuda, cpu,cuda"]) == ("cuda", "cpu")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"devices": ("tpu",)}, "--device 'tpu'"),
        ({"threads": (4096,)}, "--threads"),
        ({"threads": tuple(range(1, 101)), "batch_sizes": tuple(range(1, 101))}, "10,000 settings"),
    ],
)
def test_what_cannot_be(settings: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        sweep(**settings)
