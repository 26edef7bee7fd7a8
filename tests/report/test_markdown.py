"""Markdown as GitHub reads it; an independent parser says what becomes of names."""

import html
import re
from collections.abc import Callable
from typing import Any

import canned
import canned_checkup
import canned_quality
import hostile
import msgspec
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from compaudit.report import View, format_for, render
from compaudit.report.escaping import as_html, as_markdown, as_paragraph
from compaudit.report.folds import Block, fitted
from compaudit.report.rows.base import Bar
from compaudit.report.rows.comparison import comparison_page
from compaudit.results import Check, Comparison

Golden = Callable[[str, str], None]
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OURS = {"<br>", "</details>"}


def markdown(report: Any, **view: Any) -> str:
    return render(report, "markdown", view=View(**view)).decode()


def test_it_reads_as_a_person_has_seen_it(golden: Golden) -> None:
    golden("comparison.md", markdown(canned.comparison()))


def test_the_suffix_says_the_format() -> None:
    assert format_for("REPORT.MD") == "markdown"


def test_the_marker_and_the_verdict_come_first() -> None:
    lines = markdown(canned.comparison()).splitlines()
    assert lines[0] == "<!-- compaudit -->"
    titles = [line for line in lines if line.startswith(("#", "<details"))]
    assert titles[:3] == ["## digits.onnx → digits_int8.onnx", "### Requirements", "### Findings"]
    assert lines.index("- ⚠️ **requirements: 1 inconclusive, 1 passed**") < lines.index(titles[1])


def shown_by(text: str) -> str:
    """The words of a document, and those of HTML around it, as a reader sees them."""
    words = []
    for token in PARSER.parse(text):
        if token.type == "html_block":
            words.append(html.unescape(re.sub("<[^>]*>", " ", token.content)))
        words += [part.content for part in token.children or () if part.type == "text"]
    return " ".join(words).replace("\u200b", "")


@pytest.mark.parametrize(
    "report",
    [
        canned.comparison(),
        canned_quality.classification(),
        canned_quality.language(),
        canned_quality.traced_long(),
    ],
)
def test_nothing_that_the_page_has_is_lost(report: Comparison) -> None:
    page = comparison_page(report, View(layers=True))
    shown = shown_by(markdown(report, layers=True))
    for note in (*page.verdict, *page.findings, *page.checks, *page.footnotes):
        for text in (note.label, note.text, note.hint):
            assert text in shown
    for section in page.sections:
        assert section.title in shown
        assert section.note in shown
        cells = (cell for row in (*section.rows, section.footer) for cell in row)
        for cell in cells:
            assert isinstance(cell, Bar) or cell.strip() in shown


def tables(tokens: list[Token]) -> list[list[int]]:
    """The number of cells of every row of every table."""
    found: list[list[int]] = []
    for token in tokens:
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append(0)
        elif token.type in ("th_open", "td_open"):
            found[-1][-1] += 1
    return found


@pytest.mark.parametrize("name", hostile.NAMES)
def test_names_are_only_text(name: str) -> None:
    text = markdown(hostile.comparison(name), layers=True)
    assert all(letter.isprintable() or letter in "\n\u200b" for letter in text)
    tokens = PARSER.parse(text)
    plain = PARSER.parse(markdown(hostile.comparison("plain"), layers=True))
    kinds = [token.type for token in tokens]
    assert kinds == [token.type for token in plain]
    assert tables(tokens) == tables(plain)
    # A parser ignores cells beyond the last column, so that theirs are counted here.
    assert [line.count("|") for line in text.splitlines()] == [
        line.count("|") for line in markdown(hostile.comparison("plain"), layers=True).splitlines()
    ]
    for token in tokens:
        for part in token.children or ():
            assert part.type in (
                "text",
                "text_special",
                "strong_open",
                "strong_close",
                "softbreak",
            ) or (part.type == "html_inline" and part.content in OURS), part
        if token.type == "html_block":
            bare = re.sub(r"<!-- compaudit -->|</?details>|</?summary>", "", token.content)
            assert "<" not in bare


