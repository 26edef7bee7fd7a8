"""The columns of a ranking: their names, how cells are written, and what they sort by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from compaudit.errors import RequestError
from compaudit.report.rows.base import Column, Form, format_beta, interval, model_name, plain
from compaudit.report.rows.metrics import Metric, headline, metrics_of
from compaudit.results import Candidate, Estimate, ModelResult, Published, Ranking, Standing
from compaudit.units import (
    NOT_MEASURED,
    format_bytes,
    format_count,
    format_part,
    format_rate,
    format_seconds,
    format_share,
    format_si,
)

__all__ = ["COLUMNS", "RankedColumn", "Row", "columns_of", "refuse_unknown", "rows_of", "sorted_by"]

_DIED = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the original, a candidate beside it, or what a paper says of another.

    Attributes:
        name: in the first column.
        model: its own figures; None where it could not be read.
        candidate: None of the original and of what was published.
        metrics: of the original or of the candidate, by key.
        standing: on the front.
        published: what a paper says; None of what was measured here.
    """

    name: str
    model: ModelResult | None
    candidate: Candidate | None
    metrics: dict[str, tuple[Metric, Estimate]]
    standing: Standing | None
    published: Published | None = None

    @property
    def is_original(self) -> bool:
        """Whether it is what all others are held against."""
        return self.candidate is None and self.published is None

    @property
    def marked_name(self) -> str:
        """The name, with a dagger behind what was not measured here."""
        return self.name if self.published is None else f"{self.name} †"


@dataclass(frozen=True, slots=True)
class RankedColumn:
    """A column that a ranking can have.

    Attributes:
        key: its name for ``--columns`` and ``--sort``.
        column: its heading, and when it gives way.
        cell: what stands in it.
        figure: what it is sorted by; None sorts last.
        descending: the largest is the best.
    """

    key: str
    column: Column
    cell: Callable[[Row], str]
    figure: Callable[[Row], float | str | None]
    descending: bool = True


def rows_of(report: Ranking) -> list[Row]:
    """The original, then every candidate in its order, then what was published."""
    known = next((one.accuracy for one in report.candidates if one.accuracy is not None), None)
    metrics = {} if known is None else {m.key: (m, pair.original) for m, pair in metrics_of(known)}
    place = None if report.front is None else report.front.original
    return [
        Row(model_name(report.original), report.original, None, metrics, place),
        *(
            Row(one.label, one.compressed, one, _metrics(one), one.standing)
            for one in report.candidates
        ),
        *(Row(one.label, None, None, {}, None, one) for one in report.published),
    ]


def columns_of(report: Ranking, wanted: Sequence[str] | None) -> list[RankedColumn]:
    """The columns that were asked for; else those of `COLUMNS` that have something to show.

    Raises:
        RequestError: a name that no column has.
    """
    known = {column.key: column for column in _columns(report)}
    if wanted is not None:
        refuse_unknown("columns", wanted)
        # Of a column that this ranking has no figures for, only the heading is known.
        return [known.get(key) or _empty(key) for key in wanted]
    rows = rows_of(report)
    found = _headline(report)
    has_own = found is not None and found.key in known
    by_default = [
        known[key] for key in known if key not in _ASKED_FOR and not (key == "metric" and has_own)
    ]
    return [
        column
        for column in by_default
        if any(column.cell(row) not in ("", NOT_MEASURED) for row in rows[1:])
    ]


def sorted_by(report: Ranking, key: str | None) -> list[Row]:
    """The rows with the best in this column first, below the original; as they are for None.

    Raises:
        RequestError: a name that no column has.
    """
    rows = rows_of(report)
    if key is None:
        return rows
    refuse_unknown("sort", [key])
    original, *candidates = rows
    if key == "model":
        return [original, *sorted(candidates, key=lambda row: row.name)]
    (column,) = columns_of(report, [key])

    def place(row: Row) -> tuple[bool, float, str]:
        figure = column.figure(row)
        if isinstance(figure, str):
            return False, 0.0, figure
        return figure is None, (-figure if column.descending else figure) if figure else 0.0, ""

    return [original, *sorted(candidates, key=place)]


