"""An invented machine that is fine; its figures are chosen, not measured."""

import msgspec
from canned import ENVIRONMENT, HEAD

from compaudit.results import Checkup, Delta, Estimate, Noise

MACHINE = msgspec.structs.replace(
    ENVIRONMENT,
    packages={"numpy": "2.4.6", "onnxruntime": "1.32.0", "torch": "2.13.0"},
    instruction_sets=["avx2", "avx512_vnni", "avx512f"],
    physical_cores=4,
    usable_cores=4,
)

NOISE = Noise(
    model="4 layers of 512 × 512 in float32, 64 samples at once",
    call_s=0.0015,
    threads=3,
    time_budget_s=30.0,
    used_s=28.5,
    delta=Delta(
        value=1.002,
        low=0.991,
        high=1.013,
        confidence=0.95,
        verdict="no_measurable_change",
        epochs=12,
        minimal_detectable_effect=0.016,
        noise_floor=0.018,
        cpu_time_ratio=Estimate(value=1.001, low=0.998, high=1.004),
        device_ratio=None,
    ),
    epoch_spread=0.0173,
    resolvable=0.018,
    steady=True,
)


def checkup(noise: Noise | None = NOISE) -> Checkup:
    """A machine that is fine, after an A/A test."""
    return Checkup(
        **HEAD,
        environment=MACHINE,
        threads=3,
        framework_threads={"onnxruntime": 4, "torch": 4},
        thread_settings={},
        hyperthreads=False,
        memory_limit_bytes=6_000_000_000,
        busy_percent=2.0,
        steal_percent_now=0.0,
        throttled_s=0.0,
        thermal_throttles=None,
        on_battery=None,
        clock_resolution_s=40e-9,
        clock_source="tsc",
        timing_lock="/run/user/1000/compaudit-timing-1000.lock",
        noise=noise,
        advice=[],
    )
