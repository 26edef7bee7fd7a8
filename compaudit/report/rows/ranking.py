"""The page of a ranking: the table, which candidate to choose, and what is to be known of each."""

from __future__ import annotations

from compaudit.report.rows.base import Column, Mood, Note, Page, Section, interval, model_name
from compaudit.report.rows.checks import check_notes
from compaudit.report.rows.data import data_notes, described
from compaudit.report.rows.findings import finding_note
from compaudit.report.rows.front import about_front, front_notes
from compaudit.report.rows.ranking_columns import columns_of, sorted_by
from compaudit.report.view import View
from compaudit.results import (
    Best,
    Candidate,
    Estimate,
    Finding,
    Ranking,
)
from compaudit.units import (
    NOT_MEASURED,
    format_count,
    format_number,
    format_rate,
)

__all__ = ["SURVEY_HEADS", "in_words", "ranking_page", "survey_rows"]

_DIED = 4
_DAGGER = "† Published, not measured here."
SURVEY_HEADS = ("Model", "TOP-5 Accuracy", "Speed-up", "Compression Rate")
"""The heads of the tables of Cheng et al. 2017, arXiv 1710.09282."""


def ranking_page(report: Ranking, view: View) -> Page:
    """The page of a ranking."""
    several = format_count(len(report.candidates))
    what = "1 candidate" if len(report.candidates) == 1 else f"{several} candidates"
    return Page(
        title=f"{model_name(report.original)} and {what}",
        subtitle=_conditions(report),
        verdict=_verdict(report),
        sections=(_survey(report, view) if view.survey else _table(report, view),),
        findings=_findings(report),
        checks=_checks(report),
        footnotes=(
            *_left_out(report),
            *_published(report),
            *data_notes(report.data),
            *_not_measured(report),
        ),
        tables_first=True,
    )


def survey_rows(report: Ranking, view: View) -> list[tuple[str, str, str, str]]:
    """The survey's four figures of every model, the original first."""
    top5, delta, alpha = columns_of(report, ("top5", "delta", "alpha.parameters"))
    return [
        (
            row.marked_name,
            top5.cell(row),
            delta.cell(row),
            alpha.cell(row) if row.published is None else format_rate(row.published.compression),
        )
        for row in sorted_by(report, view.ranked_by)
    ]


# ----------------------------------------------------------------------------------- tables


def _table(report: Ranking, view: View) -> Section:
    columns = columns_of(report, view.columns)
    rows = sorted_by(report, view.ranked_by)
    return Section(
        "Ranking",
        (Column("model", "name", least=20), *(column.column for column in columns)),
        tuple((row.marked_name, *(column.cell(row) for column in columns)) for row in rows),
        note=_about(report, [column.key for column in columns]),
    )


def _survey(report: Ranking, view: View) -> Section:
    first, *others = SURVEY_HEADS
    return Section(
        "As in the survey's tables",
        (Column(first, "name", least=20), *(Column(title) for title in others)),
        tuple(survey_rows(report, view)),
        note="Speed-up is δ as measured here; the compression rate is α of all parameters."
        + (f" {_DAGGER} What their rates count, the papers say." if report.published else ""),
    )


def _about(report: Ranking, shown: list[str]) -> str:
    """What the figures of the columns are of, where their headings cannot say it."""
    parts = [_DAGGER] if report.published else []
    sure = next((one.delta.confidence for one in report.candidates if one.delta), None)
    if sure is not None and "interval" in shown:
        parts.append(f"Intervals of δ are of {sure * 100:.4g} %.")
    if report.front is not None and "front" in shown:
        parts.append(about_front(report, report.front))
    return " ".join(parts)


# ------------------------------------------------------------------------------------ notes


def _conditions(report: Ranking) -> str:
    parts = [described(report.data)] if report.data is not None else []
    timed = report.original.latency
    if timed is not None:
        threads = "1 thread" if timed.threads == 1 else f"{timed.threads} threads"
        parts.append(f"{timed.device}, {threads}, batch {timed.batch_size}")
        epochs = max((one.delta.epochs for one in report.candidates if one.delta), default=0)
        parts.append(f"{epochs} epoch{'s' if epochs != 1 else ''} of all in turns")
    return " · ".join(parts)


