from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from known_outputs import batches, divergence_of, tallied
from numpy.typing import NDArray
from scipy import special, stats
from scipy.spatial import distance

from compaudit.errors import RequestError
from compaudit.measure.recipe import Question
from compaudit.results import Divergence

Pair = tuple[NDArray[Any], NDArray[Any]]
Logits = Callable[..., Pair]

AVERAGES = ("kl", "kl_reverse", "js", "cross_entropy", "entropy")


def measured(
    original: NDArray[Any] | dict[str, NDArray[Any]],
    compressed: NDArray[Any] | dict[str, NDArray[Any]],
    *,
    classes: bool = True,
    size: int = 10**9,
    output: str | None = None,
    mapping: dict[str, str] | None = None,
) -> tuple[Divergence, dict[str, str]]:
    question = Question(
        task="classification" if classes else "auto", output=output, mapping=mapping or {}
    )
    return divergence_of(tallied(question, original, compressed, size=size))


def check_against_scipy(result: Divergence, q: NDArray[Any], p: NDArray[Any]) -> None:
    """Every figure of the class distribution; q and p are float64 probabilities."""
    for got, values in (
        (result.kl, stats.entropy(q, p, axis=1)),
        (result.kl_reverse, stats.entropy(p, q, axis=1)),
        (result.js, distance.jensenshannon(p, q, axis=1) ** 2),
    ):
        assert got is not None
        low, high = stats.t.interval(0.95, len(q) - 1, values.mean(), stats.sem(values))
        assert got.mean.value == pytest.approx(values.mean(), rel=1e-7)
        assert got.mean.low == pytest.approx(low, rel=1e-6, abs=1e-12)
        assert got.mean.high == pytest.approx(high, rel=1e-6)
        assert got.p50 == pytest.approx(np.median(values), rel=1e-6)
        assert got.p99 == pytest.approx(np.percentile(values, 99), rel=1e-6)
        assert got.max == pytest.approx(values.max(), rel=1e-7)
    assert result.cross_entropy is not None
    assert result.cross_entropy.value == pytest.approx(-special.xlogy(q, p).sum(axis=1).mean())
    assert result.entropy is not None
    assert result.entropy.original == pytest.approx(stats.entropy(q, axis=1).mean())
    assert result.entropy.compressed == pytest.approx(stats.entropy(p, axis=1).mean())
    assert result.top1_agreement is not None
    assert result.top1_agreement.value == np.mean(q.argmax(axis=1) == p.argmax(axis=1))
    if q.shape[1] > 5:
        same = [top5(a) == top5(b) for a, b in zip(q, p, strict=True)]
        assert result.top5_agreement is not None
        assert result.top5_agreement.value == np.mean(same)


def top5(row: NDArray[Any]) -> set[int]:
    """Of equal probabilities (an int8 model has them) the first classes."""
    return set(sorted(range(len(row)), key=lambda place: -row[place])[:5])


