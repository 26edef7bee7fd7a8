"""The page of a ranking: its two drawings, what they say in words, and its safety."""

import itertools
import json
import re
from functools import cache
from xml.etree import ElementTree

import canned
import canned_ranking
import hostile
import msgspec
import pytest

from compaudit.report import View, render
from compaudit.results import Estimate, Ranking

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from compaudit.report.html.labels import Box, place
from compaudit.report.html.tradeoff import (
    Point,
    best_of,
    tradeoff_charts,
    without_outliers,
)

FRAME = Box(0, 0, 400, 300)
SVG = "{http://www.w3.org/2000/svg}"


@cache
def page() -> str:
    return render(canned_ranking.with_published(), "html").decode()


def headings(text: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", text)


def test_the_page_has_the_table_the_drawings_and_how_to_do_it_again() -> None:
    found = headings(page())
    for title in ("Verdict", "Ranking", "Charts", "Environment", "How to reproduce"):
        assert found.count(title) == 1
    assert "AlexNet BN low-rank" in page()
    assert "AlexNet BN low-rank †</th>" in page()
    assert "† Published, not measured here." in page()
    assert "models/digits_int8.onnx" in page()


def test_the_json_in_the_page_is_the_report() -> None:
    found = re.search(r'<script type="application/json" id="report">(.*?)</script>', page(), re.S)
    assert found
    assert json.loads(found[1]) == msgspec.to_builtins(canned_ranking.with_published())


def test_both_drawings_with_a_sentence_and_their_figures() -> None:
    charts = tradeoff_charts(canned_ranking.ranking())
    assert [one.title for one in charts] == [
        "Top-1 against α of the file",
        "Top-1 against speed-up δ",
    ]
    alpha, delta = charts
    assert alpha.data is not None
    assert delta.data is not None
    # What was not timed is in the first alone, and what could not be read in none.
    assert [row[0] for row in alpha.data.rows] == [
        "digits.onnx",
        "digits_int8.onnx",
        "digits_pruned.onnx",
        "digits_broken.onnx",
        "digits_mortal.onnx",
    ]
    assert [row[0] for row in delta.data.rows] == [row[0] for row in alpha.data.rows[:4]]
    # 97.5 %, and its change lies between −1.5 and +0.5 pp of 98 %.
    assert delta.data.rows[1] == (
        "digits_int8.onnx",
        "2.00× [1.95, 2.05]",
        "97.50 % [96.50, 98.50] %",
        "on the front",
    )
    assert "no model beats digits.onnx and digits_int8.onnx in both" in delta.caption


def test_every_model_is_named_in_the_drawing_and_an_outlier_with_its_value() -> None:
    for chart in tradeoff_charts(canned_ranking.ranking()):
        root = ElementTree.fromstring(chart.svg)
        words = [text.text for text in root.iter(f"{SVG}text")]
        assert chart.data is not None
        for name, *_ in chart.data.rows:
            assert isinstance(name, str)
            short = name.removesuffix(".onnx")
            assert words.count(short) + words.count(f"{short}: 58.00 %") == 1
        assert "digits_broken: 58.00 %" in words
        assert "style=" not in chart.svg


def test_the_axis_of_a_metric_that_is_better_low_stands_on_its_head() -> None:
    """KL, without right answers: 0.004, 0.001 and 0.02 are close, 2.5 is an outlier."""
    report = canned_ranking.ranking()
    blind = [msgspec.structs.replace(one, accuracy=None) for one in report.candidates]
    alpha, _ = tradeoff_charts(msgspec.structs.replace(report, candidates=blind))
    assert alpha.title.startswith("KL(original‖compressed) against")
    assert "digits_broken: 2.50" in alpha.svg
    root = ElementTree.fromstring(alpha.svg)
    ticks = [
        (float(text.text), float(text.get("y", "nan")))
        for text in root.iter(f"{SVG}text")
        if text.text and re.fullmatch(r"0\.\d+", text.text)
    ]
    assert len(ticks) > 1
    assert sorted(ticks) == sorted(ticks, key=lambda tick: tick[1]), "up is better: less"


def test_nothing_to_draw_is_no_drawing() -> None:
    report = canned_ranking.ranking()
    assert tradeoff_charts(msgspec.structs.replace(report, candidates=[])) == ()
    unread = [canned_ranking.unread()]
    assert tradeoff_charts(msgspec.structs.replace(report, candidates=unread)) == ()
    assert "Charts" not in headings(
        render(msgspec.structs.replace(report, candidates=unread), "html").decode()
    )


@pytest.mark.parametrize("name", [*hostile.NAMES, "</script><script>document.title='x'</script>"])
def test_hostile_names_make_no_elements(name: str) -> None:
    report = canned_ranking.with_published()
    candidates = [
        msgspec.structs.replace(one, label=f"{place}{name}", path=name)
        for place, one in enumerate(report.candidates)
    ]
    published = [msgspec.structs.replace(one, label=name, source=name) for one in report.published]
    renamed: Ranking = msgspec.structs.replace(
        report, candidates=candidates, published=published, command=name
    )
    text = render(renamed, "html", view=View()).decode()
    assert set(re.findall(r"<([a-zA-Z0-9]+)", text)) == set(re.findall(r"<([a-zA-Z0-9]+)", page()))
    assert text.count("<script") == page().count("<script")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", text)


# --------------------------------------------------------------------------------- the front


def point(name: str, x: float, y: float) -> Point:
    both = (Estimate(value=value, low=None, high=None) for value in (x, y))
    return Point(name, *both, "unknown")


def test_the_line_joins_what_nothing_beats() -> None:
    points = [
        *(point("a", 1, 0.99), point("b", 2, 0.98), point("c", 3, 0.90)),
        *(point("beaten", 1.5, 0.97), point("as-fast-and-worse", 3, 0.5), point("same", 2, 0.97)),
    ]
    for order in itertools.islice(itertools.permutations(points), 0, 720, 37):
        assert [one.name for one in best_of(order, higher=True)] == ["a", "b", "c"]
    mirrored = [point(one.name, one.x.value, -one.y.value) for one in points]
    assert [one.name for one in best_of(mirrored, higher=False)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("values", "higher", "worst"),
    [
        ([0.99, 0.98, 0.97, 0.96], True, None),
        ([0.374, 0.994, 0.993, 0.989], True, 0.989),
        ([0.99, 0.98, 0.5], True, None),  # two are no crowd to be outside of
        ([0.001, 0.004, 0.02, 2.5], False, 0.02),
        ([5.0, 5.0, 5.0, 5.0], True, None),
        ([5.0, 5.0, 5.0, 1.0], True, 5.0),
        ([1.0], True, None),
    ],
)
def test_what_is_far_below_all_others(
    values: list[float], higher: bool, worst: float | None
) -> None:
    figures = [Estimate(value=value, low=None, high=None) for value in values]
    assert without_outliers(figures, higher=higher) == worst


def test_what_the_intervals_of_others_reach_is_no_outlier() -> None:
    """899 digits: 99.44 % and 99.33 % are ± 0.5 pp, 98.89 % is not far below, 37.37 % is."""
    figures = [
        *(Estimate(value=value, low=value - 0.005, high=value + 0.005) for value in (0.9944,) * 3),
        *(Estimate(value=value, low=None, high=None) for value in (0.9933, 0.9889)),
    ]
    assert without_outliers(figures, higher=True) is None
    broken = Estimate(value=0.3737, low=0.34, high=0.41)
    assert without_outliers([*figures, broken], higher=True) == 0.9889


def test_no_share_is_above_one() -> None:
    report = canned_ranking.ranking()
    first = report.candidates[0]
    assert first.accuracy is not None
    accuracy = msgspec.structs.replace(
        first.accuracy, top1=canned.metric(0.99, 0.99, -0.02, 0.02, 1.0)
    )
    sure = msgspec.structs.replace(first, accuracy=accuracy)
    alpha, _ = tradeoff_charts(msgspec.structs.replace(report, candidates=[sure]))
    assert alpha.data is not None
    assert alpha.data.rows[1][2] == "99.00 % [97.00, 100.00] %"
    assert not re.search(r">10[0-9]\.[1-9]\d* %<", alpha.svg)


# --------------------------------------------------------------------------------- the names


def overlapping(boxes: list[Box]) -> float:
    return sum(one.shared(other) for one, other in itertools.combinations(boxes, 2))


def test_names_of_a_crowd_cover_neither_one_another_nor_a_point() -> None:
    points = [(200.0 + place, 150.0 - place % 3) for place in range(12)]
    sizes = [(80.0 + 3 * place, 12.0) for place in range(12)]
    boxes = place(points, sizes, FRAME)
    assert overlapping(boxes) == 0
    for box in boxes:
        assert box.shared(FRAME) == pytest.approx(box.width * box.height)
        assert not any(
            box.left < x < box.left + box.width and box.bottom < y < box.bottom + box.height
            for x, y in points
        )


def test_a_name_alone_stands_beside_its_point() -> None:
    (box,) = place([(200.0, 150.0)], [(60.0, 12.0)], FRAME)
    assert (box.left, box.center[1]) == (207.0, 150.0)


def test_at_the_edge_it_stands_inside() -> None:
    corners = [(0.0, 0.0), (400.0, 0.0), (0.0, 300.0), (400.0, 300.0)]
    for box in place(corners, [(90.0, 12.0)] * 4, FRAME):
        assert box.shared(FRAME) == pytest.approx(box.width * box.height)


def test_a_line_is_not_crossed_where_there_is_room_beside_it() -> None:
    line = Box(0, 149, 400, 2)
    (box,) = place([(200.0, 150.0)], [(60.0, 12.0)], FRAME, [line])
    assert box.shared(line) == 0


def test_where_there_is_no_room_every_name_still_has_its_place() -> None:
    boxes = place([(10.0, 10.0)] * 5, [(100.0, 12.0)] * 5, Box(0, 0, 20, 20))
    assert len(boxes) == 5


def test_other_reports_say_that_there_is_no_page() -> None:
    assert b"Charts" in render(canned.comparison(), "html")
