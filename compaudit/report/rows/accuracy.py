"""The wording of accuracy: every metric of both models, what changed, and how sure that is."""

from __future__ import annotations

from compaudit.report.rows.base import Cell, Column, Section, columns, interval, p_value
from compaudit.report.rows.metrics import headline, metric_named, metrics_of
from compaudit.results import Accuracy, Equivalence, Flips, LanguageModel
from compaudit.units import format_about, format_count, format_points, format_ratio, format_share

__all__ = ["accuracy_sections", "margin"]


def accuracy_sections(accuracy: Accuracy, sure: str, *, counted_as: str) -> tuple[Section, ...]:
    """Every metric of both, and what only language models have.

    Args:
        accuracy: what was measured.
        sure: the confidence, such as ``95 %``.
        counted_as: what the samples are, such as ``labelled samples``.
    """
    rows: list[tuple[Cell, ...]] = [
        (
            metric.label,
            metric.form(pair.original.value),
            metric.form(pair.compressed.value),
            metric.change(pair.delta.value),
            interval(pair.delta, metric.change),
            p_value(pair.delta.p_value),
        )
        for metric, pair in metrics_of(accuracy)
    ]
    if accuracy.language is not None:
        rows += _token_rows(accuracy.language)
    if accuracy.flips is not None:
        rows.append(_flips_row(accuracy.flips))
    table = Section(
        f"Accuracy, {_counted(accuracy, counted_as)}",
        (
            *columns("", "original", "compressed", "change", f"{sure} interval"),
            Column("p", drop=1),
        ),
        tuple(rows),
        note=" ".join(
            sentence
            for sentence in (_worst_case(accuracy, sure), _equivalence(accuracy))
            if sentence
        ),
    )
    if accuracy.language is None:
        return (table,)
    return table, _probabilities(accuracy.language)


def _worst_case(accuracy: Accuracy, sure: str) -> str:
    """What the headline metric loses at most; nothing where no bound is known."""
    found = headline(accuracy)
    if found is None or found[1].delta.worst_case is None:
        return ""
    metric, pair = found
    change = metric.change(pair.delta.worst_case)
    return f"The change of {metric.label} is {change} at worst ({sure}, one-sided)."


def _equivalence(accuracy: Accuracy) -> str:
    """Whether it is no worse by more than the margin, or how many samples would tell."""
    found = accuracy.equivalence
    if found is None:
        return ""
    claim = f"No more than {margin(accuracy, found)} worse in {_label(accuracy, found)}"
    match found.status:
        case "no_worse":
            return f"{claim}: shown."
        case "worse":
            return f"{claim}: refuted."
        case "undecided":
            if found.samples is None:
                return f"{claim}: undecided, and more samples alone would not decide it."
            return f"{claim}: undecided; about {format_about(found.samples)} samples would decide."


def margin(accuracy: Accuracy, equivalence: Equivalence) -> str:
    """The margin of an equivalence, in the unit of its metric: ``0.50 pp``."""
    if "ratio" in equivalence.metric:
        return format_share(equivalence.margin, 1)
    return metric_named(accuracy, equivalence.metric).change(equivalence.margin).lstrip("+")


def _label(accuracy: Accuracy, equivalence: Equivalence) -> str:
    if "ratio" in equivalence.metric:
        return "perplexity"
    return metric_named(accuracy, equivalence.metric).label


def _counted(accuracy: Accuracy, counted_as: str) -> str:
    if accuracy.language is not None:
        tokens, sequences = accuracy.language.tokens, accuracy.language.sequences
        return f"{format_count(tokens)} tokens in {format_count(sequences)} sequences"
    return f"{format_count(accuracy.samples)} {counted_as}"


def _flips_row(flips: Flips) -> tuple[Cell, ...]:
    both = format_count(flips.broken + flips.fixed)
    broken, fixed = format_count(flips.broken), format_count(flips.fixed)
    return ("flips", f"{broken} broken", f"{fixed} fixed", both, "", "")


def _token_rows(language: LanguageModel) -> list[tuple[Cell, ...]]:
    ratio, change = language.perplexity_ratio, language.probability_change
    return [
        (
            "perplexity ratio",
            *("", ""),
            format_ratio(ratio.value),
            interval(ratio, format_ratio),
            "",
        ),
        (
            "p(next token)",
            *("", ""),
            format_points(change.mean.value),
            interval(change.mean, format_points),
            "",
        ),
    ]


def _probabilities(language: LanguageModel) -> Section:
    """How the right token's probability changed, over the tokens."""
    change = language.probability_change
    spread = (change.min, change.p1, change.p5, change.p50, change.p95, change.p99, change.max)
    return Section(
        "Change of the next token's probability, in percentage points",
        columns("", "RMS", "least", "p1", "p5", "median", "p95", "p99", "most"),
        (
            (
                "over all tokens",
                _points(change.rms.value).lstrip("+"),
                *(_points(value) for value in spread),
            ),
        ),
        note=""
        if language.correlation is None
        else f"Both models' log-likelihoods of the next token correlate at "
        f"{language.correlation:.4f}.",
    )


def _points(share: float) -> str:
    return format_points(share).removesuffix(" pp")
