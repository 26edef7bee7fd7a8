"""One invented audit that every report test shares; its figures are chosen, not measured."""

import msgspec

from compaudit.results import (
    Accuracy,
    Check,
    ClassAccuracy,
    Comparison,
    Data,
    Delta,
    Distribution,
    Divergence,
    EntropyPair,
    Environment,
    Estimate,
    Finding,
    Flips,
    Gate,
    Histogram,
    InspectedModel,
    Inspection,
    Latency,
    Layer,
    LayerSide,
    Macs,
    ModelResult,
    OutputError,
    PairedDelta,
    PairedMetric,
    Rates,
    RatesWithLimit,
    ScoreKinds,
    Skipped,
    TensorResult,
    Tool,
)

HOSTILE_NAME = "[bold red]x[/]\x1b[31m\n::error::<script>alert(1)</script>.onnx"


def estimate(value: float, low: float | None = None, high: float | None = None) -> Estimate:
    return Estimate(value=value, low=low, high=high)


def metric(
    original: float, compressed: float, low: float | None, high: float | None, p: float | None
) -> PairedMetric:
    return PairedMetric(
        original=estimate(original),
        compressed=estimate(compressed),
        delta=PairedDelta(
            value=compressed - original, low=low, high=high, p_value=p, worst_case=low
        ),
    )


def class_accuracy(label: int, original: float, compressed: float) -> ClassAccuracy:
    return ClassAccuracy(
        label=label,
        name=None,
        samples=200,
        original=original,
        compressed=compressed,
        delta=compressed - original,
        p_value=1.0,
    )


def latency(median: float) -> Latency:
    return Latency(
        median_s=estimate(median, median * 0.98, median * 1.02),
        mean_s=estimate(median * 1.01, median * 0.99, median * 1.03),
        p90_s=median * 1.2,
        p99_s=None,
        device_s=None,
        throughput_per_s=1 / median,
        calls=480,
        batch_size=1,
        threads=1,
        device="cpu",
        providers=["CPUExecutionProvider"],
        nodes_by_provider={"CPUExecutionProvider": 12},
        settings={"graph_optimization_level": "all"},
    )


def model(
    path: str, parameters: int, nonzero: int, weight_bytes: int, file_bytes: int, median: float
) -> ModelResult:
    return ModelResult(
        path=path,
        format="onnx",
        sha256="0" * 64,
        parameters=parameters,
        nonzero_parameters=nonzero,
        sparsity=1 - nonzero / parameters,
        weight_bytes=weight_bytes,
        file_bytes=file_bytes,
        graph_bytes=file_bytes - weight_bytes,
        entropy_bytes=weight_bytes // 2,
        entropy_bits_per_weight=4 * weight_bytes / parameters,
        bits_per_weight=8 * weight_bytes / parameters,
        elements_by_role={"weight": parameters},
        bytes_by_role={"weight": weight_bytes},
        precision={"float32": parameters},
        computed_precision={"float32": parameters},
        schemes={"none": parameters},
        macs=Macs(total=500 * parameters, nonzero=500 * nonzero, coverage=1.0, uncounted_ops=[]),
        load_s=0.02,
        first_inference_s=0.006,
        peak_memory_bytes=12_300_000,
        resident_anonymous_bytes=8_100_000,
        resident_file_bytes=4_000_000,
        peak_device_memory_bytes=None,
        latency=latency(median),
    )


def distribution(mean: float) -> Distribution:
    return Distribution(
        mean=estimate(mean, mean * 0.9, mean * 1.1),
        p50=mean * 0.5,
        p90=mean * 2,
        p99=mean * 5,
        p999=mean * 8,
        max=mean * 10,
        noise_floor=None,
        histogram=Histogram(
            edges=[mean * share for share in (0.1, 0.5, 2.5, 12.5)], counts=[80, 300, 20], zeros=0
        ),
    )


ENVIRONMENT = Environment(
    os="Linux-6.1",
    python="3.11.7",
    packages={"numpy": "2.4.6"},
    cpu="A processor",
    instruction_sets=["avx2"],
    physical_cores=2,
    usable_cores=2,
    cpu_quota=None,
    governor=None,
    load_average=[0.1, 0.2, 0.3],
    steal_percent=0.0,
    memory_bytes=8_000_000_000,
    devices=["cpu"],
    providers=["CPUExecutionProvider"],
)

HEAD = {
    "schema_version": "1.0",
    "tool": Tool(name="compaudit", version="0.1.0"),
    "created_at": "2026-11-23T05:00:00+00:00",
    "command": "compaudit compare digits.onnx digits_int8.onnx",
    "error": None,
}


