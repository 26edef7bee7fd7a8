"""Widths, shortened names and bars."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from compaudit.report.characters import ASCII, UNICODE, characters_for
from compaudit.report.layout import GAP, cut, lay_out, pieces, shortened
from compaudit.report.rows.base import Bar, Column, Section


@given(st.text(st.characters(exclude_categories=["C"])), st.integers(1, 60))
def test_what_is_shortened_fits(name: str, width: int) -> None:
    for short in (shortened(name, width), cut(name, width)):
        assert cell_len(short) <= width
        assert (short == name) == (cell_len(name) <= width)


def test_both_ends_of_a_name_are_kept_and_more_of_the_second() -> None:
    assert shortened("model.layers.10.mlp.down_proj.weight", 20) == "model.l…_proj.weight"
    assert shortened("model.layers.10.mlp.down_proj.weight", 20, "..") == "model.l..proj.weight"
    assert cut("float32 → int8; folded", 12) == "float32 → i…"


@pytest.mark.parametrize(
    ("length", "blocks", "plain"),
    [
        (0.0, "", ""),
        (1e-9, "▏", "."),
        (0.125, "█", "#"),
        (0.5, "████", "####"),
        (0.5625, "████▌", "####"),
        (1.0, "████████", "########"),
        (7.0, "████████", "########"),
        (-1.0, "", ""),
    ],
)
def test_a_bar_is_as_long_as_it_says_and_visible_above_zero(
    length: float, blocks: str, plain: str
) -> None:
    assert UNICODE.bar(length, 8) == blocks
    assert ASCII.bar(length, 8) == plain


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "α 3.79× → µ …"),
        ("ascii", "alpha 3.79x -> u .."),
        ("latin-1", "alpha 3.79× -> µ .."),
    ],
)
def test_letters_are_replaced_only_where_they_must_be(encoding: str, text: str) -> None:
    assert characters_for(encoding).text("α 3.79× → µ …") == text


def test_an_unknown_encoding_is_taken_for_ascii() -> None:
    assert characters_for("no-such-encoding") is ASCII
    assert characters_for("UTF-8") is characters_for("utf8") is UNICODE


def test_headings_break_after_words_and_the_punctuation_of_names() -> None:
    assert pieces("bits per weight") == ["bits ", "per ", "weight"]
    assert pieces("a/dynamic_int8.onnx") == ["a/", "dynamic_", "int8.", "onnx"]
    assert pieces("") == [""]


TABLE = Section(
    "",
    (
        Column("name", "name", least=10),
        Column("a", drop=2),
        Column("b"),
        Column("c", drop=1),
        Column("", "bar"),
    ),
    (("n" * 30, "1" * 10, "2" * 10, "3" * 10, Bar(1.0)),),
)


@pytest.mark.parametrize(
    ("width", "places"),
    [(200, (0, 1, 2, 3, 4)), (56, (0, 1, 2, 3, 4)), (55, (0, 2, 3, 4)), (43, (0, 2, 4))],
)
def test_the_column_that_matters_least_goes_first(width: int, places: tuple[int, ...]) -> None:
    """10 + 10 + 10 + 10 + 8 and four gaps of 2 are 56; without the first to go 44."""
    layout = lay_out(TABLE, width)
    assert layout.places == places
    assert layout.widths is not None
    assert sum(layout.widths) + GAP * (len(places) - 1) <= width


def test_a_wide_terminal_shortens_nothing_and_a_table_takes_no_more_than_it_needs() -> None:
    layout = lay_out(TABLE, 200)
    assert layout.widths == (30, 10, 10, 10, 24)


def test_figures_are_never_shortened() -> None:
    for width in range(43, 120):
        layout = lay_out(TABLE, width)
        assert layout.widths is not None
        for place, given_ in zip(layout.places, layout.widths, strict=True):
            if TABLE.columns[place].kind == "figure":
                assert given_ == 10
