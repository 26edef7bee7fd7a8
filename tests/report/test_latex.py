r"""LaTeX of every report: balanced, as many cells as columns, and no name is a command."""

import re
from collections.abc import Callable

import canned
import canned_checkup
import canned_ranking
import hostile
import msgspec
import pytest

from compaudit.report import View, format_for, render
from compaudit.report.latex import as_latex
from compaudit.results import Ranking, Report

COMMANDS = {
    *("begin", "end", "centering", "caption", "toprule", "midrule", "bottomrule"),
    *("alpha", "beta", "delta", "times", "rightarrow", "cdot", "Vert", "geq", "leq", "pm", "mu"),
    *("dots", "textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater"),
    *("textbar", "textdagger", "textquotedbl", "textasciigrave"),
}


def latex(report: Report, **view: object) -> str:
    return render(report, "latex", view=View(**view)).decode()  # type: ignore[arg-type]


def body(text: str) -> str:
    """Without the comments of the first lines."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("%"))


def check(text: str) -> None:
    """What LaTeX would stop at: environments, braces, dollars, cells, commands, bare specials."""
    text = body(text)
    open_environments: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            open_environments.append(name)
        else:
            assert open_environments.pop() == name
    assert not open_environments
    bare = re.sub(r"\\[\\{}$&#%_]", "", text)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[#%~]", bare)
    assert not re.search(r"[_^]", re.sub(r"\$[^$]*\$", "", bare))
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= COMMANDS
    for tabular in re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", text, re.S):
        head, *lines = tabular.strip().splitlines()
        columns = re.fullmatch(r"\{@\{\}([lr]+)@\{\}\}", head)
        assert columns
        rows = [line for line in lines if not line.endswith("rule")]
        assert rows
        for row in rows:
            assert row.endswith(r" \\")
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns[1]) - 1
            assert row[0] not in "[*"


def test_the_suffix() -> None:
    assert format_for("table.tex") == "latex"


def test_it_reads_as_a_person_has_seen_it(golden: Callable[[str, str], None]) -> None:
    text = latex(canned_ranking.with_published(), columns=("top1", "delta", "interval", "beta"))
    golden("ranking.tex", text)
    golden("ranking-survey.tex", latex(canned_ranking.with_published(), survey=True))


@pytest.mark.parametrize(
    "report",
    [
        canned_ranking.with_published(),
        canned_ranking.with_best(),
        canned.comparison(),
        canned.inspection(),
        canned_checkup.checkup(),
    ],
    ids=["published", "best", "comparison", "inspection", "doctor"],
)
def test_every_report_is_sound(report: Report) -> None:
    text = latex(report)
    assert r"\toprule" in text
    check(text)


@pytest.mark.parametrize("name", [*hostile.NAMES, r"\input{/etc/passwd}", "[x]", "*", "%", "a--b"])
def test_hostile_names_are_printed_and_not_run(name: str) -> None:
    check(latex(hostile.comparison(name)))
    report = canned_ranking.with_published()
    candidates = [msgspec.structs.replace(one, label=name) for one in report.candidates]
    published = [msgspec.structs.replace(one, label=name, source=name) for one in report.published]
    original = msgspec.structs.replace(report.original, path=name)
    renamed: Ranking = msgspec.structs.replace(
        report, original=original, candidates=candidates, published=published
    )
    for survey in (False, True):
        text = latex(renamed, survey=survey)
        check(text)
        assert text.splitlines()[0].startswith("% ")
        assert text.splitlines()[3] == ""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b%", r"a\_b\%"),
        ("α 3.55×", r"$\alpha$ 3.55$\times$"),
        ("−0.11 pp", "$-$0.11 pp"),
        ("[1.95, 2.05]", "{[}1.95, 2.05{]}"),
        ("low-rank", "low-rank"),
        ("--", "{-}{-}"),
        ("–", "--"),
        ("a\nb", "a?b"),
        ("naïve", "naïve"),
    ],
)
def test_how_letters_are_written(text: str, written: str) -> None:
    assert as_latex(text) == written
