"""An invented ranking: one of each fate a candidate can have; its figures are chosen."""

import canned
import msgspec
from canned import HEAD, estimate, metric, model

from compaudit.results import (
    Axis,
    Best,
    Between,
    Candidate,
    Estimate,
    Failure,
    Front,
    Gate,
    LeftOut,
    Published,
    Ranking,
    Rates,
    RatesWithLimit,
    Skipped,
    Standing,
)

ORIGINAL = model("digits.onnx", 100_000, 100_000, 400_000, 420_000, 0.004)


def ranking() -> Ranking:
    """α of the file 3, 1 and 3; δ 2, 1 and 1.9; one that died while timed and one never read."""
    return Ranking(
        **HEAD | {"command": "compaudit rank digits.onnx 'digits_*.onnx'"},
        original=ORIGINAL,
        candidates=[
            candidate("digits_int8.onnx", size=4, delta=2.0, top1=-0.005, kl=0.004),
            candidate(
                "digits_pruned.onnx",
                size=1,
                delta=1.0,
                top1=0.0,
                kl=0.001,
                sure=False,
                likely="digits_int8.onnx",
            ),
            candidate(
                "digits_broken.onnx", size=4, delta=1.9, top1=-0.4, kl=2.5, by="digits_int8.onnx"
            ),
            died(),
            unread(),
        ],
        left_out=[
            LeftOut(
                path="models/digits.onnx",
                same_as="digits.onnx",
                reason="it is the original itself",
            )
        ],
        published=[],
        between=[
            Between(
                first="digits_int8.onnx",
                second="digits_pruned.onnx",
                paired=True,
                delta=estimate(0.5, 0.48, 0.52),
                simultaneous=estimate(0.5, 0.46, 0.54),
            ),
            Between(
                first="digits_int8.onnx",
                second="digits_broken.onnx",
                paired=True,
                delta=estimate(0.95, 0.93, 0.97),
                simultaneous=estimate(0.95, 0.91, 0.99),
            ),
            Between(
                first="digits_pruned.onnx",
                second="digits_broken.onnx",
                paired=True,
                delta=estimate(1.9, 1.86, 1.94),
                simultaneous=estimate(1.9, 1.82, 1.98),
            ),
        ],
        front=Front(
            axes=[
                Axis(metric="accuracy.top1", better="higher", margin=0.005),
                Axis(metric="delta", better="higher", margin=0.05),
                Axis(metric="alpha.file_bytes", better="higher", margin=0.0),
            ],
            confidence=0.95,
            comparisons=9,
            original=standing(0.98, 1.0, 1.0, sure=False),
        ),
        best=None,
        samples=[],
        skipped=[],
        data=canned.comparison().data,
        environment=canned.ENVIRONMENT,
        config={"original": "digits.onnx", "candidates": ["digits_*.onnx"]},
    )


def with_best() -> Ranking:
    """The same, asked for the fastest."""
    return msgspec.structs.replace(
        ranking(),
        best=Best(
            wanted="max delta",
            status="found",
            label="digits_int8.onnx",
            path="models/digits_int8.onnx",
            value=estimate(2.0, 1.95, 2.05),
            second="digits_pruned.onnx",
            second_value=estimate(1.0, 0.98, 1.02),
            surely_better=True,
            reason="",
        ),
    )


def with_published() -> Ranking:
    """The same, beside two rows of papers."""
    return msgspec.structs.replace(
        ranking(),
        published=[
            Published(
                label="AlexNet BN low-rank",
                top1=None,
                top5=0.8056,
                speedup=1.09,
                compression=4.94,
                basis=None,
                weight_bytes=None,
                file_bytes=None,
                source="Cheng et al. 2017",
            ),
            Published(
                label="LeNet-5 compressed",
                top1=0.9926,
                top5=None,
                speedup=None,
                compression=39.0,
                basis="coding_limit",
                weight_bytes=44_000,
                file_bytes=None,
                source="Han et al. 2016, Table 1",
            ),
        ],
    )