def refuse_unknown(option: str, keys: Sequence[str]) -> None:
    """Raises RequestError for a name that no column has."""
    import difflib

    for key in keys:
        if key not in COLUMNS and not (option == "sort" and key == "model"):
            close = difflib.get_close_matches(key, COLUMNS, n=1)
            raise RequestError(
                f"--{option} {key!r} is no column of a ranking",
                hint=f"did you mean {close[0]!r}?" if close else f"choose from: {_ALL}",
                code="unknown-column",
            )


# ------------------------------------------------------------------------------------ cells


def _metrics(candidate: Candidate) -> dict[str, tuple[Metric, Estimate]]:
    if candidate.accuracy is None:
        return {}
    return {m.key: (m, pair.compressed) for m, pair in metrics_of(candidate.accuracy)}


def _columns(report: Ranking) -> Iterator[RankedColumn]:
    found = _headline(report)
    if found is not None:
        higher = found.higher_is_better is not False
        yield _metric("metric", found.label, found.key, drop=0, higher=higher)
    yield _metric("top1", "top-1", "top1", drop=0, higher=True)
    yield _metric("top5", "top-5", "top5", drop=9, higher=True)
    yield RankedColumn("delta", Column("δ"), lambda row: format_rate(_delta(row)), _delta)
    yield RankedColumn(
        "interval",
        Column("interval", drop=3),
        lambda row: interval(_delta_of(row), format_rate),
        lambda row: _low(_delta_of(row)),
    )
    yield _rate("alpha.parameters", "α parameters", drop=4)
    yield _rate("alpha.weight_bytes", "α weights", drop=6)
    yield _rate("alpha.file_bytes", "α file", drop=1)
    yield RankedColumn(
        "compression",
        Column("α as published", "line", drop=2),
        _said,
        lambda row: None if row.published is None else row.published.compression,
    )
    yield RankedColumn(
        "beta",
        Column("β file", drop=10),
        lambda row: format_beta(_rate_of(row, "beta.file_bytes")),
        lambda row: _rate_of(row, "beta.file_bytes"),
    )
    yield _of_model("macs", "MACs", format_si, drop=8)
    yield RankedColumn(
        "kl",
        Column("KL", drop=7),
        lambda row: plain(_kl(row)) if _kl(row) is not None else _gap(row),
        _kl,
        descending=False,
    )
    yield RankedColumn(
        "agreement",
        Column("agree", drop=11),
        lambda row: format_part(_agreement(row)) if _agreement(row) is not None else _gap(row),
        _agreement,
    )
    yield _of_model("latency", "latency", format_seconds, drop=12)
    yield _of_model("parameters", "parameters", format_count, drop=13)
    yield _of_model("weight_bytes", "weights", format_bytes, drop=13)
    yield _of_model("file_bytes", "file", format_bytes, drop=13)
    yield RankedColumn(
        "findings", Column("findings", "words", drop=5), _findings, _count_findings, False
    )
    yield RankedColumn("front", Column("front", "line", drop=2), _front, _front)
    yield RankedColumn("verdict", Column("verdict", "line"), _verdict, _verdict)


def _headline(report: Ranking) -> Metric | None:
    """What says most of the task, of the first candidate that it is known of."""
    found = (headline(one.accuracy) for one in report.candidates if one.accuracy is not None)
    return next((pair[0] for pair in found if pair is not None), None)


def _metric(key: str, title: str, name: str, *, drop: int, higher: bool) -> RankedColumn:
    def cell(row: Row) -> str:
        if row.published is not None:
            return format_share(figure(row))
        found = row.metrics.get(name)
        return NOT_MEASURED if found is None else found[0].form(found[1].value)

    def figure(row: Row) -> float | None:
        if row.published is not None:
            published: float | None = getattr(row.published, name, None)
            return published
        found = row.metrics.get(name)
        return None if found is None else found[1].value

    return RankedColumn(key, Column(title, drop=drop), cell, figure, higher)


def _rate(path: str, title: str, *, drop: int) -> RankedColumn:
    def figure(row: Row) -> float | None:
        return _rate_of(row, path)

    column = Column(title, drop=drop)
    return RankedColumn(path, column, lambda row: format_rate(figure(row)), figure)


