"""The language of requirements: what each means, and what is refused with which hint."""

import pytest

from compaudit.errors import ExitCode, RequestError
from compaudit.gate import parse_requirement
from compaudit.gate.requirement import Reference, Tolerance


def limit(text: str) -> float:
    found = parse_requirement(text).limit
    assert isinstance(found, float)
    return found


def reference(text: str) -> Reference:
    found = parse_requirement(text).limit
    assert isinstance(found, Reference)
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("compressed.file_bytes <= 25 MB", 25e6),
        ("compressed.file_bytes <= 25MiB", 25 * 1024 * 1024),
        ("compressed.latency.p99_s <= 12 ms", 0.012),
        ("compressed.latency.median_s <= 750 µs", 0.00075),
        ("compressed.latency.median_s <= 750 \u03bcs", 0.00075),  # the Greek letter
        ("accuracy.top1.delta >= -0.5 pp", -0.005),
        ("accuracy.top1.delta >= −0.5 pp", -0.005),
        ("space_saving.file_bytes >= 70 %", 0.7),
        ("alpha.file_bytes >= 3.5x", 3.5),
        ("alpha.file_bytes ≥ 3.5×", 3.5),
        ("compressed.macs.total <= 160 M", 160e6),
        ("compressed.parameters <= 1.5 k", 1500),
        ('divergence.outputs["logits"].sqnr_db >= 30 dB', 30),
        ("compressed.latency.throughput_per_s >= 1000", 1000),
        ("delta>=1.2", 1.2),
    ],
)
def test_numbers_and_units(text: str, value: float) -> None:
    assert limit(text) == pytest.approx(value, rel=1e-12)


def test_severity_and_message_are_no_part_of_the_text() -> None:
    wanted = parse_requirement("  warn:  delta >= 1.2   # phones: ask Ada # really ")
    assert wanted.text == "delta >= 1.2"
    assert (wanted.severity, wanted.message) == ("warn", "phones: ask Ada # really")
    plain = parse_requirement("delta >= 1.2")
    assert (plain.severity, plain.message) == ("fail", "")
    assert parse_requirement("fail: delta >= 1.2") == plain


def test_names_may_hold_what_the_language_is_made_of() -> None:
    wanted = parse_requirement('divergence.outputs["a >= b # c: d"].cosine >= 0.9 # yes')
    assert wanted.path == ("divergence", "outputs", "a >= b # c: d", "cosine")
    assert wanted.message == "yes"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("delta >= baseline", Reference(("delta",), True, 1.0, 1, ())),
        (
            "delta >= baseline - 2 %",
            Reference(("delta",), True, 1.0, -1, (Tolerance(0.02, True),)),
        ),
        (
            "delta >= baseline.delta.low - 0.1 # why",
            Reference(("delta", "low"), True, 1.0, -1, (Tolerance(0.1, False),)),
        ),
        (
            "accuracy.top1.compressed >= baseline - 0.5 pp",
            Reference(
                ("accuracy", "top1", "compressed"), True, 1.0, -1, (Tolerance(0.005, False),)
            ),
        ),
        (
            "compressed.file_bytes <= baseline + max(2 %, 10 kB)",
            Reference(
                ("compressed", "file_bytes"),
                True,
                1.0,
                1,
                (Tolerance(0.02, True), Tolerance(10e3, False)),
            ),
        ),
        (
            "compressed.latency.median_s <= 0.8 * original.latency.median_s",
            Reference(("original", "latency", "median_s"), False, 0.8, 1, ()),
        ),
        (
            "compressed.file_bytes <= 30 % * original.file_bytes + 1 kB",
            Reference(("original", "file_bytes"), False, 0.3, 1, (Tolerance(1000.0, False),)),
        ),
    ],
)
def test_limits_made_from_other_figures(text: str, expected: Reference) -> None:
    assert reference(text) == expected
    assert parse_requirement(text).needs_baseline is expected.baseline
    assert parse_requirement(text).text == text.partition(" #")[0]