def candidate(
    label: str,
    *,
    size: int,
    delta: float,
    top1: float,
    kl: float,
    sure: bool = True,
    by: str | None = None,
    likely: str | None = None,
) -> Candidate:
    """A candidate of which everything was measured; `size`: α by weight bytes."""
    audit = canned.comparison("digits.onnx", f"models/{label}")
    assert audit.accuracy is not None
    assert audit.divergence is not None
    assert audit.delta is not None
    weights = 400_000 // size
    file = weights + (40_000 if size > 1 else 20_000)
    accuracy = msgspec.structs.replace(
        audit.accuracy,
        top1=metric(0.98, 0.98 + top1, top1 - 0.01, top1 + 0.01, 0.5),
        top5=metric(1.0, 1.0 + top1 / 10, top1 / 10 - 0.01, top1 / 10 + 0.01, 0.9),
    )
    place = standing(0.98 + top1, delta, 420_000 / file, sure=sure, by=by, likely=likely)
    return Candidate(
        label=label,
        path=f"models/{label}",
        compressed=model(f"models/{label}", 100_000, 100_000, weights, file, 0.004 / delta),
        alpha=RatesWithLimit(
            parameters=1.0,
            nonzero_parameters=1.0,
            weight_bytes=float(size),
            file_bytes=420_000 / file,
            entropy_bytes=float(size),
            macs=1.0,
            coding_limit=2.0 * size,
        ),
        beta=rates(size - 1.0, 420_000 / file - 1),
        space_saving=rates(1 - 1 / size, 1 - file / 420_000),
        delta=msgspec.structs.replace(
            audit.delta,
            value=delta,
            low=delta * 0.975,
            high=delta * 1.025,
            verdict="faster" if delta > 1.05 else "no_measurable_change",
        ),
        accuracy=accuracy,
        divergence=msgspec.structs.replace(audit.divergence, kl=canned.distribution(kl)),
        findings=audit.findings if size == 1 else [],
        gate=Gate(status="none", checks=[]),
        on_front=place.on_front,
        standing=place,
        error=None,
        skipped=[],
    )


def standing(
    top1: float,
    delta: float,
    alpha: float,
    *,
    sure: bool,
    by: str | None = None,
    likely: str | None = None,
) -> Standing:
    return Standing(
        on_front=by is None,
        sure=sure,
        dominated_by=[] if by is None else [by],
        likely_dominated_by=[] if likely is None else [likely],
        undecided=[] if sure else ["accuracy.top1", "delta"],
        axes={
            "accuracy.top1": estimate(top1, top1 - 0.02, top1 + 0.02),
            "delta": estimate(delta, delta * 0.95, delta * 1.05),
            "alpha.file_bytes": Estimate(value=alpha, low=alpha, high=alpha),
        },
    )


def rates(weights: float, file: float) -> Rates:
    return Rates(
        parameters=0.0,
        nonzero_parameters=0.0,
        weight_bytes=weights,
        file_bytes=file,
        entropy_bytes=weights,
        macs=0.0,
    )


def died() -> Candidate:
    """Its outputs were compared before it died while it was timed."""
    whole = candidate("digits_mortal.onnx", size=2, delta=1.5, top1=-0.01, kl=0.02)
    return msgspec.structs.replace(
        whole,
        delta=None,
        compressed=msgspec.structs.replace(whole.compressed, latency=None),
        on_front=None,
        standing=None,
        error=Failure(
            code="crashed",
            exit=4,
            message="models/digits_mortal.onnx crashed (signal SEGV) while it was timed",
            hint="try another version of ONNX Runtime",
            model="models/digits_mortal.onnx",
            stage="latency",
        ),
        skipped=[Skipped(metric="delta", reason="the model died while it was timed")],
    )


def unread() -> Candidate:
    """A file that is no model."""
    return Candidate(
        label="notes.onnx",
        path="models/notes.onnx",
        compressed=None,
        alpha=None,
        beta=None,
        space_saving=None,
        delta=None,
        accuracy=None,
        divergence=None,
        findings=[],
        gate=Gate(status="none", checks=[]),
        on_front=None,
        standing=None,
        error=Failure(
            code="broken-model",
            exit=2,
            message="models/notes.onnx is not a model compaudit knows",
            hint="give an ONNX, .pt2, TorchScript, state dict or safetensors file",
            model="models/notes.onnx",
            stage="open",
        ),
        skipped=[],
    )
