from collections.abc import Callable

import canned
import canned_gpu
import canned_ranking
import msgspec
import pytest
from rich.cells import cell_len

from compaudit.report import FORMATS, render
from compaudit.results import Delta

Golden = Callable[[str, str], None]


@pytest.mark.parametrize("width", [80, 120])
def test_comparison_reads_as_a_person_has_seen_it(golden: Golden, width: int) -> None:
    golden(f"comparison-{width}.txt", render(canned.comparison(), "table", width).decode())


@pytest.mark.parametrize("width", [80, 120])
def test_comparison_on_a_gpu_reads_as_a_person_has_seen_it(golden: Golden, width: int) -> None:
    golden(f"comparison-gpu-{width}.txt", render(canned_gpu.comparison(), "table", width).decode())


def test_what_ran_both_alike_is_said_once() -> None:
    report = canned_gpu.comparison()
    alike = msgspec.structs.replace(report, compressed=report.original)
    text = " ".join(render(alike, "table", 160).decode().split())
    assert text.count("Both are run by CUDAExecutionProvider (120 nodes), CPUExecution") == 1
    assert text.count("use_tf32") == 1


def test_the_usual_cpu_is_not_explained() -> None:
    assert "CPUExecutionProvider" not in render(canned.comparison(), "table", 120).decode()


def test_inspection_reads_as_a_person_has_seen_it(golden: Golden) -> None:
    golden("inspection-80.txt", render(canned.inspection(), "table", 80).decode())


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = canned.comparison("a" * 70 + ".onnx", "b" * 70 + ".onnx")
    for report in (canned.comparison(), canned.inspection(), long):
        for line in render(report, "table", width).decode().splitlines():
            assert cell_len(line) <= width, line


def test_without_colour_there_are_no_escape_codes() -> None:
    assert b"\x1b" not in render(canned.comparison(), "table", 80, color=False)
    assert b"\x1b" in render(canned.comparison(), "table", 80, color=True)


def test_hostile_names_are_only_text() -> None:
    text = render(canned.comparison(canned.HOSTILE_NAME), "table", 80).decode()
    assert "\x1b" not in text
    assert "\n::error::" not in text
    assert "[bold red]x[/]" in text  # markup is shown, not obeyed


def test_every_figure_that_is_missing_is_shown_as_such() -> None:
    report = msgspec.structs.replace(
        canned.comparison(), delta=None, accuracy=None, divergence=None, data=None
    )
    text = render(report, "table", 80).decode()
    assert "None" not in text
    assert "nan" not in text


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("faster", "faster"),
        ("slower", "slower"),
        ("no_measurable_change", "no measurable change"),
        ("inconclusive", "undecided"),
        ("invalid", "nothing can be concluded"),
    ],
)
def test_every_verdict_has_its_words(verdict: str, words: str) -> None:
    report = canned.comparison()
    delta: Delta = msgspec.structs.replace(report.delta, verdict=verdict)
    text = render(msgspec.structs.replace(report, delta=delta), "table", 100).decode()
    assert words in " ".join(text.split())


def test_every_format_renders_every_document() -> None:
    for format_name in FORMATS:
        assert render(canned_ranking.ranking(), format_name).endswith(b"\n")
        if format_name == "csv":
            continue  # of rankings only: test_csv
        assert render(canned.comparison(), format_name).endswith(b"\n")
        assert render(canned.inspection(), format_name).endswith(b"\n")
