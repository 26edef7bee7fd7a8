"""Each cause on a pair of profiles made for it; the seconds are sums done by hand."""

from typing import Any

import pytest

from compaudit.measure.profile.causes import Circumstances, find_causes
from compaudit.measure.profile.rows import Placed
from compaudit.models.profiled import ExecutedNode, ProfiledRun
from compaudit.results import Cause, Layer

MS = 1e-3
CPU = "CPUExecutionProvider"
AROUND = Circumstances(same_runtime=True, provider=CPU, instruction_sets={"avx2", "avx512_vnni"})


def ran(op: str, milliseconds: float, *types: str, provider: str = CPU) -> ExecutedNode:
    return ExecutedNode(
        name=op, op=op, provider=provider, seconds=milliseconds * MS, calls=1, types=types
    )


def placed(total_ms: float, stored: dict[str, str] | None = None, **rows: Any) -> Placed:
    """Nodes by layer; ``between`` holds those of none."""
    named = {
        "(between layers)" if name == "between" else name: nodes for name, nodes in rows.items()
    }
    nodes = tuple(node for held in named.values() for node in held)
    return Placed(ProfiledRun(runs=1, total_s=total_ms * MS, nodes=nodes), named, stored or {})


def causes(
    before: Placed, after: Placed, layers: tuple[Layer, ...] = (), around: Circumstances = AROUND
) -> dict[str, Cause]:
    found = find_causes(before, after, layers, around)
    assert len({cause.kind for cause in found}) == len(found)
    return {cause.kind: cause for cause in found}


PLAIN = placed(10, conv=[ran("Conv", 8, "float32", "float32")], between=[ran("Relu", 1)])


def test_a_model_beside_itself_has_no_causes() -> None:
    assert causes(PLAIN, PLAIN) == {}


def test_conversions_that_were_not_fused() -> None:
    after = placed(
        14,
        conv=[ran("Conv", 8, "float32", "float32")],
        between=[
            *(ran("Relu", 1), ran("QuantizeLinear", 0.5), ran("DequantizeLinear", 0.5)),
            *(ran("DequantizeLinear", 0.25), ran("Cast", 0.75), ran("Transpose", 2)),
        ],
    )
    found = causes(PLAIN, after)
    assert set(found) == {"quantize_nodes", "cast_nodes", "layout_nodes"}
    assert found["quantize_nodes"].seconds == pytest.approx(1.25 * MS)
    assert found["quantize_nodes"].nodes == 3
    assert "2 DequantizeLinear, 1 QuantizeLinear" in found["quantize_nodes"].detail
    assert found["cast_nodes"].extra_s == pytest.approx(0.75 * MS)
    assert list(found) == ["layout_nodes", "quantize_nodes", "cast_nodes"], "costliest first"


def test_only_what_the_original_does_not_do_as_well_counts_as_extra() -> None:
    before = placed(10, between=[ran("Transpose", 1), ran("Relu", 8)])
    after = placed(10, between=[ran("Transpose", 2), ran("Transpose", 1.5), ran("Relu", 6)])
    layout = causes(before, after)["layout_nodes"]
    assert layout.seconds == pytest.approx(3.5 * MS)
    assert layout.extra_s == pytest.approx(2.5 * MS)
    assert "1 Transpose in the original" in layout.detail


def test_what_takes_less_than_a_hundredth_is_no_cause() -> None:
    after = placed(10, conv=PLAIN.rows["conv"], between=[ran("Relu", 1), ran("Cast", 0.09)])
    assert causes(PLAIN, after) == {}


def test_integer_operators_that_save_nothing() -> None:
    after = placed(10, {"conv": "int8"}, conv=[ran("ConvInteger", 9, "uint8", "int8")])
    cause = causes(PLAIN, after)["integer_operators_no_faster"]
    assert cause.seconds == pytest.approx(9 * MS)
    assert cause.extra_s == pytest.approx(1 * MS)
    assert cause.detail.endswith("1 ConvInteger take 9.00 ms, the original's 1 Conv 8.00 ms: conv")


def test_integer_operators_that_gain_are_no_cause() -> None:
    after = placed(4, {"conv": "int8"}, conv=[ran("QLinearConv", 3, "uint8", "int8")])
    assert causes(PLAIN, after) == {}


def test_layers_are_weighed_together() -> None:
    # One layer a little slower, another far faster: integers do pay here.
    before = placed(20, a=[ran("Conv", 8)], b=[ran("Conv", 8)])
    after = placed(12, a=[ran("QLinearConv", 9)], b=[ran("QLinearConv", 2)])
    assert causes(before, after) == {}


@pytest.mark.parametrize(
    ("stored", "types", "falls_back"),
    [
        ("int8", ("float32", "float32"), True),
        ("float16", ("float32", "float32"), True),
        ("int4", (), True),
        ("float32", ("float32", "float32"), False),
        ("float16", ("float16", "float16"), False),
        ("int8", ("uint8", "int8"), False),
        ("", (), False),
    ],
)
def test_float_operators_with_narrower_weights(
    stored: str, types: tuple[str, ...], falls_back: bool
) -> None:
    after = placed(10, {"conv": stored}, conv=[ran("Conv", 8, *types)], between=[ran("Relu", 1)])
    found = causes(PLAIN, after)
    assert set(found) == ({"float_fallback"} if falls_back else set())
    if falls_back:
        assert found["float_fallback"].seconds == pytest.approx(8 * MS)
        assert found["float_fallback"].extra_s == 0
        assert f"stored as {stored}" in found["float_fallback"].detail


