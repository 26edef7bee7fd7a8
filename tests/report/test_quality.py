"""The quality half of the table: every task, every part, at every width."""

from collections.abc import Callable

import canned
import canned_quality
import msgspec
import pytest
from rich.cells import cell_len

from compaudit.report import View, render
from compaudit.results import Comparison, Equivalence
from compaudit.results.quality import ScoreKinds

Golden = Callable[[str, str], None]

AUDITS: dict[str, Callable[[], Comparison]] = {
    "classification": canned_quality.classification,
    "regression": canned_quality.regression,
    "language": canned_quality.language,
    "embedding": canned_quality.embedding,
    "trace": canned_quality.traced,
    "trace-long": canned_quality.traced_long,
}


def shown(report: Comparison, width: int = 100, **view: bool) -> str:
    return render(report, "table", width, view=View(**view)).decode()  # type: ignore[arg-type]


def quality_half(text: str) -> str:
    """Without the sections that other tests keep: what was counted and how fast it is."""
    head, _, rest = text.partition("\n\nSize\n")
    sections = rest.split("\n\n")[1:]
    kept = [part for part in sections if not part.startswith(("Speed", "Layers that"))]
    return "\n\n".join([head, *kept]).rstrip() + "\n"


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("name", AUDITS)
def test_quality_reads_as_a_person_has_seen_it(golden: Golden, name: str, width: int) -> None:
    golden(f"quality-{name}-{width}.txt", quality_half(shown(AUDITS[name](), width)))


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("name", AUDITS)
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    lines = shown(AUDITS[name](), width).splitlines()
    assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize(
    ("original", "compressed", "said"),
    [
        ("logits", "logits", ""),
        ("probabilities", "probabilities", "The scores were read as probabilities."),
        (
            "logits",
            "logits before the softmax",
            "The original's scores were read as logits, the compressed model's as logits before "
            "the softmax.",
        ),
    ],
)
def test_what_the_scores_were_read_as_is_said_where_it_is_not_logits(
    original: str, compressed: str, said: str
) -> None:
    report = canned.comparison()
    scores = ScoreKinds(original=original, compressed=compressed)  # type: ignore[arg-type]
    divergence = msgspec.structs.replace(report.divergence, scores=scores)
    text = " ".join(shown(msgspec.structs.replace(report, divergence=divergence), 200).split())
    assert said in text
    assert ("read as" in text) == bool(said)


def with_equivalence(**fields: object) -> str:
    report = canned_quality.classification()
    equivalence = Equivalence(**({"metric": "top1", "margin": 0.005} | fields))  # type: ignore[arg-type]
    accuracy = msgspec.structs.replace(report.accuracy, equivalence=equivalence)
    return " ".join(shown(msgspec.structs.replace(report, accuracy=accuracy), 200).split())


@pytest.mark.parametrize(
    ("status", "samples", "said"),
    [
        ("no_worse", None, "No more than 0.50 pp worse in top-1: shown."),
        ("worse", None, "No more than 0.50 pp worse in top-1: refuted."),
        ("undecided", 9200, "undecided; about 9,200 samples would decide."),
        ("undecided", None, "undecided, and more samples alone would not decide it."),
    ],
)
def test_equivalence_is_one_sentence(status: str, samples: int | None, said: str) -> None:
    assert said in with_equivalence(status=status, samples=samples)


def test_a_model_that_is_no_worse_is_as_accurate() -> None:
    text = with_equivalence(status="no_worse", samples=None)
    assert (
        "as accurate top-1 −0.60 pp [−1.42, +0.21] pp: no more than 0.50 pp worse, one-sided"
        in text
    )


def test_the_worst_case_has_its_side_and_its_confidence() -> None:
    text = with_equivalence(status="undecided", samples=None)
    assert "The change of top-1 is −1.29 pp at worst (95 %, one-sided)." in text


def test_classes_are_shown_by_name_and_only_where_they_matter() -> None:
    text = shown(canned_quality.classification())
    assert "Classes that changed, 1 of 4" in text
    assert "tench" in text
    assert "goldfish     " not in text.partition("Samples that suffered")[0]


def test_without_a_sure_change_the_three_worst_classes_are_shown() -> None:
    report = canned.comparison()
    classes = [canned.class_accuracy(label, 0.9, 0.9 - 0.01 * label) for label in range(6)]
    accuracy = msgspec.structs.replace(report.accuracy, per_class=classes)
    text = shown(msgspec.structs.replace(report, accuracy=accuracy))
    section = text.partition("Classes that lost most")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in section.splitlines()[3:6]] == ["5", "4", "3"]
    assert "p is corrected for 6 classes." in section


def test_nothing_is_said_of_classes_that_lost_nothing() -> None:
    report = canned.comparison()
    classes = [canned.class_accuracy(label, 0.9, 0.9) for label in range(6)]
    accuracy = msgspec.structs.replace(report.accuracy, per_class=classes)
    assert "Classes" not in shown(msgspec.structs.replace(report, accuracy=accuracy))


