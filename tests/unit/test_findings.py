"""Each finding fires on a case made for it, and is silent on a good audit."""

from typing import Any

import canned
import msgspec
import pytest

from compaudit.findings import RULES, Evidence, Run, find
from compaudit.models.base import Graph, Model, Node, Role, RunSettings, Source, Tensor
from compaudit.results import Layer, LayerSide, TensorResult
from compaudit.results.placement import Fallback

REPORT = canned.comparison()


def evidence(**changes: Any) -> Evidence:
    """A good audit, but for the changes: 4× smaller, 2× faster, −0.5 pp [−1.52, +0.47]."""
    fields: dict[str, Any] = {
        "original": REPORT.original,
        "compressed": REPORT.compressed,
        "original_model": None,
        "compressed_model": None,
        "compressed_tensors": (),
        "layers": (),
        "runtimes": ("onnxruntime", "onnxruntime"),
        "alpha": REPORT.alpha,
        "delta": REPORT.delta,
        "accuracy": REPORT.accuracy,
        "divergence": REPORT.divergence,
        "never_steady": (),
    }
    return Evidence(**fields | changes)


def codes(**changes: Any) -> set[str]:
    return {finding.code for finding in find(evidence(**changes))}


def test_a_good_audit_has_no_findings() -> None:
    assert codes() == set()


def test_an_audit_without_evidence_has_no_findings() -> None:
    assert codes(delta=None, accuracy=None, divergence=None) == set()


def test_codes_are_unique_and_documented_in_their_rule() -> None:
    documented = [(rule.__doc__ or "").partition(":")[0] for rule in RULES]
    assert all(len(code) == 5 and code.startswith("CA") for code in documented)
    assert len(set(documented)) == len(documented)


def quantised_model(dtype: str, quantised: str) -> Model:
    """A convolution weight of one type; QuantizeLinear reads the named value."""
    weight = Tensor("w", Role.WEIGHT, dtype, (2, 2), 4, 16)
    nodes = (
        Node("q", "QuantizeLinear", (quantised, "s", "z"), ("wq",)),
        Node("d", "DequantizeLinear", ("wq", "s", "z"), ("wd",)),
    )
    return Model(Source("m", "onnx"), (weight,), Graph(nodes, (), ()), ())


CPU_TIME = {
    "as much": (1.99, 1.95, 2.03),
    "they touch": (2.10, 2.05, 2.15),
    "less": (1.80, 1.75, 1.949),
    "more": (2.20, 2.051, 2.35),
    "no interval": (1.50, None, None),
}


@pytest.mark.parametrize(
    ("processor", "waited"),
    [
        *((CPU_TIME[name], None) for name in ("as much", "they touch", "no interval")),
        (CPU_TIME["less"], "original"),
        (CPU_TIME["more"], "compressed"),
        (None, None),
    ],
)
def test_contended(
    processor: tuple[float, float | None, float | None] | None, waited: str | None
) -> None:
    """δ is 2.00 [1.95, 2.05]: the original's share of it is the larger, the more it waited."""
    ratio = canned.estimate(*processor) if processor is not None else None
    delta = msgspec.structs.replace(REPORT.delta, cpu_time_ratio=ratio)
    found = [finding for finding in find(evidence(delta=delta)) if finding.code == "CA305"]
    assert [finding.severity for finding in found] == (["warning"] if waited else [])
    if waited is not None:
        assert f"the {waited} model waited" in found[0].detail


def test_without_an_interval_of_delta_nothing_is_contended() -> None:
    delta = msgspec.structs.replace(
        REPORT.delta, low=None, high=None, cpu_time_ratio=canned.estimate(9.0, 8.0, 10.0)
    )
    assert codes(delta=delta) == set()


def test_fake_quantisation() -> None:
    (found,) = find(evidence(compressed_model=quantised_model("float32", "w")))
    assert found.code == "CA101"
    assert found.detail.startswith("1 weight, 'w', is quantised and dequantised when the model")
    assert codes(compressed_model=quantised_model("bfloat16", "w")) == {"CA101"}
    assert codes(compressed_model=quantised_model("float32", "activation")) == set()
    assert codes(compressed_model=quantised_model("int8", "w")) == set()