@pytest.mark.parametrize("name", hostile.NAMES)
def test_names_keep_their_letters(name: str) -> None:
    """What a reader sees of a name is the name, but for characters that cannot be shown."""
    shown = PARSER.render(as_markdown(name)).removeprefix("<p>").removesuffix("</p>\n")
    seen = html.unescape(shown).replace("\u200b", "")
    expected = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    assert seen == expected
    assert html.unescape(as_html(name)).replace("\u200b", "") == expected
    assert not {"<", ">"} & set(as_html(name) + as_markdown(name))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("@octocat", "@\u200boctocat"),
        ("x@y.org", "x@\u200by.org"),
        ("a/b#12", "a/b#\u200b12"),
        ("GH-7", "GH\u200b-7"),
        ("http://x.org", "http:\u200b//x.org"),
        ("www.x.org", "www\u200b.x.org"),
        (":tada:", ":\u200btada:"),
        ("digits_int8.onnx", "digits_int8.onnx"),
        ("# 1", "# 1"),
    ],
)
def test_nobody_is_called_and_nothing_is_linked(text: str, seen: str) -> None:
    """GitHub looks for mentions and references in the text as it is shown."""
    for form in (PARSER.render(as_markdown(text)), as_html(text)):
        assert html.unescape(form.strip().removeprefix("<p>").removesuffix("</p>")) == seen


@pytest.mark.parametrize("text", ["1. x", "12) x", "- x", "+ x", "= x", "# x", "> x", "* x", "| x"])
def test_a_paragraph_is_only_a_paragraph(text: str) -> None:
    kinds = [token.type for token in PARSER.parse(as_paragraph(text))]
    assert kinds == ["paragraph_open", "inline", "paragraph_close"]


# -------------------------------------------------------------------------------------- length


def long(layers: int = 0, checks: int = 0, name: str = "layer") -> Comparison:
    report = canned.comparison(name * 1000, "b")
    check = report.gate.checks[1]
    failed: list[Check] = [msgspec.structs.replace(check, status="failed", message="m" * 80)]
    gate = msgspec.structs.replace(report.gate, status="failed", checks=failed * checks)
    many = [
        msgspec.structs.replace(report.layers[0], name=f"{name}.{place}") for place in range(layers)
    ]
    return msgspec.structs.replace(report, layers=[*report.layers, *many], gate=gate)


@pytest.mark.parametrize(
    "report",
    [long(5_000), long(0, 5_000), long(5_000, 5_000), long(3_000, 3_000, "@#1" * 300)],
)
def test_it_always_fits_in_a_comment(report: Comparison) -> None:
    text = markdown(report, layers=True)
    assert 40_000 < len(text) < 65_536
    assert "more in the JSON report." in text
    assert "**smaller** file α 3.00×: 420 kB → 140 kB" in text
    assert text.count("<details>") == text.count("</details>")
    assert all(len(set(rows)) == 1 for rows in tables(PARSER.parse(text)))


def test_what_is_folded_gives_way_first() -> None:
    text = markdown(long(5_000, 50), layers=True)
    assert text.count("| ❌ failed |") == 50
    (layers,) = re.findall(r"… ([\d,]+) more in the JSON report\.", text)
    shown = len(re.findall(r"^\| (?:layer\.\d+) \|", text, re.M))
    assert shown > 100
    assert int(layers.replace(",", "")) >= 5_000 - shown


def test_the_longest_fold_is_the_one_that_is_cut() -> None:
    small = Block("folded", "a\n", ("s",) * 10, "\nz")
    big = Block("folded", "b\n", ("l",) * 1_000, "\nz")
    text = fitted([Block("verdict", "v", (), ""), small, big], 500)
    assert len(text) <= 500
    assert text.count("s\n") >= 10
    left = text.count("\nl")
    assert f"… {1_000 - left:,} more in the JSON report.\nz" in text


def test_too_many_tables_are_counted() -> None:
    tables_ = [Block("folded", "t" * 100, (), "")] * 100
    text = fitted([Block("verdict", "v", (), ""), *tables_], 1_000)
    assert len(text) <= 1_000
    assert text.endswith(f"… {100 - text.count('t' * 100)} more tables in the JSON report.\n")


def test_every_document_has_its_markdown() -> None:
    for report in (canned.inspection(), canned_checkup.checkup()):
        text = markdown(report)
        assert text.startswith("<!-- compaudit -->\n## ")
        assert tables(PARSER.parse(text))
    alone = markdown(canned.comparison(), verdict_only=True)
    assert "### Size" not in alone
    assert "### Requirements" in alone