def test_samples_that_were_left_out_are_named() -> None:
    text = " ".join(shown(canned_quality.classification(), 200).split())
    assert "validation, 1,000 samples, 9 left out" in text
    assert "9 of 1,000 samples could not be read: hen/750.jpg (cannot be decoded);" in text
    assert "and 6 more" in text
    assert "images: float64 → float32 for the compressed model" in text


def test_made_up_inputs_are_called_so_everywhere() -> None:
    report = canned_quality.regression()
    divergence = msgspec.structs.replace(report.divergence, source="synthetic")
    made_up = canned_quality.data(uri=None, kind="synthetic", labels=None)
    text = shown(msgspec.structs.replace(report, data=made_up, divergence=divergence))
    assert "SYNTHETIC inputs, 400 samples" in text
    assert "Accuracy, 506 SYNTHETIC samples" in text
    assert "Divergence on SYNTHETIC inputs, 506 samples" in text


def test_a_long_trace_is_shown_around_its_break() -> None:
    text = shown(canned_quality.traced_long(), 120)
    for place in (0, 1, 2, 26, 29, 30, 33, 57, 58, 59):
        assert f"features.{place}/" in text
    for place in (3, 25, 34, 56):
        assert f"features.{place}/" not in text
    assert "… 23 more" in text  # 3 to 25, and 34 to 56
    assert "≥ 42.5" in text  # the 26th of them has 45 − 2.5 dB
    assert "60 outputs; --layers shows all." in text
    assert "… 23 more" not in shown(canned_quality.traced_long(), 120, layers=True)


def test_a_trace_tells_identical_from_broken() -> None:
    outputs = [
        canned_quality.traced_output(0, None, identical=True, cosine=1.0, max_abs_error=0.0),
        canned_quality.traced_output(1, None, nonfinite_compressed=5),
        canned_quality.traced_output(2, None),
    ]
    text = shown(canned_quality.comparison(trace=outputs))
    section = text.partition("Where the outputs begin to differ")[2]
    assert [row in section for row in ("identical", "not numbers")] == [True, True]


def test_what_nobody_asked_for_is_not_called_missing() -> None:
    skipped = [
        canned_quality.Skipped(metric="accuracy.language", reason="measured with --task causal-lm")
    ]
    assert "causal-lm" not in shown(canned_quality.comparison(skipped=skipped))


def test_a_trace_that_was_asked_for_and_is_not_there_says_why() -> None:
    skipped = [canned_quality.Skipped(metric="trace", reason="3 outputs have no counterpart")]
    text = " ".join(shown(canned_quality.comparison(skipped=skipped)).split())
    assert "not measured trace (3 outputs have no counterpart)" in text


def test_hostile_names_of_samples_and_classes_are_only_text() -> None:
    report = canned_quality.classification()
    sample = msgspec.structs.replace(report.worst[0], name=canned.HOSTILE_NAME)
    skipped = msgspec.structs.replace(report.data.skipped[0], name=canned.HOSTILE_NAME)  # type: ignore[union-attr]
    classes = [
        msgspec.structs.replace(found, name=canned.HOSTILE_NAME)
        for found in report.accuracy.per_class  # type: ignore[union-attr]
    ]
    hostile = msgspec.structs.replace(
        report,
        worst=[sample],
        data=canned_quality.data(skipped_samples=1, skipped=[skipped]),
        accuracy=msgspec.structs.replace(report.accuracy, per_class=classes),
    )
    text = shown(hostile)
    assert "\x1b" not in text
    assert "\n::error::" not in text


@pytest.mark.parametrize("name", AUDITS)
def test_everything_can_be_said_in_plain_letters(name: str) -> None:
    text = render(AUDITS[name](), "table", 100, encoding="ascii").decode()
    assert text.isascii()
    assert "?" not in text


DISTRIBUTIONS = (
    *("kl", "kl_reverse", "js", "cross_entropy", "entropy"),
    *("top1_agreement", "top5_agreement"),
)


@pytest.mark.parametrize(
    ("name", "shown_as"),
    [("classification", "divergence of distributions"), ("regression", None), ("embedding", None)],
)
def test_distributions_are_missed_together_and_only_where_they_may_be(
    name: str, shown_as: str | None
) -> None:
    skipped = [
        canned_quality.Skipped(metric=f"divergence.{one}", reason="nobody knows")
        for one in DISTRIBUTIONS
    ]
    text = " ".join(shown(msgspec.structs.replace(AUDITS[name](), skipped=skipped)).split())
    assert ("nobody knows" in text) == (shown_as is not None)
    if shown_as is not None:
        assert f"not measured {shown_as} (nobody knows)" in text


def test_negative_figures_have_a_minus() -> None:
    report = canned_quality.regression()
    accuracy = msgspec.structs.replace(
        report.accuracy, r2=canned.metric(-1.6, -1.56, None, None, None)
    )
    text = shown(msgspec.structs.replace(report, accuracy=accuracy))
    assert "−1.60" in text
    assert "-1.60" not in text
