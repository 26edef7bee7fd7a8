"""Invented audits of every task, with everything that the quality half of a report can show."""

from typing import Any

import canned
import msgspec

from compaudit.results import (
    Accuracy,
    Comparison,
    Data,
    Embeddings,
    EntropyPair,
    Equivalence,
    Flips,
    LanguageModel,
    PairedMetric,
    ProbabilityChange,
    Skipped,
    SkippedSample,
    TracedOutput,
    WorstSample,
)


def comparison(**changes: Any) -> Comparison:
    """The canned audit with other quality figures, and without requirements and findings."""
    report = canned.comparison()
    gate = msgspec.structs.replace(report.gate, status="none", checks=[])
    fields = {"gate": gate, "findings": [], "skipped": [], "delta": None, **changes}
    return msgspec.structs.replace(report, **fields)


def nothing_of_accuracy(task: str, samples: int, **figures: Any) -> Accuracy:
    """An accuracy of these figures alone."""
    names = ("top1", "top5", "cross_entropy", "calibration_error", "mse", "mae", "r2", "perplexity")
    fields: dict[str, Any] = {
        "task": task,
        "samples": samples,
        "skipped_samples": 0,
        **dict.fromkeys((*names, "language", "equivalence", "flips")),
        "custom": {},
        "per_class": [],
    }
    return Accuracy(**(fields | figures))


def with_worst(metric: PairedMetric, worst_case: float) -> PairedMetric:
    delta = msgspec.structs.replace(metric.delta, worst_case=worst_case)
    return msgspec.structs.replace(metric, delta=delta)


def data(**changes: Any) -> Data:
    given = canned.comparison().data
    assert given is not None
    return msgspec.structs.replace(given, **changes)


# ------------------------------------------------------------------------------ classification


def classification() -> Comparison:
    """1,000 images, 9 left out; −0.6 pp, undecided; the class "tench" surely lost."""
    report = canned.comparison()
    names = ("tench", "goldfish", "great white shark", "hen")
    changes = {"tench": (0.98, 0.91, 0.004), "hen": (0.95, 0.96, 1.0)}
    per_class = [
        msgspec.structs.replace(
            canned.class_accuracy(label, *changes.get(name, (0.97, 0.96, 1.0))[:2]),
            name=name,
            samples=248,
            p_value=changes.get(name, (0.97, 0.96, 1.0))[2],
        )
        for label, name in enumerate(names)
    ]
    accuracy = msgspec.structs.replace(
        report.accuracy,
        samples=991,
        skipped_samples=9,
        top1=with_worst(canned.metric(0.968, 0.962, -0.0142, 0.0021, 0.18), -0.0129),
        top5=canned.metric(0.998, 0.998, -0.0021, 0.0021, 1.0),
        equivalence=Equivalence(metric="top1", margin=0.005, status="undecided", samples=9200),
        flips=Flips(broken=14, fixed=8),
        per_class=per_class,
    )
    divergence = msgspec.structs.replace(
        report.divergence,
        samples=991,
        kl=msgspec.structs.replace(canned.distribution(0.004), noise_floor=3.1e-13),
        entropy=EntropyPair(original=0.2, compressed=0.23),
        top5_agreement=canned.estimate(0.912, 0.893, 0.928),
        floored=12,
    )
    return comparison(
        accuracy=accuracy,
        divergence=divergence,
        worst=worst_images(),
        data=data(
            uri="validation/",
            kind="images",
            samples=1000,
            skipped_samples=9,
            skipped=[
                SkippedSample(index=index, name=f"hen/{index}.jpg", reason="cannot be decoded")
                for index in range(750, 759)
            ],
            notes=["images: float64 → float32 for the compressed model"],
        ),
    )


TINY_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGNgYGD4z8DAwvCfgYHhPwAQGgMCmdvYowAA"
    "AABJRU5ErkJggg=="
)
"""Two by two pixels: black, red, green and white; written by Pillow."""


def worst_images() -> list[WorstSample]:
    """Seven samples, of which a table shows five."""
    broken = [
        WorstSample(
            index=index,
            name=f"tench/n01440764_{index:05}.JPEG",
            why="broken",
            score=score,
            label=0,
            original=0,
            compressed=predicted,
            image=TINY_PNG,
        )
        for index, score, predicted in ((17, 5.25, 2), (3, 2.5, 1), (250, 0.75, 3))
    ]
    others = [
        WorstSample(
            index=index,
            name=f"hen/{index}.JPEG",
            why="loss",
            score=0.5,
            label=3,
            original=3,
            compressed=3,
            image=None,
        )
        for index in range(900, 904)
    ]
    return [*broken, *others]


# ------------------------------------------------------------------------------------- others