@pytest.mark.parametrize(
    ("text", "figure", "expected"),
    [
        ("delta >= baseline - 2 %", 2.0, 1.96),
        ("delta >= 0.5 * baseline + 0.1", 2.0, 1.1),
        # 2 % of 100 kB are 2 kB: the absolute one is larger; of 1 MB they are 20 kB.
        ("compressed.file_bytes <= baseline + max(2 %, 10 kB)", 100e3, 110e3),
        ("compressed.file_bytes <= baseline + max(2 %, 10 kB)", 1e6, 1.02e6),
        ("delta >= baseline - max(2 %, 0.1)", 2.0, 1.9),
        # A share is one of the size of a figure, whatever its sign.
        ("accuracy.top1.delta >= baseline - 50 %", -0.01, -0.015),
        ("accuracy.top1.delta >= baseline - 1 pp", -0.01, -0.02),
    ],
)
def test_what_a_limit_comes_to(text: str, figure: float, expected: float) -> None:
    assert reference(text).limit(figure) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("requirement", "hint"),
    [
        # Metrics: spelled alike, known by another word, without their beginning.
        ("alpha.file_bites >= 3", "did you mean alpha.file_bytes?"),
        ("alpah.file_bytes >= 3", "did you mean alpha?"),
        ("speedup >= 2", "did you mean delta?"),
        ("latency.median_s <= 3 ms", "did you mean compressed.latency.median_s?"),
        ("top1.delta >= 0", "did you mean accuracy.top1.delta?"),
        ("kl.mean <= 1", "did you mean divergence.kl.mean?"),
        ("compressed.latency.p95_s <= 1", "did you mean compressed.latency.p9"),
        ("zzz >= 1", "choose from: "),
        # Units: misspelled, or of another kind of figure.
        ("compressed.file_bytes <= 3 kb", "did you mean 'kB'?"),
        ("compressed.latency.median_s <= 3 MS", "did you mean 'ms'?"),
        ("delta >= 3 furlongs", "units of such a figure: %, pp, x"),
        ("compressed.file_bytes <= 3 ms", "units of such a figure: B, kB"),
        ("compressed.file_bytes <= 30 %", "did you mean 30 % * original.file_bytes?"),
        ("delta >= 2 MB", "units of such a figure"),
        ("alpha.file_bytes >= 2 MB", "units of such a figure: %"),
        ("delta >= baseline - 3 ms", "units of such a figure"),
        # No requirement.
        ("", "--require"),
        ("delta", "--require"),
        ("delta >=", "--require"),
        (">= 3", "--require"),
        ("delta = 3", "use >= or <= or =="),
        ("delta >= fast", "number"),
        ("delta >= nan", "number"),
        ("delta >= inf", "number"),
        ("delta >= 1e999", "number"),
        ("delta >= 1,5", "PATH OPERATOR LIMIT"),
        ("delta >= 1.2 please", "number"),
        ("warm: delta >= 1.2", "warn: or fail:"),
        ("alpha >= 3", "parameters"),
        ("delta.verdict == 1", "schema"),
        ("delta == 2", "delta.value"),
        ("delta.value == baseline.delta", ".value"),
        ("delta.value.more > 1", "alone"),
        ("original.tensors[0].bytes > 1", ""),
        ("delta..value > 1", ""),
        # No limit.
        ("delta >= basline", "did you mean 'baseline'?"),
        ("delta >= baseline - ", "+ or −"),
        ("delta >= baseline 2 %", "+ or −"),
        ("delta >= baseline * 0.9", "+ or −"),
        ("delta >= baseline - -2 %", "the sign"),
        ("delta >= baseline + 150 %", "2.5 * baseline"),
        ("delta >= baseline - max()", "max(2 %, 10 kB)"),
        ("delta >= baseline - 2 % and 0.1", "max(2 %, 10 kB)"),
        ("delta >= baseline.nothing", "choose from"),
        ("delta >= 0.5 *", "after the *"),
        ("delta >= 3 ms * baseline", "0.8 * original"),
        ("delta >= delta", "baseline"),
        ("baseline >= 3", "on the right"),
        ("compressed.file_bytes <= compressed.latency.median_s", "bytes, the other in seconds"),
        ("delta >= 2 + 3", "PATH OPERATOR LIMIT"),
    ],
)
def test_what_is_no_requirement_is_refused_with_a_hint(requirement: str, hint: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_requirement(requirement)
    assert hint in caught.value.hint
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert caught.value.exit_code is ExitCode.BAD_REQUEST