def comparison(original: str = "digits.onnx", compressed: str = "digits_int8.onnx") -> Comparison:
    """α = 4 by weight bytes, 3 by file; δ = 2; top-1 from 98.0 % to 97.5 % on 400 samples."""
    return Comparison(
        **HEAD,
        original=model(original, 100_000, 100_000, 400_000, 420_000, 0.004),
        compressed=model(compressed, 100_000, 98_000, 100_000, 140_000, 0.002),
        alpha=RatesWithLimit(
            parameters=1.0,
            nonzero_parameters=100 / 98,
            weight_bytes=4.0,
            file_bytes=3.0,
            entropy_bytes=4.0,
            macs=1.0,
            coding_limit=8.0,
        ),
        beta=Rates(
            parameters=0.0,
            nonzero_parameters=2 / 98,
            weight_bytes=3.0,
            file_bytes=2.0,
            entropy_bytes=3.0,
            macs=0.0,
        ),
        space_saving=Rates(
            parameters=0.0,
            nonzero_parameters=0.02,
            weight_bytes=0.75,
            file_bytes=2 / 3,
            entropy_bytes=0.75,
            macs=0.0,
        ),
        delta=Delta(
            value=2.0,
            low=1.95,
            high=2.05,
            confidence=0.95,
            verdict="faster",
            epochs=6,
            minimal_detectable_effect=0.035,
            noise_floor=0.012,
            cpu_time_ratio=estimate(1.99, 1.95, 2.03),
            device_ratio=None,
        ),
        accuracy=Accuracy(
            task="classification",
            samples=400,
            skipped_samples=0,
            top1=metric(0.98, 0.975, -0.0152, 0.0047, 0.5),
            top5=None,
            cross_entropy=metric(0.081, 0.0852, -0.0003, 0.0087, 0.07),
            calibration_error=metric(0.012, 0.015, None, None, None),
            mse=None,
            mae=None,
            r2=None,
            perplexity=None,
            custom={},
            language=None,
            equivalence=None,
            flips=Flips(broken=3, fixed=1),
            per_class=[
                class_accuracy(0, 0.99, 0.98),
                class_accuracy(1, 0.97, 0.97),
            ],
        ),
        divergence=Divergence(
            samples=400,
            source="data",
            output="logits",
            per="sample",
            scores=ScoreKinds(original="logits", compressed="logits"),
            kl=distribution(0.004),
            kl_reverse=distribution(0.0042),
            js=distribution(0.001),
            cross_entropy=estimate(0.204, 0.19, 0.22),
            entropy=EntropyPair(original=0.2, compressed=0.21),
            top1_agreement=estimate(0.985, 0.967, 0.993),
            top5_agreement=None,
            floored=0,
            embeddings=None,
            outputs={
                "logits": OutputError(
                    max_abs_error=0.81,
                    mean_abs_error=0.05,
                    sqnr_db=31.5,
                    cosine=0.9996,
                    nonfinite_original=0,
                    nonfinite_compressed=0,
                )
            },
        ),
        layers=layers(),
        worst=[],
        trace=[],
        profile=None,
        samples=None,
        findings=[
            Finding(
                code="CA102",
                severity="warning",
                title="the pruned weights are still stored",
                detail="90.0 % of the weights are zero",
                hint="store them sparsely",
            )
        ],
        gate=Gate(
            status="inconclusive",
            checks=[
                Check(
                    requirement="alpha.file_bytes >= 2.5",
                    metric="alpha.file_bytes",
                    observed=3.0,
                    low=None,
                    high=None,
                    limit=2.5,
                    reference=None,
                    status="passed",
                    severity="fail",
                    message="",
                    reason="",
                ),
                Check(
                    requirement="accuracy.top1.delta >= -1 pp",
                    metric="accuracy.top1.delta",
                    observed=-0.005,
                    low=-0.0152,
                    high=0.0047,
                    limit=-0.01,
                    reference=None,
                    status="inconclusive",
                    severity="fail",
                    message="",
                    reason="the interval has the limit inside it",
                ),
            ],
        ),
        skipped=[Skipped(metric="accuracy.top5", reason="there are only 2 classes")],
        data=Data(
            uri="digits_test.npz",
            kind="npz",
            digest="1" * 64,
            samples=400,
            seed=0,
            labels="labels",
            skipped_samples=0,
            skipped=[],
            notes=[],
        ),
        environment=ENVIRONMENT,
        config={"original": original, "compressed": compressed},
    )