def _rate_of(row: Row, path: str) -> float | None:
    group, basis = path.split(".")
    if row.is_original:
        return 1.0 if group == "alpha" else 0.0
    if row.published is not None:
        said = row.published.compression if row.published.basis == basis else None
        return said if said is None or group == "alpha" else said - 1
    rates = None if row.candidate is None else getattr(row.candidate, group)
    found: float | None = None if rates is None else getattr(rates, basis)
    return found


def _of_model(key: str, title: str, form: Form, *, drop: int) -> RankedColumn:
    def figure(row: Row) -> float | None:
        if row.published is not None:
            published: float | None = getattr(row.published, key, None)
            return published
        if row.model is None:
            return None
        if key == "macs":
            return None if row.model.macs is None else row.model.macs.total
        if key == "latency":
            timed = row.model.latency
            return None if timed is None or timed.median_s is None else timed.median_s.value
        found: float | None = getattr(row.model, key)
        return found

    return RankedColumn(key, Column(title, drop=drop), lambda row: form(figure(row)), figure, False)


def _delta_of(row: Row) -> Estimate | None:
    return None if row.candidate is None else row.candidate.delta


def _delta(row: Row) -> float | None:
    if row.published is not None:
        return row.published.speedup
    return 1.0 if row.candidate is None else _value(row.candidate.delta)


def _said(row: Row) -> str:
    """A published rate of compression, and of what, where the paper says so."""
    if row.published is None or row.published.compression is None:
        return ""
    basis = row.published.basis
    rate = format_rate(row.published.compression)
    return rate if basis is None else f"{rate} {basis.replace('_', ' ')}"


def _kl(row: Row) -> float | None:
    divergence = None if row.candidate is None else row.candidate.divergence
    return None if divergence is None or divergence.kl is None else divergence.kl.mean.value


def _agreement(row: Row) -> float | None:
    divergence = None if row.candidate is None else row.candidate.divergence
    return None if divergence is None else _value(divergence.top1_agreement)


def _gap(row: Row) -> str:
    """Of the original nothing is missing: it is what the others are held against."""
    return "" if row.is_original else NOT_MEASURED


def _findings(row: Row) -> str:
    found = [] if row.candidate is None else row.candidate.findings
    return " ".join(dict.fromkeys(one.code for one in found if one.severity != "info"))


def _count_findings(row: Row) -> float:
    found = [] if row.candidate is None else row.candidate.findings
    return sum(one.severity != "info" for one in found)


def _front(row: Row) -> str:
    """Words, as not every terminal has signs for it; with a question mark what is not sure."""
    found = row.standing
    if found is None:
        return ""
    if found.sure or not found.on_front:
        return "yes" if found.on_front else "no"
    if found.likely_dominated_by is None:
        return "perhaps"
    return "no?" if found.likely_dominated_by else "yes?"


def _verdict(row: Row) -> str:
    """What became of a candidate, in two words: its failure, its requirements, or its speed."""
    one = row.candidate
    if row.published is not None:
        return "published"
    if one is None:
        return "original"
    if one.error is not None:
        return "died" if one.error.exit == _DIED else "failed"
    if one.gate.status != "none":
        return one.gate.status
    if one.delta is None:
        return ""
    words = {"no_measurable_change": "same speed", "inconclusive": "undecided"}
    return words.get(one.delta.verdict, one.delta.verdict)


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _low(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.low


def _empty(key: str) -> RankedColumn:
    return RankedColumn(key, Column(key), lambda row: NOT_MEASURED, lambda row: None)


_ASKED_FOR = ("latency", "parameters", "weight_bytes", "file_bytes")
COLUMNS = (
    *("top1", "top5", "metric", "delta", "interval"),
    *("alpha.parameters", "alpha.weight_bytes", "alpha.file_bytes", "compression", "beta", "macs"),
    *("kl", "agreement", "latency", "parameters", "weight_bytes", "file_bytes"),
    *("findings", "front", "verdict"),
)
"""Every name that ``--columns`` and ``--sort`` take."""
_ALL = ", ".join(COLUMNS)