def _verdict(report: Ranking) -> tuple[Note, ...]:
    notes = []
    if report.error is not None:
        label = "died" if report.error.exit == _DIED else "refused"
        notes.append(Note(label, report.error.message, report.error.hint, "bad"))
    if report.best is not None:
        notes.append(_best(report.best))
    notes += front_notes(report)
    failed = [one for one in report.candidates if one.error is not None]
    notes += [_failed(one) for one in failed if one.error != report.error]
    return tuple(notes)


def in_words(best: Best) -> str:
    """Which candidate was chosen, and whether it is surely the best; or why none was."""
    if best.status != "found":
        return f"{best.wanted}: {best.reason}"
    text = f"{best.label}: {best.wanted}, {_figure(best.value)}"
    if best.second is None:
        return f"{text}, the only one to choose from"
    surely = "surely" if best.surely_better else "not surely"
    return f"{text}; {surely} better than {best.second}, {_figure(best.second_value)}"


def _best(best: Best) -> Note:
    moods: dict[str, Mood] = {"found": "good", "undecided": "warning", "none": "bad"}
    label = "best" if best.status == "found" else "no choice"
    return Note(label, in_words(best), mood=moods[best.status])


def _figure(estimate: Estimate | None) -> str:
    if estimate is None:
        return NOT_MEASURED
    return f"{format_number(estimate.value)} {interval(estimate, format_number)}".rstrip()


def _failed(candidate: Candidate) -> Note:
    assert candidate.error is not None
    label = "died" if candidate.error.exit == _DIED else "failed"
    text = candidate.error.message
    if candidate.label not in text:
        text = f"{candidate.label}: {text}"
    return Note(label, text, candidate.error.hint, "bad")


def _findings(report: Ranking) -> tuple[Note, ...]:
    """Every finding once, with those that it is of."""
    found: dict[tuple[str, str], tuple[Finding, list[str]]] = {}
    for one in report.candidates:
        for finding in one.findings:
            key = finding.code, finding.title
            found.setdefault(key, (finding, []))[1].append(one.label)
    notes = []
    for finding, labels in sorted(found.values(), key=lambda item: item[0].code):
        of_all = len(labels) == len(report.candidates) > 1
        whose = "all candidates" if of_all else ", ".join(dict.fromkeys(labels))
        detail = f": {finding.detail}" if len(labels) == 1 else ""
        notes.append(finding_note(finding, f" ({whose}){detail}"))
    return tuple(notes)


def _checks(report: Ranking) -> tuple[Note, ...]:
    return tuple(
        Note(note.label, f"{one.label}: {note.text}", note.hint, note.mood)
        for one in report.candidates
        for note in check_notes(one.gate)
    )


def _left_out(report: Ranking) -> tuple[Note, ...]:
    return tuple(Note("left out", f"{one.path}: {one.reason}") for one in report.left_out)


def _published(report: Ranking) -> tuple[Note, ...]:
    """That these rows were not measured here, and whose they are."""
    if not report.published:
        return ()
    sources: dict[str, list[str]] = {}
    for one in report.published:
        sources.setdefault(one.source, []).append(one.label)
    whose = "; ".join(
        f"{', '.join(labels)}: {source or 'no source given'}" for source, labels in sources.items()
    )
    return (Note("† published", f"other data and other machines. {whose}"),)


def _not_measured(report: Ranking) -> tuple[Note, ...]:
    """What no candidate has, and why; of single candidates the JSON report tells."""
    by_reason: dict[str, list[str]] = {}
    for skipped in report.skipped:
        by_reason.setdefault(skipped.reason, []).append(skipped.metric)
    return tuple(
        Note("not measured", f"{', '.join(metrics)} ({reason})")
        for reason, metrics in by_reason.items()
    )
