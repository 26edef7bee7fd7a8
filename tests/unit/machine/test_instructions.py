"""Names from real machines: a Sapphire Rapids, an EPYC, a Graviton 3, an M2 and an Intel Mac."""

import platform

import pytest

from compaudit import machine
from compaudit.machine.instructions import INT8, from_cpuinfo, from_sysctl

SAPPHIRE_RAPIDS = (
    "flags\t\t: fpu sse4_1 fma f16c avx avx2 avx512f avx512bw avx512vl avx512_bf16 avx_vnni"
    " amx_bf16 avx512_vnni avx512_fp16 amx_tile amx_int8\n"
)
GRAVITON_3 = (
    "Features\t: fp asimd evtstrm aes atomics fphp asimdhp cpuid asimdrdm asimddp sve svei8mm"
    " svebf16 i8mm bf16 dgh rng\n"
)


def test_an_intel_server() -> None:
    found = from_cpuinfo(f"processor\t: 0\nmodel name\t: x\n{SAPPHIRE_RAPIDS}")
    assert {"avx2", "avx512_vnni", "avx_vnni", "amx_int8", "amx_bf16", "avx512_bf16"} <= found
    assert found & INT8


def test_an_arm_server_has_names_of_its_own() -> None:
    found = from_cpuinfo(GRAVITON_3)
    assert found == {"neon", "fp16", "dotprod", "i8mm", "bf16", "sve"}
    assert found & INT8


def test_a_flag_is_a_word_of_its_own() -> None:
    # svei8mm is not i8mm, avx512bw is not avx.
    assert from_cpuinfo("Features\t: svei8mm svebf16\nflags : avx512bw\n") == frozenset()
    assert from_cpuinfo("flags : avx512bw\n") == {"avx512bw"}


def test_cores_that_differ_have_in_common_what_all_have() -> None:
    assert from_cpuinfo("flags : avx2 avx_vnni\n\nflags : avx2\n") == {"avx2"}


def test_an_old_processor_multiplies_int8_no_faster() -> None:
    assert not from_cpuinfo("flags : sse4_1 avx f16c fma avx2\n") & INT8


def test_an_apple_processor() -> None:
    text = (
        "machdep.cpu.brand_string: Apple M2\nhw.optional.AdvSIMD: 1\n"
        "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 1\n"
        "hw.optional.arm.FEAT_BF16: 1\nhw.optional.arm.FEAT_SME: 0\n"
    )
    assert from_sysctl(text) == {"neon", "dotprod", "i8mm", "bf16"}


def test_an_intel_mac() -> None:
    text = (
        "machdep.cpu.features: FPU VME FMA SSE4.1 AVX1.0 F16C\n"
        "machdep.cpu.leaf7_features: BMI1 AVX2 AVX512F AVX512VNNI\n"
    )
    expected = {"fma", "sse4_1", "avx", "f16c", "avx2", "avx512f", "avx512_vnni"}
    assert from_sysctl(text) == expected


@pytest.mark.skipif(platform.machine() != "x86_64", reason="what every such machine of today has")
def test_this_machine_has_some() -> None:
    assert "avx2" in machine.instruction_sets()


@pytest.mark.parametrize("text", ["", "processor : 0\n", "flags\n"])
def test_what_tells_nothing(text: str) -> None:
    assert from_cpuinfo(text) == frozenset()
    assert from_sysctl(text) == frozenset()
