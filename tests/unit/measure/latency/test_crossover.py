import canned_benchmark as canned
import pytest

from compaudit.measure.latency.crossover import Turn, crossovers, turn_of

F, S, N, U = "faster", "slower", "no_measurable_change", "inconclusive"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([S, F], Turn(1, "faster", ())),
        ([F, F, S], Turn(2, "slower", ())),
        ([N, F, F], Turn(1, "faster", ())),
        ([S, U, None, F, F], Turn(3, "faster", (1, 2))),
        ([F, S, F], Turn(2, "faster", ())),
        # Faster throughout, or nobody knows where it was not: there is no crossover to name.
        ([F, F], None),
        ([U, F], None),
        ([None, "invalid", F], None),
        # The last is what counts: a single one that is faster is no place to go on from.
        ([S, F, U], None),
        ([S, F, N], None),
        ([F], None),
        ([], None),
    ],
)
def test_where_verdicts_turn_for_good(verdicts: list[str | None], expected: Turn | None) -> None:
    assert turn_of(verdicts) == expected


def test_a_model_overtakes_along_the_batch_size() -> None:
    (found,) = crossovers(canned.SETTINGS)
    assert (found.subject, found.reference) == ("int8.onnx", "float.onnx")
    assert (found.what, found.direction, found.axis, found.start) == (
        "models",
        "faster",
        "batch_size",
        8,
    )
    assert found.undecided == [4]
    assert (found.device, found.threads, found.batch_size) == ("cpu", 1, None)


def test_along_the_threads_the_batch_size_stays() -> None:
    # The value of one is also a number of threads: they must not be taken for one another.
    settings = [
        canned.setting(batch, (0.004, 0.002 if threads == 2 else 0.008), verdict, threads=threads)
        for threads, verdict in ((1, S), (2, F))
        for batch in (1, 2)
    ]
    found = crossovers(settings)
    assert [(one.axis, one.start, one.batch_size, one.threads) for one in found] == [
        ("threads", 2, 1, None),
        ("threads", 2, 2, None),
    ]


def test_a_device_overtakes_where_intervals_do_not_meet() -> None:
    """Means of 1 % each way: 0.99 to 1.03 of the median, as `canned.latency` has them."""
    settings = [
        *(canned.setting(batch, (0.001 * batch, 0.001 * batch), N) for batch in (1, 8, 64)),
        canned.setting(1, (0.004, 0.004), N, device="cuda"),
        canned.setting(8, (0.0079, 0.0079), N, device="cuda"),
        canned.setting(64, (0.010, 0.010), N, device="cuda"),
    ]
    found = [one for one in crossovers(settings) if one.what == "devices"]
    assert [(one.model, one.subject, one.reference, one.start, one.undecided) for one in found] == [
        ("float.onnx", "cuda", "cpu", 64, [8]),
        ("int8.onnx", "cuda", "cpu", 64, [8]),
    ]
    assert {(one.direction, one.device, one.threads) for one in found} == {("faster", None, 1)}