@pytest.mark.parametrize(
    ("op", "fires"),
    [
        ("aten.fake_quantize_per_channel_affine.default", True),
        ("quantized_decomposed.quantize_per_tensor.default", True),
        ("quantized_decomposed.dequantize_per_tensor.default", False),
        ("aten.linear.default", False),
    ],
)
def test_fake_quantisation_in_pytorch(op: str, fires: bool) -> None:
    model = quantised_model("float32", "w")
    nodes = (Node("q", op, ("w", "s", "z"), ("wq",), domain="torch"),)
    torch = Model(model.source, model.tensors, Graph(nodes, (), ()), ())
    assert codes(compressed_model=torch) == ({"CA101"} if fires else set())


def test_zeros_that_are_still_stored() -> None:
    sparse = msgspec.structs.replace(REPORT.compressed, sparsity=0.9)
    dense = msgspec.structs.replace(REPORT.alpha, nonzero_parameters=10.0, weight_bytes=1.0)
    packed = msgspec.structs.replace(REPORT.alpha, nonzero_parameters=10.0, weight_bytes=9.0)
    assert codes(compressed=sparse, alpha=dense) == {"CA102"}
    assert codes(compressed=sparse, alpha=packed) == set()
    assert codes(alpha=dense) == set()  # hardly anything is zero


def test_a_file_that_grew() -> None:
    assert codes(alpha=msgspec.structs.replace(REPORT.alpha, file_bytes=0.99)) == {"CA103"}
    for size in (0.996, 1.0, None):  # a few bytes of names are no growth
        assert codes(alpha=msgspec.structs.replace(REPORT.alpha, file_bytes=size)) == set()


