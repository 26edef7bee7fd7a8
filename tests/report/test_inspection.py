"""What `inspect` shows of one model and of several."""

from collections.abc import Callable

import canned
import canned_ledgers
import msgspec
import pytest
from rich.cells import cell_len

from compaudit.report import SORTS, View, render
from compaudit.report.rows.base import Section
from compaudit.report.rows.inspection import inspection_page
from compaudit.results import Failure, Inspection, Skipped

Golden = Callable[[str, str], None]

NO_MACS = Skipped(metric="models[0].macs", reason="a state dict has no operators")
NO_ENTROPY = Skipped(metric="models[0].entropy_bytes", reason="some values cannot be read")

SMALL = canned_ledgers.inspection(canned_ledgers.ledger())
WITHOUT_GRAPH = canned_ledgers.inspection(canned_ledgers.uncounted(), skipped=[NO_MACS, NO_ENTROPY])
DEEP = canned_ledgers.inspection(canned_ledgers.deep())
NAMES = ("small.onnx", "small_dynamic_int8.onnx", "smaller.onnx", "a/pruned.onnx", "b/pruned.onnx")
TWO = canned_ledgers.inspection(canned_ledgers.ledger(), canned_ledgers.uncounted())
FIVE = canned_ledgers.inspection(*(canned_ledgers.ledger(name) for name in NAMES))

PAGES = {
    "summary": (SMALL, View()),
    "layers": (SMALL, View(layers=True)),
    "layers-top": (SMALL, View(layers=True, sort="bytes", top=2)),
    "tensors": (SMALL, View(tensors=True)),
    "tensors-top": (SMALL, View(tensors=True, sort="bits", top=3)),
    "without-graph": (WITHOUT_GRAPH, View()),
    "deep": (DEEP, View()),
    "two": (TWO, View()),
    "two-layers": (TWO, View(layers=True, top=2)),
    "five": (FIVE, View()),
}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("page", PAGES)
def test_it_reads_as_a_person_has_seen_it(golden: Golden, page: str, width: int) -> None:
    report, view = PAGES[page]
    golden(f"inspect-{page}-{width}.txt", render(report, "table", width, view=view).decode())


def test_plain_letters_where_the_terminal_knows_no_others(golden: Golden) -> None:
    text = render(SMALL, "table", 80, encoding="ascii").decode()
    assert text.isascii()
    golden("inspect-ascii-80.txt", text)


def test_an_encoding_without_blocks_but_with_some_signs() -> None:
    text = render(SMALL, "table", 80, encoding="latin-1").decode()
    assert text.encode("latin-1")
    assert "###" in text
    assert (
        "100\N{MULTIPLICATION SIGN}9"
        in render(SMALL, "table", 120, view=View(tensors=True), encoding="latin-1").decode()
    )


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("page", PAGES)
def test_no_line_is_wider_than_the_terminal(page: str, width: int) -> None:
    report, view = PAGES[page]
    for line in render(report, "table", width, view=view).decode().splitlines():
        assert cell_len(line) <= width, line


def test_a_deep_model_fits_two_screens() -> None:
    assert len(DEEP.models[0].layers) == 997
    assert len(render(DEEP, "table", 80).splitlines()) < 48


def test_json_is_complete_whatever_is_shown() -> None:
    whole = render(SMALL, "json")
    assert render(SMALL, "json", view=View(layers=True, sort="name", top=1)) == whole


# ------------------------------------------------------------------------------------- sums


def section_of(report: Inspection, title: str, view: View) -> Section:
    page = inspection_page(report, view)
    (section,) = [section for section in page.sections if section.title == title]
    return section


def column(section: Section, title: str) -> list[int]:
    (place,) = [place for place, one in enumerate(section.columns) if one.title == title]
    cells = [row[place] for row in (*section.rows, section.footer)]
    return [int(str(cell).replace(",", "") or "0") for cell in cells]


@pytest.mark.parametrize("top", [None, 1, 2, 3, 4, 100])
@pytest.mark.parametrize("sort", [None, *SORTS])
def test_layers_add_up_to_the_model(sort: str | None, top: int | None) -> None:
    view = msgspec.convert({"layers": True, "sort": sort, "top": top}, View)
    section = section_of(SMALL, "Layers", view)
    for title, total in (("parameters", 1_200), ("bytes", 2_500)):
        *figures, footer = column(section, title)
        assert sum(figures) == footer == total
    assert len(section.rows) == (4 if top is None else min(top + 1, 4))


