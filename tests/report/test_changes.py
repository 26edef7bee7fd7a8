"""What `compare` shows of layers: those that changed most, or all of them."""

from collections.abc import Callable

import canned
import msgspec
import pytest
from rich.cells import cell_len

from compaudit.report import View, render
from compaudit.report.rows.base import Section
from compaudit.report.rows.changes import changes_section
from compaudit.results import Comparison, Layer

Golden = Callable[[str, str], None]


@pytest.mark.parametrize("width", [80, 120])
def test_all_layers_read_as_a_person_has_seen_them(golden: Golden, width: int) -> None:
    text = render(canned.comparison(), "table", width, view=View(layers=True)).decode()
    golden(f"comparison-layers-{width}.txt", text)


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("every", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, every: bool) -> None:
    text = render(canned.comparison(), "table", width, view=View(layers=every)).decode()
    assert max(cell_len(line) for line in text.splitlines()) <= width


def shown(report: Comparison, every: bool = False) -> Section:
    section = changes_section(report, View(layers=every))
    assert section is not None
    return section


def with_layers(layers: list[Layer]) -> Comparison:
    return msgspec.structs.replace(canned.comparison(), layers=layers)


def scaled(layer: Layer, name: str, *, size: int | None = None, sqnr: float | None = None) -> Layer:
    """A matched layer with another name, another compressed size, another SQNR."""
    assert layer.compressed is not None
    side = msgspec.structs.replace(
        layer.compressed, weight_bytes=layer.compressed.weight_bytes if size is None else size
    )
    return msgspec.structs.replace(layer, name=name, compressed=side, weight_sqnr_db=sqnr)


def test_the_most_bytes_saved_or_added_come_first_and_equal_layers_are_left_out() -> None:
    section = shown(canned.comparison())
    assert section.title == "Layers that changed most, by weight bytes"
    # 240,000 − 60,100; 136,000 − 18,900; + 4,000; − 3,200; − 3,000
    assert [row[0] for row in section.rows] == [
        "blocks.0.conv",
        "blocks.1.fc",
        "adapter",
        "auxiliary",
        "stem.conv",
    ]
    assert section.note == (
        "6 of 7 layers changed, 1 of them folded into others; --layers shows all."
    )


def test_what_goes_with_a_fold_is_not_told_again() -> None:
    """Of "float32 → int8; blocks.0.norm folded in; blocks.0.conv.bias (100) added"."""
    remarks = {row[0]: row[-1] for row in shown(canned.comparison()).rows}
    assert remarks["blocks.0.conv"] == "float32 → int8; blocks.0.conv.bias (100) added"
    assert remarks["blocks.1.fc"] == "factorised into 2, rank 16"


def test_where_nothing_but_folds_happened_they_are_shown() -> None:
    folded = canned.layers()[2]
    section = shown(with_layers([folded, canned.layers()[5]]))
    assert [row[0] for row in section.rows] == ["blocks.0.norm"]


def test_where_no_bytes_were_saved_the_lowest_sqnr_comes_first_and_ten_are_shown() -> None:
    stem = canned.layers()[0]
    same = 4_000
    found = [scaled(stem, f"l{db}", size=same, sqnr=float(db)) for db in range(30, 18, -1)]
    unknown = scaled(stem, "unknown", size=same)
    section = shown(with_layers([unknown, *found]))
    assert section.title == "Layers that changed most, by SQNR of their weights"
    assert [row[0] for row in section.rows] == [f"l{db}" for db in range(19, 29)]
    assert section.note == "13 of 13 layers changed; --layers shows all."


def test_nothing_is_shown_where_no_layer_changed_or_none_is_known() -> None:
    head = canned.layers()[5]
    assert head.weights_equal
    for layers in ([], [head]):
        assert changes_section(with_layers(layers), View()) is None
    assert changes_section(with_layers([]), View(layers=True)) is None
    assert len(shown(with_layers([head]), every=True).rows) == 1


def test_all_layers_are_in_the_order_of_the_network_and_add_up() -> None:
    section = shown(canned.comparison(), every=True)
    assert [row[0] for row in section.rows] == [layer.name for layer in canned.layers()]
    # 400,000 by 100,000 bytes; 32 and 8 bits for each of 100,000 parameters; 2,000 zeros
    assert section.footer[:5] == ("7 layers", "", "4.00×", "32.0 → 8.00", "0.0 → 2.0 %")


def test_what_cannot_be_compared_is_not_called_equal() -> None:
    section = shown(canned.comparison(), every=True)
    (place,) = [place for place, column in enumerate(section.columns) if column.title == "SQNR dB"]
    sqnr = {row[0]: row[place] for row in section.rows}
    assert sqnr == {
        "stem.conv": "41.2",
        "blocks.0.conv": "35.5",
        "blocks.0.norm": "",
        "blocks.1.fc": "–",
        "auxiliary": "",
        "head": "equal",
        "adapter": "",
    }
