from collections.abc import Callable

import canned_benchmark as canned
import msgspec
import pytest
from canned import HOSTILE_NAME

from compaudit.report import render
from compaudit.report.rows.benchmark import crossover_text
from compaudit.results import decode_report, encode_report

Golden = Callable[[str, str], None]


@pytest.mark.parametrize("width", [80, 120])
def test_it_reads_as_a_person_has_seen_it(golden: Golden, width: int) -> None:
    text = render(canned.benchmark(), "table", width).decode()
    golden(f"benchmark-{width}.txt", text)
    assert max(map(len, text.splitlines())) <= width


def test_the_same_as_markdown(golden: Golden) -> None:
    golden("benchmark.md", render(canned.benchmark(), "markdown").decode())


def test_the_crossover_is_named_with_what_is_undecided() -> None:
    (one,) = canned.benchmark().crossovers
    assert crossover_text(one) == (
        "int8.onnx is faster than float.onnx from batch 8 on, undecided at 4 (cpu, 1 thread)"
    )


def test_what_does_not_vary_is_no_column() -> None:
    text = render(canned.benchmark(canned.SETTINGS[0]), "table", 120).decode()
    header = next(line for line in text.splitlines() if "model" in line)
    assert "batch" not in header
    assert "SYNTHETIC inputs · cpu, 1 thread, batch 1" in text
    assert "samples/s at" not in text  # one setting is no choice


def test_settings_that_vary_are_columns() -> None:
    settings = [canned.setting(1, (0.002, 0.001), "faster", device=one) for one in ("cpu", "cuda")]
    text = render(canned.benchmark(*settings), "table", 120).decode()
    header = next(line for line in text.splitlines() if "model" in line)
    assert "device" in header
    assert "threads" not in header


def test_it_survives_json() -> None:
    report = canned.benchmark()
    assert decode_report(encode_report(report)) == report


def test_the_page_has_the_three_curves_and_their_figures() -> None:
    page = render(canned.benchmark(), "html").decode()
    assert page.count('role="img"') == 3
    for title in ("Latency", "Throughput", "Speed-up"):
        assert f"<h3>{title}</h3>" in page
    # Throughput of int8 at batch 32, by hand: 32 samples in 1.01 times 14.5 ms.
    assert ">2,185/s<" in page


def test_a_single_setting_makes_no_curve() -> None:
    page = render(canned.benchmark(canned.SETTINGS[0]), "html").decode()
    assert "<svg" not in page


@pytest.mark.parametrize("format_name", ["table", "markdown", "github", "junit", "html"])
def test_hostile_names_are_data(format_name: str) -> None:
    first = canned.SETTINGS[0]
    named = [msgspec.structs.replace(one, model=HOSTILE_NAME) for one in first.models]
    report = canned.benchmark(msgspec.structs.replace(first, models=named))
    text = render(report, format_name, 100).decode()
    assert "\x1b" not in text
    assert "\n::error::<script>" not in text
    assert "<script>alert" not in text or format_name in ("table", "github")