@pytest.mark.parametrize("top", [None, 1, 3, 7, 8, 100])
@pytest.mark.parametrize("sort", [None, *(sort for sort in SORTS if sort != "macs")])
def test_tensors_and_the_graph_add_up_to_the_file(sort: str | None, top: int | None) -> None:
    view = msgspec.convert({"tensors": True, "sort": sort, "top": top}, View)
    *figures, footer = column(section_of(SMALL, "Tensors", view), "bytes")
    assert sum(figures) == footer == 2_556
    assert SMALL.models[0].graph_bytes == 3_000 - 2_556


def test_roles_and_the_graph_add_up_to_the_file() -> None:
    section = section_of(SMALL, "What is stored", View())
    *sizes, file = column(section, "bytes")
    assert sizes == [1_700, 400, 400, 40, 16, 444]
    assert sum(sizes) == file == 3_000
    *counts, total = column(section, "tensors")
    assert sum(counts) == total == 8


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("name", ["body", "copy", "head", "stem"]),
        ("bytes", ["body", "stem", "copy", "head"]),
        ("parameters", ["body", "stem", "copy", "head"]),
        ("macs", ["stem", "body", "head", "copy"]),
        ("sparsity", ["body", "stem", "copy", "head"]),  # what has no parameters comes last
        ("bits", ["stem", "copy", "body", "head"]),
        (None, ["stem", "body", "head", "copy"]),
    ],
)
def test_the_order_of_layers(sort: str | None, first: list[str]) -> None:
    view = msgspec.convert({"layers": True, "sort": sort}, View)
    assert [row[0] for row in section_of(SMALL, "Layers", view).rows] == first


def test_numbers_in_names_are_ordered_as_numbers() -> None:
    model = canned_ledgers.deep(blocks=12)
    report = canned_ledgers.inspection(model)
    view = View(layers=True, sort="name")
    shown = [str(row[0]) for row in section_of(report, "Layers", view).rows]
    assert shown.index("net.blocks.2.mlp.up") < shown.index("net.blocks.10.mlp.up")


def test_layers_of_several_models_are_lined_up_by_name() -> None:
    other = msgspec.structs.replace(
        canned_ledgers.ledger("other.onnx"),
        layers=[
            canned_ledgers.layer("body", "MatMul", 1_000, 190, 1_200, 900, []),
            canned_ledgers.layer("new", "Gemm", 50, 50, 200, 50, []),
        ],
    )
    report = canned_ledgers.inspection(canned_ledgers.ledger(), other)
    section = section_of(report, "Weight bytes by layer", View(layers=True))
    assert section.rows == (
        ("stem", "400", ""),
        ("body", "1,700", "1,200"),
        ("head", "0", ""),
        ("copy", "400", ""),
        ("new", "", "200"),
    )
    assert section.footer == ("5 layers", "2,500", "1,400")


# ------------------------------------------------------------------------------------ wording


def test_a_model_that_could_not_be_read_is_named_and_the_others_are_shown() -> None:
    said = "broken.onnx is cut short"
    failure = Failure(
        code="broken-file",
        exit=2,
        message=said,
        hint="download it again",
        model="broken.onnx",
        stage="open",
    )
    unread = Skipped(metric="models", reason=said)
    report = msgspec.structs.replace(SMALL, error=failure, skipped=[unread])
    text = render(report, "table", 80).decode()
    assert f"not read      {said}" in text
    assert "→ download it again" in text
    assert "1,200" in text


def test_what_is_missing_says_why_and_where_nothing_is_known_nothing_is_said() -> None:
    text = " ".join(render(WITHOUT_GRAPH, "table", 80).decode().split())
    assert "MACs at batch 1 – a state dict has no operators" in text
    assert "some values cannot be read" in text
    assert "None" not in text


def test_few_zeros_are_not_taken_for_sparsity() -> None:
    model = msgspec.structs.replace(canned_ledgers.ledger(), sparsity=0.04)
    titles = [
        section.title
        for section in inspection_page(canned_ledgers.inspection(model), View()).sections
    ]
    assert [title for title in titles if "Zeros" in title] == []
    assert [title for title in titles if "Quantisation" in title] == ["Quantisation"]


def test_hostile_names_are_only_text() -> None:
    model = canned_ledgers.ledger(canned.HOSTILE_NAME)
    evil = canned.HOSTILE_NAME
    layers = [msgspec.structs.replace(layer, name=evil + layer.name) for layer in model.layers]
    tensors = [
        msgspec.structs.replace(tensor, name=evil + tensor.name, note=evil)
        for tensor in model.tensors
    ]
    model = msgspec.structs.replace(model, layers=layers, tensors=tensors)
    for view in (View(), View(layers=True, tensors=True)):
        text = render(canned_ledgers.inspection(model, model), "table", 120, view=view).decode()
        text += render(canned_ledgers.inspection(model), "table", 120, view=view).decode()
        assert "\x1b" not in text
        assert "\n::error::" not in text
        assert "[bold red]" in text