def layers() -> list[Layer]:
    """One of each change; they add up to both models of `comparison`."""

    def side(name: str, op: str, parameters: int, nonzero: int, size: int) -> LayerSide:
        return LayerSide(
            name=name,
            op=op,
            parameters=parameters,
            nonzero_parameters=nonzero,
            weight_bytes=size,
            bits_per_weight=8 * size / parameters,
            macs=500 * parameters,
            precision={"float32" if size == 4 * parameters else "int8": parameters},
            tensors=[f"{name}.weight"],
        )

    def changed(
        before: LayerSide | None, after: LayerSide | None, change: str, **others: object
    ) -> Layer:
        named = before or after
        assert named is not None
        values = {"matched_by": "name", "weight_sqnr_db": None, "weights_equal": None, "note": ""}
        fields = {"name": named.name, "op": named.op, "original": before, "compressed": after}
        return msgspec.convert({**fields, "change": change, **values, **others}, Layer)

    return [
        changed(
            side("stem.conv", "Conv", 1_000, 1_000, 4_000),
            side("stem.conv", "Conv", 1_000, 1_000, 1_000),
            "matched",
            weight_sqnr_db=41.25,
            weights_equal=False,
            note="float32 → int8",
        ),
        changed(
            side("blocks.0.conv", "Conv", 60_000, 60_000, 240_000),
            side("blocks.0.conv", "ConvInteger", 60_100, 58_100, 60_100),
            "matched",
            weight_sqnr_db=35.5,
            weights_equal=False,
            note="float32 → int8; blocks.0.norm folded in; blocks.0.conv.bias (100) added",
        ),
        changed(
            side("blocks.0.norm", "BatchNormalization", 200, 200, 800),
            None,
            "folded",
            matched_by=None,
            note="folded into blocks.0.conv: weight, bias",
        ),
        changed(
            side("blocks.1.fc", "Gemm", 34_000, 34_000, 136_000),
            side("blocks.1.fc.0, blocks.1.fc.1", "Gemm", 18_900, 18_900, 18_900),
            "factorized",
            matched_by="structure",
            note="factorised into 2, rank 16",
        ),
        changed(
            side("auxiliary", "Gemm", 800, 800, 3_200),
            None,
            "removed",
            matched_by=None,
            note="removed",
        ),
        changed(
            side("head", "Gemm", 4_000, 4_000, 16_000),
            side("head", "Gemm", 4_000, 4_000, 16_000),
            "matched",
            weights_equal=True,
        ),
        changed(None, side("adapter", "MatMul", 16_000, 16_000, 4_000), "added", matched_by=None),
    ]


def inspection(path: str = "digits.onnx") -> Inspection:
    """Two tensors: 1,000 float32 weights in 4,000 bytes, and 10 statistics in 40 bytes."""
    fields = model(path, 1_000, 900, 4_000, 5_000, 0.001)
    values = {name: getattr(fields, name) for name in fields.__struct_fields__}
    values |= {"latency": None, "graph_bytes": 960}
    tensors = [
        tensor("stem.weight", "weight", [10, 100], 4_000, 900),
        tensor("stem.mean", "buffer", [10], 40, 10),
    ]
    layers = [layer("stem", "Conv", 1_000, 4_000, ["stem.weight", "stem.mean"])]
    inspected = InspectedModel(**values, tensors=tensors, layers=layers)
    return Inspection(**HEAD, models=[inspected], skipped=[], environment=ENVIRONMENT)


def layer(name: str, op: str, parameters: int, size: int, tensors: list[str]) -> LayerSide:
    return LayerSide(
        name=name,
        op=op,
        parameters=parameters,
        nonzero_parameters=parameters * 9 // 10,
        weight_bytes=size,
        bits_per_weight=8 * size / parameters,
        macs=500 * parameters,
        precision={"float32": parameters},
        tensors=tensors,
    )


def tensor(name: str, role: str, shape: list[int], size: int, nonzeros: int) -> TensorResult:
    elements = size // 4
    return TensorResult(
        name=name,
        role=role,
        dtype="float32",
        shape=shape,
        logical_elements=elements,
        stored_elements=elements,
        bits=32,
        bytes=size,
        nonzeros=nonzeros,
        entropy_bits=None,
        layer="stem",
        op="Conv",
        computed_dtype="float32",
        scheme=None,
        block=None,
        symmetric=None,
        sparsity_structure=None,
        duplicate_of=None,
        tied_to=None,
        location="file",
        note="",
    )
