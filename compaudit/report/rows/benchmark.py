"""The wording of models timed at several settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from compaudit.report.rows.base import Bar, Cell, Column, Note, Page, Section, interval
from compaudit.results import Benchmark, Crossover, SettingResult, TimedModel
from compaudit.units import (
    NOT_MEASURED,
    format_count,
    format_number,
    format_rate,
    format_seconds,
)

__all__ = ["axis_of", "benchmark_page", "crossover_text", "line_name"]

_AXES = (("device", "device"), ("threads", "threads"), ("batch_size", "batch"))


def benchmark_page(report: Benchmark) -> Page:
    """The page of ``compaudit bench``."""
    names = [one.model for one in report.settings[0].models]
    return Page(
        title=", ".join(names),
        subtitle=_subtitle(report),
        verdict=(*_crossovers(report), *_fastest(report)),
        sections=(_table(report),),
        findings=(),
        checks=(),
        footnotes=tuple(_missing(report)),
    )


def crossover_text(one: Crossover) -> str:
    """``a.onnx is faster than b.onnx from batch 8 on (cpu, 1 thread)``."""
    start = f"batch {one.start}" if one.axis == "batch_size" else _threads(one.start)
    told = f"{one.subject} is {one.direction} than {one.reference}"
    if one.model is not None:
        told += f" for {one.model}"
    told += f" from {start} on"
    if one.undecided:
        told += f", undecided at {' and '.join(map(str, one.undecided))}"
    return f"{told} ({_rest(one)})"


def axis_of(report: Benchmark) -> Literal["batch_size", "threads"] | None:
    """What a curve goes along: batch sizes, else threads; None where neither varies."""
    varying = _varying(report)
    if "batch_size" in varying:
        return "batch_size"
    return "threads" if "threads" in varying else None


def line_name(model: str, setting: SettingResult, report: Benchmark, axis: str) -> str:
    """A model with those of its settings that vary, but for the axis: ``a.onnx, 2 threads``."""
    texts = _texts(setting)
    return ", ".join([model, *(texts[name] for name in _varying(report) if name != axis)])


def _texts(setting: SettingResult) -> dict[str, str]:
    return {
        "device": setting.device,
        "threads": _threads(setting.threads),
        "batch_size": f"batch {setting.batch_size}",
    }


def _rest(one: Crossover) -> str:
    batch = None if one.batch_size is None else f"batch {one.batch_size}"
    threads = None if one.threads is None else _threads(one.threads)
    return ", ".join(part for part in (one.device, threads, batch) if part)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _subtitle(report: Benchmark) -> str:
    """What was fed, and what of the settings is the same throughout."""
    data = report.data
    fed = "SYNTHETIC inputs" if data is None or data.uri is None else data.uri
    texts = _texts(report.settings[0])
    constant = [text for name, text in texts.items() if name not in _varying(report)]
    return " · ".join([fed, *([", ".join(constant)] if constant else [])])


def _varying(report: Benchmark) -> list[str]:
    return [name for name, _ in _AXES if len({getattr(one, name) for one in report.settings}) > 1]


def _crossovers(report: Benchmark) -> Iterator[Note]:
    for one in report.crossovers:
        yield Note("crossover", crossover_text(one))


def _fastest(report: Benchmark) -> Iterator[Note]:
    """For each model the setting with the highest throughput, where there are several."""
    if len(report.settings) < 2:
        return
    for place, name in enumerate(model.model for model in report.settings[0].models):
        timed = [(_throughput(one.models[place]), one) for one in report.settings]
        most, where = max(timed, key=lambda pair: pair[0])
        if most > 0:
            yield Note("fastest", f"{name}: {_per_second(most)} at {_setting(where, report)}")


def _setting(one: SettingResult, report: Benchmark) -> str:
    texts = _texts(one)
    return ", ".join(texts[name] for name in _varying(report))


def _throughput(timed: TimedModel) -> float:
    return (timed.latency.throughput_per_s if timed.latency else None) or 0.0


def _per_second(rate: float) -> str:
    return f"{format_count(rate) if rate >= 100 else format_number(rate)} samples/s"


def _table(report: Benchmark) -> Section:
    several = len(report.models) > 1
    varying = _varying(report)
    titles = [title for name, title in _AXES if name in varying]
    most = max(_throughput(timed) for one in report.settings for timed in one.models) or 1.0
    columns = [Column(title, "name" if title == "device" else "figure") for title in titles]
    if several or not columns:
        columns.append(Column("model", "name"))
    columns += [
        Column("latency, median"),
        Column("p99", drop=3),
        Column("samples/s"),
        Column("", "bar", drop=4),
    ]
    if several:
        columns += [Column("δ"), Column("how sure", "words", drop=1)]
    rows = []
    before: tuple[str, ...] = ()
    for one in report.settings:
        for timed in one.models:
            setting = tuple(str(getattr(one, name)) for name in varying)
            cells: list[Cell] = ["" if setting == before else text for text in setting]
            before = setting
            if several or not varying:
                cells.append(timed.model)
            cells += _times(timed, most)
            if several:
                cells += _speed_up(timed, is_first=timed is one.models[0])
            rows.append(tuple(cells))
    return Section("Speed", tuple(columns), tuple(rows), note=_per_inference(report))


def _times(timed: TimedModel, most: float) -> Sequence[Cell]:
    latency = timed.latency
    if latency is None:
        return [NOT_MEASURED, NOT_MEASURED, NOT_MEASURED, Bar(0.0)]
    rate = latency.throughput_per_s
    return [
        format_seconds(latency.median_s.value if latency.median_s else None),
        format_seconds(latency.p99_s),
        NOT_MEASURED if rate is None else _per_second(rate).removesuffix(" samples/s"),
        Bar(_throughput(timed) / most),
    ]


def _speed_up(timed: TimedModel, *, is_first: bool) -> Sequence[str]:
    if is_first:
        return ["", ""]
    delta = timed.delta
    if delta is None:
        return [NOT_MEASURED, ""]
    sure = interval(delta, format_rate) or "no interval"
    verdict = delta.verdict.replace("_", " ")
    return [format_rate(delta.value), f"{sure} {verdict}"]


def _per_inference(report: Benchmark) -> str:
    sizes = {one.batch_size for one in report.settings}
    return "" if sizes == {1} else "The latency is that of a whole batch."


def _missing(report: Benchmark) -> Iterator[Note]:
    """Why models have no times, each reason once with where it holds."""
    places: dict[tuple[str, str], list[SettingResult]] = {}
    for one in report.settings:
        for timed in one.models:
            if timed.reason:
                places.setdefault((timed.model, timed.reason), []).append(one)
    for (model, reason), settings in places.items():
        where = "" if len(settings) == len(report.settings) else _at(settings, report)
        yield Note("not measured", f"{model}{where}: {reason}", mood="warning")


def _at(settings: Sequence[SettingResult], report: Benchmark) -> str:
    return " at " + "; ".join(_setting(one, report) for one in settings)