def regression() -> Comparison:
    """506 houses: the mean squared error rose surely, r² with it."""
    report = canned.comparison()
    divergence = msgspec.structs.replace(
        report.divergence,
        **dict.fromkeys(("kl", "kl_reverse", "js", "cross_entropy", "entropy", "top1_agreement")),
        scores=None,
        samples=506,
    )
    return comparison(
        accuracy=nothing_of_accuracy(
            "regression",
            506,
            mse=with_worst(canned.metric(10.5, 11.25, 0.25, 1.25, 0.003), 1.17),
            mae=canned.metric(2.5, 2.6, 0.05, 0.15, 0.001),
            r2=canned.metric(0.875, 0.866, None, None, None),
            custom={"within_a_tenth": canned.metric(0.42, 0.41, -0.03, 0.01, 0.33)},
        ),
        divergence=divergence,
    )


def language() -> Comparison:
    """160 sequences of 512 tokens; perplexity 12.41 → 12.58, ratio 1.0137 [1.0081, 1.0193]."""
    report = canned.comparison()
    change = ProbabilityChange(
        mean=canned.estimate(-0.0021, -0.0030, -0.0012),
        rms=canned.estimate(0.0315, 0.0301, 0.0329),
        p1=-0.1142,
        p5=-0.0461,
        p50=-0.0001,
        p95=0.0402,
        p99=0.0987,
        min=-0.8813,
        max=0.7421,
    )
    return comparison(
        accuracy=nothing_of_accuracy(
            "causal-lm",
            160,
            top1=canned.metric(0.4512, 0.4497, -0.0031, 0.0001, 0.064),
            top5=canned.metric(0.7034, 0.7021, -0.0026, 0.0, 0.05),
            cross_entropy=canned.metric(2.5185, 2.5321, 0.0081, 0.0191, 0.0),
            perplexity=with_worst(canned.metric(12.41, 12.58, 0.1, 0.24, 0.0), 0.23),
            language=LanguageModel(
                sequences=160,
                tokens=81_760,
                perplexity_ratio=canned.estimate(1.0137, 1.0081, 1.0193),
                log_perplexity_ratio=canned.estimate(0.0136, 0.0081, 0.0191),
                correlation=0.9971,
                probability_change=change,
            ),
            flips=Flips(broken=2204, fixed=2081),
        ),
        divergence=msgspec.structs.replace(report.divergence, per="token", samples=160),
    )


def embedding() -> Comparison:
    """2,000 sentences; cosine 0.9991, 97.2 % of the ten nearest neighbours kept."""
    report = canned.comparison()
    divergence = msgspec.structs.replace(
        report.divergence,
        **dict.fromkeys(("kl", "kl_reverse", "js", "cross_entropy", "entropy", "top1_agreement")),
        scores=None,
        samples=2000,
        embeddings=Embeddings(
            cosine=canned.estimate(0.99912, 0.99908, 0.99916),
            cosine_min=0.9731,
            cosine_p1=0.9902,
            cosine_p10=0.9968,
            cosine_p50=0.99951,
            neighbour_overlap=canned.estimate(0.972, 0.969, 0.975),
            k=10,
            compared=2000,
        ),
    )
    return comparison(
        accuracy=None,
        divergence=divergence,
        data=data(labels=None, uri="sentences.jsonl", kind="jsonl"),
        skipped=[Skipped(metric="accuracy", reason="embeddings have no right answers")],
    )


# -------------------------------------------------------------------------------------- traces


def traced_output(place: int, sqnr: float | None, **changes: Any) -> TracedOutput:
    made = TracedOutput(
        name=f"/features/features.{place}/conv/Conv_output_0",
        op="Conv",
        compressed_name=f"/features/features.{place}/conv/Conv_output_0_quantized",
        matched_by="name",
        samples=64,
        elements=64 * 3136,
        sqnr_db=sqnr,
        cosine=None if sqnr is None else 1 - 10 ** (-sqnr / 10),
        max_abs_error=None if sqnr is None else 10 ** (-sqnr / 20),
        identical=False,
        nonfinite_original=0,
        nonfinite_compressed=0,
    )
    return msgspec.structs.replace(made, **changes)


def traced() -> Comparison:
    """Six outputs: the first identical, then 38 dB and less, 4 dB from the fifth on."""
    outputs = [
        traced_output(0, None, identical=True, cosine=1.0, max_abs_error=0.0),
        *(traced_output(place, sqnr) for place, sqnr in enumerate((38.5, 36.0, 35.25), 1)),
        traced_output(4, 4.0),
        traced_output(5, 2.5, name="logits", op="Gemm"),
    ]
    return comparison(accuracy=None, trace=outputs)


def traced_long() -> Comparison:
    """Sixty outputs that lose 0.1 dB each, and 20 dB in the 31st."""
    outputs = [
        traced_output(place, 45 - 0.1 * place - (20 if place >= 30 else 0)) for place in range(60)
    ]
    return comparison(accuracy=None, trace=outputs)
