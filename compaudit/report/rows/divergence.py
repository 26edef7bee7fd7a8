"""The wording of divergence: how far the outputs are apart, and what of that is mere rounding."""

from __future__ import annotations

from collections.abc import Iterator

from compaudit.report.rows.base import Cell, Column, Section, interval
from compaudit.results import (
    Distribution,
    Divergence,
    Embeddings,
    EntropyPair,
    Estimate,
    OutputError,
)
from compaudit.units import (
    format_change,
    format_cosine,
    format_count,
    format_number,
    format_share,
)

__all__ = ["divergence_sections"]

_COLUMNS = 8
_NO_SIGNAL_LOST = 0.005
"""A change of the entropy below this is not worth a word."""


def divergence_sections(divergence: Divergence, sure: str) -> tuple[Section, ...]:
    """How far the outputs are apart; `sure` is the confidence, such as ``95 %``."""
    sections = [_outputs(divergence, sure)]
    if divergence.embeddings is not None:
        sections.append(_embeddings(divergence.embeddings, sure))
    return tuple(sections)


def _outputs(divergence: Divergence, sure: str) -> Section:
    """Distributions first, then the numerical error of every output."""
    rows = [*_distributions(divergence), *_agreements(divergence)]
    rows += [_error_row(name, error) for name, error in divergence.outputs.items()]
    columns = (
        Column("", "name"),
        Column("mean"),
        Column("median", drop=3),
        Column("p90", drop=4),
        Column("p99", drop=2),
        Column("p99.9", drop=5),
        Column("max"),
        Column(f"{sure} interval"),
    )
    kept = [
        place
        for place, column in enumerate(columns)
        if not column.drop or any(row[place] for row in rows)
    ]
    return Section(
        _title(divergence),
        tuple(columns[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in rows),
        note=" ".join(sentence for sentence in _remarks(divergence) if sentence),
    )


def _title(divergence: Divergence) -> str:
    source = "SYNTHETIC inputs" if divergence.source == "synthetic" else "the data"
    nats = ""
    if divergence.kl is not None:
        nats = ", in nats a token" if divergence.per == "token" else ", in nats"
    what = "sequences" if divergence.per == "token" else "samples"
    return f"Divergence on {source}, {format_count(divergence.samples)} {what}{nats}"


def _distributions(divergence: Divergence) -> Iterator[tuple[Cell, ...]]:
    named: tuple[tuple[str, Distribution | None], ...] = (
        ("KL(original‖compressed)", divergence.kl),
        ("KL(compressed‖original)", divergence.kl_reverse),
        ("Jensen–Shannon", divergence.js),
    )
    for label, found in named:
        if found is None:
            continue
        figures = (found.mean.value, found.p50, found.p90, found.p99, found.p999, found.max)
        bounds = interval(found.mean, format_number)
        yield (label, *(format_number(figure) for figure in figures), bounds)
    if divergence.entropy is not None:
        yield _row("entropy of the original", format_number(divergence.entropy.original))
        after = format_number(divergence.entropy.compressed)
        yield _row("entropy of the compressed", after, sure=_sureness(divergence.entropy))


def _sureness(entropy: EntropyPair) -> str:
    """Whether the compressed model commits itself more or less than the original."""
    if not entropy.original:
        return ""
    change = entropy.compressed / entropy.original - 1
    if abs(change) < _NO_SIGNAL_LOST:
        return "as sure of itself"
    return f"{format_change(change)}: {'less' if change > 0 else 'more'} sure"


def _agreements(divergence: Divergence) -> Iterator[tuple[Cell, ...]]:
    named: tuple[tuple[str, Estimate | None], ...] = (
        ("top-1 agreement", divergence.top1_agreement),
        ("top-5 agreement", divergence.top5_agreement),
    )
    for label, found in named:
        if found is not None:
            yield _row(label, format_share(found.value), sure=interval(found, format_share))


def _error_row(name: str, error: OutputError) -> tuple[Cell, ...]:
    largest = format_number(error.max_abs_error)
    return _row(f"error of {name}", format_number(error.mean_abs_error), largest, _likeness(error))


def _likeness(error: OutputError) -> str:
    if error.sqnr_db is not None:
        return f"SQNR {format_number(error.sqnr_db)} dB".replace("-", "−")
    if error.max_abs_error is None and error.nonfinite_compressed + error.nonfinite_original:
        count = format_count(error.nonfinite_compressed or error.nonfinite_original)
        whose = "compressed" if error.nonfinite_compressed else "original"
        return f"{count} not numbers in the {whose}"
    return "identical" if error.max_abs_error == 0 else ""


def _remarks(divergence: Divergence) -> Iterator[str]:
    if divergence.scores is not None:
        # Logits go without saying; who meant something else must see it.
        first, second = divergence.scores.original, divergence.scores.compressed
        if first != second:
            yield f"The original's scores were read as {first}, the compressed model's as {second}."
        elif first != "logits":
            yield f"The scores were read as {first}."
    if divergence.kl is not None and divergence.kl.noise_floor is not None:
        floor = format_number(divergence.kl.noise_floor)
        yield f"Noise floor: {floor}, the original against itself without optimisations."
    if divergence.floored:
        count = format_count(divergence.floored)
        yield f"{count} probabilities were exactly zero and count as the smallest number there is."


def _row(label: str, mean: str, largest: str = "", sure: str = "") -> tuple[Cell, ...]:
    return (label, mean, *("",) * (_COLUMNS - 4), largest, sure)


def _embeddings(embeddings: Embeddings, sure: str) -> Section:
    """How alike the vectors are, and whether they still have the same neighbours."""
    quantiles = (
        *(embeddings.cosine_p50, embeddings.cosine_p10, embeddings.cosine_p1),
        embeddings.cosine_min,
    )
    rows: list[tuple[Cell, ...]] = []
    if embeddings.cosine is not None:
        rows.append(
            (
                "cosine",
                format_cosine(embeddings.cosine.value),
                *(format_cosine(value) for value in quantiles),
                interval(embeddings.cosine, format_cosine),
            )
        )
    note = ""
    if embeddings.neighbour_overlap is not None:
        overlap = embeddings.neighbour_overlap
        rows.append(
            (
                f"neighbours kept, of {embeddings.k}",
                format_share(overlap.value),
                *("",) * len(quantiles),
                interval(overlap, format_share),
            )
        )
        note = (
            f"The nearest by cosine among {format_count(embeddings.compared)} samples, for each "
            "model among its own vectors."
        )
    return Section(
        "Embeddings",
        (
            Column("", "name"),
            Column("mean"),
            Column("median", drop=2),
            Column("p10", drop=3),
            Column("p1", drop=1),
            Column("least"),
            Column(f"{sure} interval"),
        ),
        tuple(rows),
        note=note,
    )