def test_another_kernel_that_is_slower() -> None:
    before = placed(10, conv=[ran("nchwc.Conv", 8, "float32", "float32")])
    after = placed(12, conv=[ran("Conv", 10, "float32", "float32")])
    cause = causes(before, after)["slower_float_operators"]
    assert cause.extra_s == pytest.approx(2 * MS)
    assert "1 nchwc.Conv" in cause.detail


def test_the_same_kernel_is_only_called_slower_beyond_what_two_runs_differ() -> None:
    before = placed(10, conv=[ran("Conv", 8, "float32", "float32")])
    assert causes(before, placed(12, conv=[ran("Conv", 9, "float32", "float32")])) == {}
    assert "slower_float_operators" in causes(
        before, placed(20, conv=[ran("Conv", 16, "float32", "float32")])
    )


def factorized(name: str) -> Layer:
    return Layer(
        name=name,
        op="Conv",
        original=None,
        compressed=None,
        change="factorized",
        matched_by="name",
        weight_sqnr_db=None,
        weights_equal=None,
        note="",
    )


def test_factors_that_take_as_long_as_the_whole() -> None:
    after = placed(11, conv=[ran("Conv", 4.5), ran("Conv", 4)], between=[ran("Relu", 1)])
    cause = causes(PLAIN, after, (factorized("conv"),))["factorized_layers"]
    assert (cause.nodes, cause.extra_s) == (2, pytest.approx(0.5 * MS))
    gain = placed(6, conv=[ran("Conv", 2), ran("Conv", 2)], between=[ran("Relu", 1)])
    assert causes(PLAIN, gain, (factorized("conv"),)) == {}


def test_more_small_operators() -> None:
    after = placed(
        13,
        conv=PLAIN.rows["conv"],
        between=[ran("Relu", 1), ran("Mul", 1), ran("Mul", 0.5), ran("Add", 0.5)],
    )
    cause = causes(PLAIN, after)["added_nodes"]
    assert cause.detail == "3 more operators around the layers: 2 Mul, 1 Add"
    assert cause.extra_s == pytest.approx(2 * MS)


def test_operators_of_two_runtimes_are_not_counted_against_one_another() -> None:
    after = placed(13, conv=[ran("aten::conv2d", 8)], between=[ran("aten::relu", 1)] * 4)
    around = Circumstances(same_runtime=False, provider=CPU, instruction_sets=())
    assert causes(PLAIN, after, around=around) == {}


def test_a_processor_without_int8_products() -> None:
    after = placed(10, {"conv": "int8"}, conv=[ran("QLinearConv", 4)], between=[ran("Relu", 1)])
    old = Circumstances(same_runtime=True, provider=CPU, instruction_sets={"avx2", "fma"})
    cause = causes(PLAIN, after, around=old)["no_int8_instructions"]
    assert cause.seconds == pytest.approx(4 * MS)
    assert cause.extra_s is None
    assert "has avx2 but no int8 products" in cause.detail
    assert causes(PLAIN, after) == {}, "with VNNI"
    unknown = Circumstances(same_runtime=True, provider=CPU, instruction_sets=())
    assert causes(PLAIN, after, around=unknown) == {}, "nothing is claimed of an unknown processor"


def test_weight_only_operators_need_no_int8_products() -> None:
    old = Circumstances(same_runtime=True, provider=CPU, instruction_sets={"avx2"})
    after = placed(10, {"conv": "int4"}, conv=[ran("MatMulNBits", 4)])
    assert causes(PLAIN, after, around=old) == {}


def test_what_runs_elsewhere_than_it_should() -> None:
    cuda = Circumstances(same_runtime=True, provider="CUDA", instruction_sets=())
    before = placed(10, conv=[ran("Conv", 8, provider="CUDA")])
    after = placed(
        14,
        conv=[ran("Conv", 8, provider="CUDA")],
        between=[ran("MemcpyToHost", 1, provider="CUDA"), ran("NonZero", 3)],
    )
    found = causes(before, after, around=cuda)
    assert set(found) == {"transfers", "other_provider"}
    assert found["other_provider"].extra_s == pytest.approx(3 * MS)
    assert found["transfers"].extra_s == pytest.approx(1 * MS)


def test_no_second_is_extra_twice() -> None:
    after = placed(
        20,
        {"conv": "int8"},
        conv=[ran("ConvInteger", 9, "uint8", "int8")],
        between=[ran("Relu", 2), ran("Mul", 1), ran("Cast", 1), ran("DynamicQuantizeLinear", 2)],
    )
    found = causes(PLAIN, after)
    more = sum(n.seconds for n in after.run.nodes) - sum(n.seconds for n in PLAIN.run.nodes)
    assert sum(cause.extra_s or 0 for cause in found.values()) == pytest.approx(more)
