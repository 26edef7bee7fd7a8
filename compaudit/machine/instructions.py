"""Which instructions the processor has, of those that decide how fast a compressed model can be.

An int8 model without VNNI, AMX, dotprod or i8mm multiplies in 16 bits and may be slower than
float32; float16 and bfloat16 without their own instructions are converted to float32 and back.
"""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from pathlib import Path

__all__ = ["INT8", "from_cpuinfo", "from_sysctl", "instruction_sets"]

# What we call it, and what /proc/cpuinfo does: x86 "flags", ARM "Features"
# (Linux: arch/x86/include/asm/cpufeatures.h, Documentation/arch/arm64/elf_hwcaps.rst).
_LINUX = {
    "sse4_1": "sse4_1",
    "avx": "avx",
    "f16c": "f16c",
    "fma": "fma",
    "avx2": "avx2",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512vl": "avx512vl",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "avx512_fp16": "avx512_fp16",
    "avx_vnni": "avx_vnni",
    "avx_vnni_int8": "avx_vnni_int8",
    "amx_tile": "amx_tile",
    "amx_int8": "amx_int8",
    "amx_bf16": "amx_bf16",
    "amx_fp16": "amx_fp16",
    "neon": "asimd",
    "fp16": "asimdhp",
    "dotprod": "asimddp",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
    "sme": "sme",
}

# The same for macOS: names below machdep.cpu (Intel) and hw.optional (Apple's own).
_MACOS = {
    "sse4_1": "SSE4.1",
    "avx": "AVX1.0",
    "f16c": "F16C",
    "fma": "FMA",
    "avx2": "AVX2",
    "avx512f": "AVX512F",
    "avx512bw": "AVX512BW",
    "avx512vl": "AVX512VL",
    "avx512_vnni": "AVX512VNNI",
    "avx512_bf16": "AVX512BF16",
    "neon": "AdvSIMD",
    "fp16": "FEAT_FP16",
    "dotprod": "FEAT_DotProd",
    "i8mm": "FEAT_I8MM",
    "bf16": "FEAT_BF16",
    "sme": "FEAT_SME",
}

INT8 = frozenset(
    {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "dotprod", "i8mm", "sve2"}
)
"""Those that multiply 8-bit integers at more than the speed of wider ones."""


@cache
def instruction_sets() -> frozenset[str]:
    """Lower-case names as above, such as ``avx2`` or ``dotprod``; empty where nothing tells."""
    system = platform.system()
    if system == "Linux":
        try:
            return from_cpuinfo(Path("/proc/cpuinfo").read_text("utf-8", "replace"))
        except OSError:
            return frozenset()
    if system == "Darwin":
        return from_sysctl(_sysctl("machdep.cpu") + _sysctl("hw.optional"))
    return frozenset()


def from_cpuinfo(text: str) -> frozenset[str]:
    """What every processor in the text of /proc/cpuinfo has; cores of one machine may differ."""
    found = [
        set(line.partition(":")[2].split())
        for line in text.splitlines()
        if line.partition(":")[0].strip() in ("flags", "Features")
    ]
    common = set.intersection(*found) if found else set()
    return frozenset(name for name, flag in _LINUX.items() if flag in common)


def from_sysctl(text: str) -> frozenset[str]:
    """The same from the lines ``name: value`` that macOS's sysctl prints."""
    words: set[str] = set()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key in ("machdep.cpu.features", "machdep.cpu.leaf7_features"):
            words |= set(value.split())
        elif key.startswith("hw.optional.") and value.strip() == "1":
            words.add(key.rpartition(".")[2])
    return frozenset(name for name, word in _MACOS.items() if word in words)


def _sysctl(name: str) -> str:
    try:
        return subprocess.run(
            ["sysctl", name], capture_output=True, text=True, check=False, timeout=5
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