def stored(name: str, size: int, **changes: Any) -> TensorResult:
    return msgspec.structs.replace(canned.tensor(name, "weight", [size // 4], size, 1), **changes)


def test_tensors_that_are_stored_twice() -> None:
    whole = REPORT.compressed.file_bytes
    assert whole is not None
    tensors = [stored("a", whole // 4), stored("b", whole // 4, duplicate_of="a")]
    (found,) = find(evidence(compressed_tensors=tensors))
    assert found.code == "CA104"
    assert found.detail == "b holds the same as a; it takes 35.0 kB and counts as parameters"
    assert codes(compressed_tensors=tensors[:1]) == set()
    tiny = [stored("a", whole // 4), stored("b", whole // 200, duplicate_of="a")]
    assert codes(compressed_tensors=tiny) == set()


def test_tensors_that_nothing_uses() -> None:
    whole = REPORT.compressed.file_bytes
    assert whole is not None
    unused = [stored("ema.a", whole // 4, role="unused")]
    assert codes(compressed_tensors=unused) == {"CA106"}
    assert codes(compressed_tensors=[stored("a", whole // 4)]) == set()


def layer(
    name: str,
    change: str,
    before: int,
    after: int,
    note: str,
    sqnr: float | None,
    *,
    equal: bool = False,
) -> Layer:
    def side(parameters: int) -> LayerSide:
        made = canned.layer(name, "Conv", max(parameters, 1), 4 * parameters, [f"{name}.weight"])
        return msgspec.structs.replace(made, parameters=parameters)

    return Layer(
        name=name,
        op="Conv",
        original=side(before),
        compressed=None if change == "folded" else side(after),
        change=change,
        matched_by="name",
        weight_sqnr_db=sqnr,
        weights_equal=equal,
        note=note,
    )


def test_an_export_that_changes_the_number_of_parameters() -> None:
    folded = layer("bn", "folded", 64, 0, "", None)
    again = layer("head", "matched", 0, 1000, "", None, equal=True)
    bias = layer("conv", "matched", 216, 224, "", None, equal=True)
    for changed, said in (
        (folded, "folded into other layers: bn (−64)"),
        (again, "stored again: head (+1,000)"),
        (bias, "with or without a bias now: conv (+8)"),
    ):
        (found,) = find(evidence(layers=(changed,)))
        assert found.code == "CA105"
        assert said in found.detail
    assert codes(layers=(layer("conv", "matched", 64, 32, "64 → 32", None),)) == set()
    many = [layer(f"bn{i}", "folded", 64, 0, "folded into conv: weight", None) for i in range(9)]
    assert "and 6 more, −576 in all" in find(evidence(layers=many))[0].detail


def test_one_layer_that_is_ruined() -> None:
    def layers(*sqnrs: float | None) -> list[Layer]:
        return [layer(f"l{i}", "matched", 9, 9, "", sqnr) for i, sqnr in enumerate(sqnrs)]

    (found,) = find(evidence(layers=layers(40.0, -30.0, 38.0, 41.0)))
    assert found.code == "CA403"
    assert found.detail.startswith("l1 has a weight SQNR of −30.0 dB, the median of 4 layers is 39")
    assert codes(layers=layers(40.0, 38.0, 41.0)) == set()
    assert codes(layers=layers(3.0, 2.0, 4.0, 1.0)) == set()  # all alike: that is the method
    assert codes(layers=layers(40.0, -30.0)) == set()  # too few to speak of the others
    assert codes(layers=layers(None, None, None, -30.0)) == set()


def test_smaller_but_slower() -> None:
    slower = msgspec.structs.replace(
        REPORT.delta, value=0.5, low=0.48, high=0.52, verdict="slower", cpu_time_ratio=None
    )
    (finding,) = find(evidence(delta=slower))
    assert finding.code == "CA201"
    assert "2.00×" in finding.detail  # takes twice as long
    same = msgspec.structs.replace(REPORT.alpha, weight_bytes=1.0)
    assert codes(delta=slower, alpha=same) == set()


def test_a_speed_up_within_the_noise() -> None:
    delta = msgspec.structs.replace(
        REPORT.delta,
        value=1.04,
        low=1.01,
        high=1.07,
        noise_floor=0.08,
        verdict="inconclusive",
        cpu_time_ratio=None,
    )
    assert codes(delta=delta) == {"CA202"}
    unsure = msgspec.structs.replace(delta, low=0.98)
    assert codes(delta=unsure) == set()


def test_never_steady() -> None:
    assert codes(never_steady=("original",)) == {"CA203"}


@pytest.mark.parametrize(
    ("runtimes", "expected"),
    [
        (("torch", "onnxruntime"), {"CA301"}),
        (("torch", "torch"), set()),
        (("torch", None), set()),
    ],
)
def test_different_runtimes(runtimes: tuple[str | None, str | None], expected: set[str]) -> None:
    assert codes(runtimes=runtimes) == expected


def test_synthetic_inputs() -> None:
    made_up = msgspec.structs.replace(REPORT.divergence, source="synthetic")
    assert codes(divergence=made_up, accuracy=None) == {"CA302"}


def run(batch_size: int = 1, **settings: Any) -> Run:
    return Run(RunSettings(**settings), batch_size)


@pytest.mark.parametrize(
    ("original", "compressed", "said"),
    [
        (run(8), run(1), "samples at once: 8 against 1"),
        (run(compiled=True), run(), "torch.compile: yes against no"),
        (
            run(provider_options={"k": "1", "l": "2"}),
            run(provider_options={"k": "3", "l": "2"}),
            "provider option k: 1 against 3",
        ),
        (run(), run(session_options={"s": "1"}), "session option s: not set against 1"),
        (
            run(),
            run(custom_op_libraries=("ops.so",)),
            "custom operators: ops.so for the compressed model only",
        ),
    ],
)
def test_different_settings(original: Run, compressed: Run, said: str) -> None:
    (found,) = find(evidence(runs=(original, compressed)))
    assert (found.code, found.severity) == ("CA303", "info")
    assert found.detail.endswith(f": {said}")
    for alike in (original, compressed):
        assert codes(runs=(alike, alike)) == set()
    assert codes(runs=(original, None)) == set()  # there is nothing to compare


def test_more_threads_than_cores() -> None:
    four = run(threads=4)
    (found,) = find(evidence(runs=(four, four), usable_cores=2))
    assert (found.code, found.severity) == ("CA306", "warning")
    assert "4 threads" in found.detail
    assert "2 cores" in found.detail
    assert "--threads 2" in found.hint
    assert codes(runs=(None, four), usable_cores=2) == {"CA306"}
    assert codes(runs=(four, four), usable_cores=4) == set()
    assert codes(runs=(None, None), usable_cores=2) == set()  # nothing was run


def test_collapsed_accuracy() -> None:
    def with_delta(value: float, low: float | None, high: float | None) -> Any:
        delta = msgspec.structs.replace(REPORT.accuracy.top1.delta, value=value, low=low, high=high)
        top1 = msgspec.structs.replace(REPORT.accuracy.top1, delta=delta)
        return msgspec.structs.replace(REPORT.accuracy, top1=top1)

    assert codes(accuracy=with_delta(-0.6, -0.65, -0.55)) == {"CA401"}
    assert codes(accuracy=with_delta(-0.03, -0.05, -0.01)) == set()  # perhaps not two points
    assert codes(accuracy=with_delta(-0.6, None, None)) == set()


def test_outputs_that_are_not_numbers() -> None:
    (found,) = find(evidence(divergence=not_numbers(0, 3)))
    assert (found.code, found.severity) == ("CA402", "error")
    assert "holds 3 values" in found.detail
    assert "the original's none" in found.detail
    (both,) = find(evidence(divergence=not_numbers(2, 3)))
    assert (both.code, both.severity) == ("CA402", "error")
    assert "the original's 2" in both.detail
    assert "without any compression" in both.hint
    (original,) = find(evidence(divergence=not_numbers(2, 0)))
    assert (original.code, original.severity) == ("CA402", "warning")
    assert original.title.startswith("the original's")
    assert "output 'logits' holds 2 values" in original.detail


def test_infinities_that_both_models_agree_on_are_no_finding() -> None:
    """The figures are there: only the elements that differ would have taken them away."""
    assert codes(divergence=not_numbers(5, 5, max_abs_error=0.1)) == set()


def not_numbers(original: int, compressed: int, max_abs_error: float | None = None) -> Any:
    error = msgspec.structs.replace(
        REPORT.divergence.outputs["logits"],
        max_abs_error=max_abs_error,
        nonfinite_original=original,
        nonfinite_compressed=compressed,
    )
    return msgspec.structs.replace(REPORT.divergence, outputs={"logits": error})


def test_the_gravest_comes_first() -> None:
    broken = not_numbers(0, 3)
    found = find(evidence(divergence=broken, never_steady=("original",)))
    assert [finding.severity for finding in found] == ["error", "info"]


def test_compiled_while_it_was_timed() -> None:
    (found,) = find(evidence(recompiled={"original": 3, "compressed": 1}))
    assert (found.code, found.severity) == ("CA205", "warning")
    assert "in 3 of the original model's timed blocks" in found.detail
    assert "in 1 of the compressed model's timed blocks" in found.detail
    assert codes(recompiled={}) == set()


@pytest.mark.parametrize(
    ("time_share", "operators", "ending"),
    [
        (0.25, "NonZero, Shape", " and take 25.0 % of its time: NonZero, Shape"),
        (None, "", "; what share of its time they take is not known"),
    ],
)
def test_a_part_that_fell_back(time_share: float | None, operators: str, ending: str) -> None:
    fallback = Fallback(
        wanted="CUDAExecutionProvider",
        providers=("CPUExecutionProvider",),
        nodes=3,
        total_nodes=8,
        time_share=time_share,
        operators=operators,
    )
    (found,) = find(evidence(fallbacks={"compressed": fallback}))
    assert (found.code, found.severity) == ("CA304", "warning")
    assert found.detail == (
        "of the compressed model 3 of 8 nodes (37.5 %) run on CPUExecutionProvider instead of "
        f"CUDAExecutionProvider{ending}"
    )