def as_float64(logits: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(special.softmax(logits.astype(np.float64), axis=1))


# ------------------------------------------------------------------------------ right numbers


@pytest.mark.parametrize("classes", [2, 5, 6, 10, 1000])
def test_logits(logits: Logits, classes: int) -> None:
    a, b = logits(300, classes)
    result, skipped = measured(a, b)
    check_against_scipy(result, as_float64(a), as_float64(b))
    assert (result.samples, result.source, result.output) == (300, "data", "logits")
    assert result.floored == 0
    if classes <= 5:
        assert result.top5_agreement is None
        assert skipped == {"divergence.top5_agreement": f"there are only {classes} classes"}
    else:
        assert skipped == {}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_softmax_needs_no_task(logits: Logits, dtype: type) -> None:
    q, p = (special.softmax(rows, axis=1).astype(dtype) for rows in logits(300, 10))
    result, _ = measured(q, p, classes=False)
    wide_q, wide_p = (
        rows.astype(np.float64) / rows.astype(np.float64).sum(axis=1, keepdims=True)
        for rows in (q, p)
    )
    check_against_scipy(result, wide_q, wide_p)


def test_log_softmax_outputs(logits: Logits) -> None:
    a, b = logits(300, 10)
    result, _ = measured(special.log_softmax(a, axis=1), special.log_softmax(b, axis=1))
    assert result.kl is not None
    assert result.kl.mean.value == pytest.approx(
        stats.entropy(as_float64(a), as_float64(b), axis=1).mean(), rel=1e-4
    )


def test_logits_against_a_softmax(logits: Logits) -> None:
    a, b = logits(300, 10)
    result, _ = measured(a, special.softmax(b.astype(np.float64), axis=1))
    check_against_scipy(result, as_float64(a), as_float64(b))


def test_real_outputs(digits: dict[str, NDArray[Any]]) -> None:
    a, b = digits["digits"], digits["digits_int8"]
    result, skipped = measured(a, b, size=64)
    check_against_scipy(result, as_float64(a), as_float64(b))
    assert skipped == {}
    signal, error = a.astype(np.float64), a.astype(np.float64) - b.astype(np.float64)
    assert result.outputs["logits"].sqnr_db == pytest.approx(
        10 * np.log10(np.sum(signal**2) / np.sum(error**2))
    )
    assert result.outputs["logits"].cosine == pytest.approx(
        1 - distance.cosine(a.ravel().astype(float), b.ravel().astype(float))
    )


def test_a_softmax_that_underflows(logits: Logits) -> None:
    q = np.array([[1, 0, 0], [0.5, 0.5, 0]], np.float32)
    p = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]], np.float32)
    result, _ = measured(q, p, classes=False)
    assert result.floored == 3
    assert measured(p, q, classes=False)[0].floored == 3
    assert result.kl is not None
    assert result.kl_reverse is not None
    # KL(q‖p): 1·log 2 and ½·log 2; the floor adds nothing. The reverse is finite, and large.
    assert result.kl.mean.value == pytest.approx(0.75 * np.log(2), rel=1e-6)
    floor = np.log(2.0**-149)
    first = 0.5 * np.log(0.5) + 0.5 * (np.log(0.25) - floor)
    second = 0.25 * np.log(0.5) + 0.25 * (np.log(0.25) - floor)
    assert result.kl_reverse.mean.value == pytest.approx((first + second) / 2, rel=1e-6)


def test_identical_outputs(logits: Logits) -> None:
    a, _ = logits(50, 10)
    result, skipped = measured(a, a)
    for divergence in (result.kl, result.kl_reverse, result.js):
        assert divergence is not None
        assert (divergence.mean.value, divergence.mean.low, divergence.max) == (0, 0, 0)
    assert result.top1_agreement is not None
    assert result.top1_agreement.value == 1
    assert set(skipped) == {'divergence.outputs["logits"].sqnr_db'}


# ---------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("start", ["nan", "coincidence", "plain"])
@pytest.mark.parametrize("kind", ["logits", "softmax"])
def test_any_batch_size_gives_the_same(
    logits: Logits, kind: str, start: str, classes: bool
) -> None:
    a, b = logits(300, 6)
    if kind == "softmax":
        a, b = special.softmax(a, axis=1), special.softmax(b, axis=1)
    elif start == "coincidence":
        a[0] = b[0] = [0.5, 0.25, 0.25, 0, 0, 0]  # logits that sum to one
    if start == "nan":
        a[0] = np.nan
    whole, why = measured(a, b, classes=classes)
    assert (whole.kl is None) == (start == "nan" or (kind == "logits" and not classes))
    assert (whole.top1_agreement is None) == (kind == "logits" and not classes)
    for size in (1, 7, 64, 299):
        part, same_why = measured(a, b, classes=classes, size=size)
        assert same_why == why
        assert part.top1_agreement == whole.top1_agreement
        assert part.top5_agreement == whole.top5_agreement
        assert part.floored == whole.floored
        assert part.output == whole.output
        for name in ("kl", "kl_reverse", "js"):
            ours, theirs = getattr(part, name), getattr(whole, name)
            if theirs is None:
                assert ours is None
            else:
                assert ours.mean.value == pytest.approx(theirs.mean.value, rel=1e-12)
                assert ours.p999 == pytest.approx(theirs.p999, rel=1e-12)


