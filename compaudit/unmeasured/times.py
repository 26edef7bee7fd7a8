"""Reasons of latencies and of δ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compaudit.results import Delta, Latency, Skipped

if TYPE_CHECKING:
    from compaudit.pair import Pair, Side

__all__ = ["NO_GPU", "missing_from_delta", "missing_from_latency"]

NO_GPU = "measured on a GPU only"
_NO_ROOM_ON_DEVICE = "the time budget had no room for calls on the device alone"


def missing_from_latency(side: Side, latency: Latency) -> list[Skipped]:
    """A reason for every latency of one model that is null."""
    on_gpu = side.loaded is not None and side.loaded.on_gpu
    reasons = {
        "p90_s": f"{latency.calls} calls were timed, and it takes 64",
        "p99_s": f"{latency.calls} calls were timed, and it takes 662",
        "device_s": _NO_ROOM_ON_DEVICE if on_gpu else NO_GPU,
    }
    return [
        Skipped(metric=f"{side.name}.latency.{key}", reason=reason)
        for key, reason in reasons.items()
        if getattr(latency, key) is None
    ]


def missing_from_delta(delta: Delta, pair: Pair) -> list[Skipped]:
    """A reason for every part of δ that is null."""
    reasons = {
        "low": f"an interval takes 3 epochs, and there was time for {delta.epochs}",
        "high": f"an interval takes 3 epochs, and there was time for {delta.epochs}",
        "minimal_detectable_effect": "there is no interval",
        "noise_floor": "the time budget had no room for the original against itself",
        "cpu_time_ratio": _why_no_cpu_time(pair),
        "device_ratio": _NO_ROOM_ON_DEVICE if pair.on_gpu else NO_GPU,
    }
    return [
        Skipped(metric=f"delta.{key}", reason=reason)
        for key, reason in reasons.items()
        if getattr(delta, key) is None
    ]


def _why_no_cpu_time(pair: Pair) -> str:
    if pair.on_gpu:
        return "a GPU does the work, and processor time says nothing of it"
    if not pair.compares_cpu_time:
        return "compared with one thread only"
    return "the processor clock of this system is too coarse for such short blocks"
