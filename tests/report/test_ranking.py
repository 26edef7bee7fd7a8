"""The table of a ranking, as a person has read it, and what of it can be chosen."""

import re
from collections.abc import Callable
from xml.etree import ElementTree

import canned
import canned_ranking
import msgspec
import pytest
from rich.cells import cell_len

from compaudit.errors import RequestError
from compaudit.report import View, render
from compaudit.report.rows.ranking_columns import COLUMNS
from compaudit.results import Ranking

Golden = Callable[[str, str], None]


def shown(report: Ranking | None = None, width: int = 200, **view: object) -> str:
    given = report or canned_ranking.ranking()
    return render(given, "table", width, view=View(**view)).decode()  # type: ignore[arg-type]


def table(report: Ranking | None = None, **view: object) -> list[list[str]]:
    """The cells of the table's rows, the heading first."""
    given = report or canned_ranking.ranking()
    text = render(given, "markdown", view=View(**view)).decode()  # type: ignore[arg-type]
    lines = text.split("### Ranking\n\n")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:1] + lines[2:]]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_it_reads_as_a_person_has_seen_it(golden: Golden, width: int) -> None:
    golden(f"ranking-{width}.txt", shown(width=width))


def test_as_markdown(golden: Golden) -> None:
    golden("ranking.md", render(canned_ranking.with_best(), "markdown").decode())


def test_the_survey_has_exactly_the_surveys_columns(golden: Golden) -> None:
    golden("ranking-survey-80.txt", shown(width=80, survey=True))
    markdown = render(canned_ranking.ranking(), "markdown", view=View(survey=True)).decode()
    assert "| Model | TOP-5 Accuracy | Speed-up | Compression Rate |" in markdown


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for survey in (False, True):
        lines = shown(width=width, survey=survey).splitlines()
        assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize("format_name", ["github", "junit"])
def test_other_formats_tell_of_it_too(format_name: str) -> None:
    text = render(canned_ranking.ranking(), format_name).decode()
    assert "digits_mortal.onnx" in text
    assert "crashed" in text


def test_junit_has_a_case_for_every_requirement_of_every_candidate() -> None:
    report = canned_ranking.ranking()
    gate = canned.comparison().gate  # one passed, and one undecided
    candidates = [msgspec.structs.replace(one, gate=gate) for one in report.candidates]
    text = render(msgspec.structs.replace(report, candidates=candidates), "junit").decode()
    suite = ElementTree.fromstring(text)[0]
    names = [case.get("name") for case in suite.findall("testcase")]
    assert len(names) == len(set(names)) == 2 * 5
    assert "digits_int8.onnx: alpha.file_bytes >= 2.5" in names
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("10", "5", "0")


def test_columns_come_as_they_are_asked_for() -> None:
    rows = table(columns=("kl", "delta", "file_bytes"))
    assert rows[0] == ["model", "KL", "δ", "file"]
    assert rows[1] == ["digits.onnx", "", "1.00×", "420 kB"]
    assert rows[2] == ["digits_int8.onnx", "0.00400", "2.00×", "140 kB"]
    assert rows[6] == ["notes.onnx", "–", "–", "–"]


def test_every_column_can_be_asked_for_alone_and_sorted_by() -> None:
    for key in COLUMNS:
        rows = table(columns=(key,), ranked_by=key)
        assert len(rows) == 1 + 1 + 5
        assert rows[1][0] == "digits.onnx"


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("delta", ["int8", "broken", "pruned"]),
        ("top1", ["pruned", "int8", "mortal", "broken"]),
        ("kl", ["pruned", "int8", "mortal", "broken"]),  # the smallest is the best
        ("file_bytes", ["int8", "broken", "mortal", "pruned"]),
        ("model", ["broken", "int8", "mortal", "pruned"]),
    ],
)
def test_the_best_comes_first_and_what_is_unknown_last(key: str, order: list[str]) -> None:
    names = [row[0] for row in table(ranked_by=key)[2:]]
    assert names[: len(order)] == [f"digits_{name}.onnx" for name in order]
    assert names[-1] == "notes.onnx"


@pytest.mark.parametrize("view", [{"columns": ("speed",)}, {"ranked_by": "top"}])
def test_a_column_that_there_is_not_is_refused(view: dict[str, object]) -> None:
    with pytest.raises(RequestError, match="is no column of a ranking"):
        shown(**view)


def test_a_task_without_classes_shows_its_own_metric() -> None:
    report = canned_ranking.ranking()
    candidates = [
        msgspec.structs.replace(
            one,
            accuracy=msgspec.structs.replace(
                one.accuracy,
                task="regression",
                top1=None,
                top5=None,
                cross_entropy=None,
                calibration_error=None,
                mse=canned.metric(0.5, 0.625, 0.1, 0.2, 0.01),
            ),
        )
        for one in report.candidates
        if one.accuracy is not None
    ]
    rows = table(msgspec.structs.replace(report, candidates=candidates))
    assert rows[0][1] == "mean squared error"
    assert (rows[1][1], rows[2][1]) == ("0.500", "0.625")
    assert "top-1" not in rows[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "best digits_int8.onnx: max delta, 2.00 [1.95, 2.05]; surely better than"),
        ({"surely_better": False}, "not surely better than digits_pruned.onnx, 1.00 [0.980, 1.02]"),
        ({"second": None}, "the only one to choose from"),
        (
            {"status": "none", "label": None, "reason": "all fail"},
            "no choice max delta: all fail",
        ),
    ],
)
def test_what_is_said_of_the_choice(changes: dict[str, object], said: str) -> None:
    report = canned_ranking.with_best()
    best = msgspec.structs.replace(report.best, **changes)
    assert said in " ".join(shown(msgspec.structs.replace(report, best=best)).split())


def test_what_was_published_is_marked_in_every_table(golden: Golden) -> None:
    report = canned_ranking.with_published()
    golden("ranking-published-80.txt", shown(report, width=80))
    for view in ({}, {"survey": True}, {"columns": ("top5", "delta", "alpha.file_bytes")}):
        for width in (80, 120):
            text = shown(report, width=width, **view)
            assert "† Published, not measured here." in " ".join(text.split())
            marked = re.findall(r"^(\S+).*? † ", text, re.M)  # a name may lose its middle
            assert [name[:6] for name in marked[:2]] == ["AlexNe", "LeNet-"]
    plain = render(report, "table", 80, encoding="ascii").decode()
    assert "* Published, not measured here." in plain


def test_a_published_rate_stands_where_its_basis_does() -> None:
    rows = table(
        canned_ranking.with_published(),
        columns=("top1", "top5", "delta", "alpha.parameters", "compression", "weight_bytes"),
    )
    assert rows[-2][1:] == ["–", "80.56 %", "1.09×", "–", "4.94×", "–"]
    assert rows[-1][1:] == ["99.26 %", "–", "–", "–", "39.0× coding limit", "44.0 kB"]
    report = canned_ranking.with_published()
    of_parameters = msgspec.structs.replace(report.published[0], basis="parameters")
    rows = table(
        msgspec.structs.replace(report, published=[of_parameters]), columns=("alpha.parameters",)
    )
    assert rows[-1][1:] == ["4.94×"]