# ------------------------------------------------------------------------- what is not a number


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", ["logits", "softmax"])
def test_one_bad_sample_is_not_averaged_away(
    logits: Logits, which: int, bad: float, kind: str
) -> None:
    pair = logits(100, 10)
    if kind == "softmax":
        pair = special.softmax(pair[0], axis=1), special.softmax(pair[1], axis=1)
    pair[which][3, 3] = bad
    result, skipped = measured(*pair)
    for name in AVERAGES:
        assert getattr(result, name) is None
        assert "1 of 100 samples" in skipped[f"divergence.{name}"]
    # On that sample the models do not agree.
    same = pair[0].argmax(axis=1) == pair[1].argmax(axis=1)
    same[3] = False
    assert result.top1_agreement is not None
    assert result.top1_agreement.value == same.mean()
    assert result.outputs["logits"].max_abs_error is None
    assert 'divergence.outputs["logits"].max_abs_error' in skipped


def test_nan_never_agrees_with_nan() -> None:
    nan = np.full((4, 10), np.nan, np.float32)
    result, skipped = measured(nan, nan)
    assert result.top1_agreement is not None
    assert result.top1_agreement.value == 0
    assert result.top5_agreement is not None
    assert result.top5_agreement.value == 0
    assert "4 of 4" in skipped["divergence.kl"]


def test_rows_of_zeros_in_a_softmax(logits: Logits) -> None:
    q, p = (special.softmax(rows, axis=1) for rows in logits(300, 10))
    p[280] = 0
    result, skipped = measured(q, p, classes=False, size=32)
    assert result.kl is None
    assert "no distribution" in skipped["divergence.kl"]


# ------------------------------------------------------------------------------ which output


def test_numbers_of_unknown_meaning(logits: Logits) -> None:
    result, skipped = measured(*logits(20, 10), classes=False)
    for name in (*AVERAGES, "top1_agreement", "top5_agreement"):
        assert getattr(result, name) is None
        assert "--task classification" in skipped[f"divergence.{name}"]
    assert result.output is None
    assert result.outputs["logits"].cosine is not None


def test_one_class_is_no_distribution() -> None:
    result, skipped = measured(np.ones((9, 1)), np.ones((9, 1)))
    assert result.kl is None
    assert "at least two class scores" in skipped["divergence.kl"]


def test_the_only_distribution_among_several_outputs(logits: Logits) -> None:
    a, b = logits(40, 10)
    outputs = [
        {"features": rows, "scores": special.softmax(rows, axis=1), "label": rows.argmax(axis=1)}
        for rows in (a, b)
    ]
    result, _ = measured(outputs[0], outputs[1], classes=False, size=7)
    assert result.output == "scores"
    check_against_scipy(
        result,
        *(
            part["scores"].astype(float) / part["scores"].astype(float).sum(1, keepdims=True)
            for part in outputs
        ),
    )
    assert set(result.outputs) == {"features", "scores", "label"}


def test_several_outputs_that_may_hold_classes(logits: Logits) -> None:
    a, b = logits(40, 10)
    given = {"x": a, "y": a}, {"x": b, "y": b}
    result, skipped = measured(*given)
    assert result.kl is None
    assert "--model-output" in skipped["divergence.kl"]
    chosen, _ = measured(*given, output="y")
    assert chosen.output == "y"
    check_against_scipy(chosen, as_float64(a), as_float64(b))


def test_mapped_outputs(logits: Logits) -> None:
    a, b = logits(40, 10)
    result, _ = measured({"logits": a}, {"scores": b}, mapping={"logits": "scores"}, size=7)
    assert set(result.outputs) == {"logits"}
    check_against_scipy(result, as_float64(a), as_float64(b))


def test_names_with_quotes_in_reasons() -> None:
    one = {'a"b\\c': np.ones((3, 1))}
    _, skipped = measured(one, one)
    assert 'divergence.outputs["a\\"b\\\\c"].sqnr_db' in skipped


def test_shapes_are_checked_in_every_batch(logits: Logits) -> None:
    tally = tallied(Question(), np.ones((4, 2, 3)), np.ones((4, 2, 3)))
    (other,) = batches(np.ones((4, 2, 1)), np.ones((4, 2, 3)))
    with pytest.raises(RequestError, match="shape"):
        tally.update(other)


def test_one_sample_has_no_interval(logits: Logits) -> None:
    result, _ = measured(*logits(1, 10))
    assert result.kl is not None
    assert result.kl.mean.low is None
    assert result.kl.p50 == result.kl.max == result.kl.mean.value
