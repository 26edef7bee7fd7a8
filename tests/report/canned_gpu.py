"""The invented audit on a GPU: end to end 1.25 times as fast, on the device alone twice."""

import canned
import msgspec

from compaudit.results import Comparison, Latency, ModelResult


def comparison() -> Comparison:
    report = canned.comparison()
    delta = msgspec.structs.replace(
        report.delta,
        value=1.25,
        low=1.22,
        high=1.28,
        cpu_time_ratio=None,
        device_ratio=canned.estimate(2.0, 1.98, 2.02),
    )
    return msgspec.structs.replace(
        report,
        original=_on_gpu(
            report.original, 0.001, 0.0004, 512_000_000, tensor_cores="0", cpu_nodes=2
        ),
        compressed=_on_gpu(report.compressed, 0.0008, 0.0002, 256_000_000, tensor_cores="1"),
        delta=delta,
    )


def _on_gpu(
    model: ModelResult,
    median: float,
    on_device: float,
    device_bytes: int,
    *,
    tensor_cores: str,
    cpu_nodes: int = 0,
) -> ModelResult:
    nodes = {"CUDAExecutionProvider": 120, "CPUExecutionProvider": cpu_nodes}
    used = {name: count for name, count in nodes.items() if count}
    latency: Latency = msgspec.structs.replace(
        canned.latency(median),
        p99_s=median * 1.5,
        device_s=canned.estimate(on_device, on_device * 0.99, on_device * 1.01),
        calls=3_000,
        device="cuda",
        providers=list(used),
        nodes_by_provider=used,
        settings={"graph_optimization_level": "all", "use_tf32": tensor_cores},
    )
    return msgspec.structs.replace(model, peak_device_memory_bytes=device_bytes, latency=latency)
