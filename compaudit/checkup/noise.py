"""An A/A test: a built-in model against itself, with the protocol that times real ones."""

from __future__ import annotations

import math
import statistics
import time
from pathlib import Path

from compaudit import interruption, machine
from compaudit.config import DEFAULT_TIME_BUDGET_S
from compaudit.data.base import DataRequest, Feed, SyntheticInput
from compaudit.machine.lock import timing_lock
from compaudit.measure.latency.arms import Subject, open_arms_of
from compaudit.measure.latency.epochs import epoch_values
from compaudit.measure.latency.estimate import estimate_delta, summarise
from compaudit.measure.latency.experiment import Experiment, ModelName, Trace, run_experiment
from compaudit.measure.latency.plan import SENTINEL_SHARE
from compaudit.models.base import RunSettings, Source
from compaudit.models.onnx.builtin import BATCH, DESCRIPTION, INPUT, WIDTH, write_model
from compaudit.progress import Progress
from compaudit.results import Delta, Noise
from compaudit.theory.statistics import MINIMUM_EPOCHS, minimal_detectable_effect
from compaudit.workers.limits import Limits

__all__ = ["measure_noise", "noise_of", "resolvable_effect"]

_CONFIDENCE = 0.95
_RESOLUTION = 0.001
"""So narrow that the whole budget is used."""


def measure_noise(time_budget_s: float, progress: Progress) -> Noise:
    """Time the model against itself.

    Args:
        time_budget_s: seconds for it, the sentinel included.
        progress: told what is going on.

    Raises:
        RequestError: there is no ONNX Runtime.
        MeasurementError: the model died.
    """
    threads = machine.default_threads()
    experiment = Experiment(
        ("original", "compressed"), time_budget_s, _RESOLUTION, _CONFIDENCE, seed=0
    )
    with interruption.temporary_folder("compaudit-") as folder:
        subject = _subject(folder, threads)
        subjects: dict[ModelName, Subject] = {"original": subject, "compressed": subject}
        with timing_lock(
            lambda: progress.stage("waiting for another audit that is timing"), progress.note
        ):
            began = time.monotonic()
            trace = run_experiment(
                experiment,
                open_arms_of(subjects),
                time.monotonic,
                lambda what, share: progress.stage(
                    f"timing a model against itself, {what}", share, (1 - share) * time_budget_s
                ),
            )
            used_s = time.monotonic() - began
    return noise_of(trace, threads, time_budget_s, used_s)


def noise_of(trace: Trace, threads: int, time_budget_s: float, used_s: float) -> Noise:
    """What the timed blocks of two identical models say of the machine. Pure."""
    delta = estimate_delta(trace, _CONFIDENCE, _RESOLUTION, cpu_time=threads == 1)
    values = epoch_values(trace.blocks)
    spread = statistics.stdev(values) if len(values) > 1 else None
    calls = summarise(trace, "original", _CONFIDENCE)
    assert calls is not None, "an experiment times at least one quad"
    return Noise(
        model=DESCRIPTION,
        call_s=calls.median.value,
        threads=threads,
        time_budget_s=time_budget_s,
        used_s=used_s,
        delta=delta,
        epoch_spread=None if spread is None else math.expm1(spread),
        resolvable=_resolvable(delta, spread, used_s, bool(trace.sentinel)),
        steady=not trace.never_steady,
    )


def _resolvable(
    delta: Delta, spread: float | None, used_s: float, with_sentinel: bool
) -> float | None:
    """The smallest change that an audit of the usual time finds, and does not call noise."""
    if spread is None:
        return None
    main_s = used_s * (1 - SENTINEL_SHARE if with_sentinel else 1)
    effect = resolvable_effect(
        spread, main_s / delta.epochs, DEFAULT_TIME_BUDGET_S * (1 - SENTINEL_SHARE)
    )
    return None if effect is None else max(effect, delta.noise_floor or 0.0)


def resolvable_effect(spread: float, epoch_s: float, budget_s: float) -> float | None:
    """The minimal detectable effect of as many epochs as the budget holds, as a share.

    Args:
        spread: standard deviation of log δ between epochs.
        epoch_s: seconds that one epoch takes.
        budget_s: seconds for all of them.

    Returns:
        None where fewer than three epochs fit: then there is no interval.
    """
    epochs = int(budget_s / epoch_s)
    if epochs < MINIMUM_EPOCHS:
        return None
    return minimal_detectable_effect(spread / math.sqrt(epochs), epochs - 1, _CONFIDENCE)


def _subject(folder: Path, threads: int) -> Subject:
    path = folder / "noise.onnx"
    write_model(path)
    return Subject(
        Source("the built-in model", "onnx", path=str(path)),
        RunSettings(threads=threads),
        DataRequest(
            synthetic=(SyntheticInput(INPUT, "float32", (WIDTH,), -1.0, 1.0),), samples=BATCH
        ),
        (Feed(INPUT, INPUT, "float32", None),),
        BATCH,
        Limits(scratch=str(folder)),
    )
