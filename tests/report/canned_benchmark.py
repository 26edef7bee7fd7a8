"""An invented sweep: int8 overtakes float from batch 8 on, and one model takes one sample only."""

import msgspec
from canned import ENVIRONMENT, HEAD, latency, model

from compaudit.measure.latency.crossover import crossovers
from compaudit.results import Benchmark, Delta, SettingResult, TimedModel

NAMES = ("float.onnx", "int8.onnx", "fixed.onnx")
ONE_ONLY = "it takes 1 sample at once and no more"


def delta(value: float, half_width: float, verdict: str) -> Delta:
    return Delta(
        value=value,
        low=value * (1 - half_width),
        high=value * (1 + half_width),
        confidence=0.95,
        verdict=verdict,  # type: ignore[arg-type]
        epochs=6,
        minimal_detectable_effect=0.02,
        noise_floor=0.01,
        cpu_time_ratio=None,
        device_ratio=None,
    )


def timed(name: str, call_s: float, batch: int, speed_up: Delta | None) -> TimedModel:
    times = msgspec.structs.replace(
        latency(call_s), batch_size=batch, throughput_per_s=batch / call_s
    )
    return TimedModel(model=name, latency=times, delta=speed_up, reason="")


def setting(
    batch: int,
    times: tuple[float, float],
    verdict: str,
    *,
    device: str = "cpu",
    threads: int = 1,
    fixed_s: float | None = None,
) -> SettingResult:
    first, second = times
    last = TimedModel(model=NAMES[2], latency=None, delta=None, reason=ONE_ONLY)
    if fixed_s is not None:
        last = timed(NAMES[2], fixed_s, batch, delta(first / fixed_s, 0.02, "faster"))
    return SettingResult(
        device=device,
        threads=threads,
        batch_size=batch,
        models=[
            timed(NAMES[0], first, batch, None),
            timed(NAMES[1], second, batch, delta(first / second, 0.02, verdict)),
            last,
        ],
        used_s=10.0,
    )


SETTINGS = (
    setting(1, (0.001, 0.0012), "slower", fixed_s=0.0009),
    setting(4, (0.0036, 0.0035), "inconclusive"),
    setting(8, (0.0072, 0.0048), "faster"),
    setting(32, (0.029, 0.0145), "faster"),
)


def benchmark(*settings: SettingResult) -> Benchmark:
    shown = settings or SETTINGS
    return Benchmark(
        **HEAD,
        models=[model(name, 1000, 900, 4000, 5000, 0.001) for name in NAMES],
        settings=list(shown),
        crossovers=crossovers(shown),
        skipped=[],
        data=None,
        environment=ENVIRONMENT,
        config={},
    )
