"""The structure of the HTML report, its safety and its size; a browser is in test_html_browser."""

import base64
import gzip
import json
import re
import sys
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import canned
import canned_checkup
import canned_quality
import canned_raw
import msgspec
import numpy as np
import pytest

import compaudit.report.html
from compaudit.data.png import encode_png
from compaudit.errors import RequestError
from compaudit.report import render
from compaudit.report.html import render_html
from compaudit.report.html.drawing import Chart, labels
from compaudit.report.html.layers import weights_chart
from compaudit.report.html.outputs import divergence_chart
from compaudit.report.html.samples import gallery_of, picture_from
from compaudit.report.html.stored import role_chart
from compaudit.report.html.timing import latency_chart
from compaudit.report.rows.comparison import comparison_page
from compaudit.report.view import View
from compaudit.results import Comparison, Histogram, Report

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
HOSTILE = "\"'></script><!--<script>document.title='owned'</script>\x1b[31m$x_\x00"


def html(report: Comparison) -> str:
    return render_html(report, comparison_page(report, View())).decode()


@cache
def page() -> str:
    """The page with everything that there is; drawing it takes a while."""
    return html(complete())


@cache
def hostile_page() -> str:
    return html(hostile())


def complete() -> Comparison:
    plain, timed = canned.comparison(), canned_raw.comparison()
    return msgspec.structs.replace(
        canned_quality.classification(),
        **{name: getattr(plain, name) for name in ("delta", "gate", "findings")},
        samples=timed.samples,
        trace=canned_quality.traced().trace,
    )


def hostile() -> Comparison:
    report = canned.comparison(HOSTILE, HOSTILE)
    layers = [msgspec.structs.replace(one, name=HOSTILE + one.name) for one in report.layers]
    per_class = [msgspec.structs.replace(one, name=HOSTILE) for one in report.accuracy.per_class]
    accuracy = msgspec.structs.replace(report.accuracy, per_class=per_class)
    return msgspec.structs.replace(report, layers=layers, accuracy=accuracy, command=HOSTILE)


def deep(count: int) -> Comparison:
    report = canned.comparison()
    first = report.layers[0]
    layers = [
        msgspec.structs.replace(
            first,
            name=f"encoder.blocks.{at}.attention.projection",
            weight_sqnr_db=40 - at / 100,
            original=msgspec.structs.replace(first.original, weight_bytes=4000 + at),
        )
        for at in range(count)
    ]
    return msgspec.structs.replace(report, layers=layers)


class Outline(HTMLParser):
    """The elements of a page in order, and the text in its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append((self.tags[-1][0] if self.tags else "", data))

    def under(self, tag: str) -> list[str]:
        return [text for name, text in self.words if name == tag]


def test_sections_come_in_order() -> None:
    headings = Outline(page()).under("h2")
    wanted = ["Verdict", "Requirements", "Findings", "Size", "Charts", "Samples that suffered most"]
    assert headings[:6] == wanted
    assert headings[-2:] == ["Environment", "How to reproduce"]


def test_every_section_of_the_page_is_there_once() -> None:
    headings = Outline(page()).under("h2")
    for section in comparison_page(complete(), View()).sections:
        assert headings.count(section.title) == 1, section.title


def test_headings_skip_no_level_and_landmarks_exist() -> None:
    tags = [tag for tag, _ in Outline(page()).tags]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert tags.count("main") == tags.count("header") == tags.count("footer") == 1


def test_all_charts_have_a_text_alternative() -> None:
    outline = Outline(page())
    charts = [attributes for tag, attributes in outline.tags if tag == "svg"]
    titles = outline.under("h3")
    assert titles == [
        "Weight bytes by layer",
        "Bytes by role",
        "Bits and zeros by layer",
        "Latency",
        "Speed-up with its interval",
        "KL(original‖compressed)",
        "Accuracy by class",
        "SQNR of the outputs along the depth",
        "SQNR of the weights along the depth",
    ]
    assert "mathdefault" not in page()
    assert [one["role"] for one in charts] == ["img"] * len(titles)
    for one, title in zip(charts, titles, strict=True):
        assert (one["aria-label"] or "").startswith(f"{title}. ")


def drawn(chart: Callable[[Comparison], Chart | None], report: Comparison) -> Chart:
    found = chart(report)
    assert found is not None
    return found


def words_in(svg: str) -> list[str]:
    """The text of a drawing."""
    root = ElementTree.fromstring(svg)
    return [element.text or "" for element in root.iter() if element.tag.endswith("}text")]


def test_latency_shows_what_the_report_keeps() -> None:
    raw, summed_up = (drawn(latency_chart, report) for report in (complete(), canned.comparison()))
    assert "timed block, in the order of the run" in words_in(raw.svg)
    assert raw.caption.startswith("12 timed blocks; dotted lines stand between")
    assert "timed block, in the order of the run" not in words_in(summed_up.svg)
    assert "--raw" in summed_up.caption
    assert summed_up.data is not None
    assert [row[0] for row in summed_up.data.rows] == ["original", "compressed"]
    untimed = [
        msgspec.structs.replace(model, latency=None)
        for model in (canned.comparison().original, canned.comparison().compressed)
    ]
    none = msgspec.structs.replace(canned.comparison(), original=untimed[0], compressed=untimed[1])
    assert latency_chart(none) is None


def with_kl(**changes: Any) -> Comparison:
    report = canned.comparison()
    assert report.divergence is not None
    assert report.divergence.kl is not None
    kl = msgspec.structs.replace(report.divergence.kl, **changes)
    return msgspec.structs.replace(
        report, divergence=msgspec.structs.replace(report.divergence, kl=kl)
    )


def test_a_histogram_has_a_bar_for_every_bin() -> None:
    bins = Histogram(edges=[1e-6, 1e-5, 1e-4, 1e-3, 1e-2], counts=[5, 100, 0, 20], zeros=3)
    chart = drawn(divergence_chart, with_kl(histogram=bins, noise_floor=2e-6))
    bars = ElementTree.fromstring(chart.svg).findall(".//*[@class='f-compressed']")
    assert len(bars) == 4
    assert {"samples", "nats", "mean", "noise floor", "10⁻⁵"} <= {*words_in(chart.svg)}
    assert "Of 3 samples it is zero." in chart.caption


def test_a_noise_floor_far_away_is_told_in_words_only() -> None:
    chart = drawn(divergence_chart, with_kl(noise_floor=1e-14))
    assert "noise floor" not in words_in(chart.svg)
    assert "The noise floor is 1.00e-14." in chart.caption


def test_without_a_histogram_there_are_quantiles() -> None:
    older = drawn(divergence_chart, with_kl(histogram=None))
    assert {"median", "p90", "p99", "p99.9", "max"} <= {*words_in(older.svg)}
    nothing = Histogram(edges=[], counts=[], zeros=400)
    assert divergence_chart(with_kl(histogram=nothing)) is None


@pytest.mark.parametrize("low", [1e-5, 0.3, 3.0])
@pytest.mark.parametrize("width", [1.01, 1.5, 30.0])
def test_every_histogram_has_marks_on_its_axis(low: float, width: float) -> None:
    bins = Histogram(edges=[low, low * width], counts=[7], zeros=0)
    chart = drawn(divergence_chart, with_kl(histogram=bins))
    marks = [word for word in words_in(chart.svg) if re.match(r"[\d.]+(e-\d+)?$|10[⁻\d]", word)]
    assert len(marks) >= 2


def test_the_lowest_of_the_depth_is_named() -> None:
    report = deep(10)
    found = drawn(weights_chart, report)
    # 40 − 9/100 dB, the last
    assert found.caption.startswith("The lowest is 39.9 dB, at encoder.blocks.9.attention")


def test_bytes_by_role_add_up_to_the_file() -> None:
    chart = drawn(role_chart, canned.comparison())
    assert chart.data is not None
    assert [row[0] for row in chart.data.rows] == ["weight", "graph"]
    older = [
        msgspec.structs.replace(model, bytes_by_role={})
        for model in (canned.comparison().original, canned.comparison().compressed)
    ]
    report = msgspec.structs.replace(canned.comparison(), original=older[0], compressed=older[1])
    assert drawn(role_chart, report).title == "Elements by role"


# ------------------------------------------------------------------------- pictures of samples


def images(text: str) -> list[dict[str, str | None]]:
    return [attributes for tag, attributes in Outline(text).tags if tag == "img"]


def test_the_worst_samples_have_their_pictures() -> None:
    """Three of seven have one; each is there with its size and a text alternative."""
    found = images(page())
    assert [one["src"] for one in found] == [f"data:image/png;base64,{canned_quality.TINY_PNG}"] * 3
    assert {(one["width"], one["height"], one["class"]) for one in found} == {("2", "2", "coarse")}
    assert found[0]["alt"] == "what the models were shown of tench/n01440764_00017.JPEG"
    assert page().count("hen/903.JPEG") > 1, "the others are listed as well"


@pytest.mark.parametrize(
    "image",
    [
        None,
        "",
        "no base64!",
        "PHNjcmlwdD4=",
        '"><script>alert(1)</script>',
        canned_quality.TINY_PNG[:20],
        canned_quality.TINY_PNG + "\n",
        base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xff" * 8).decode(),
        base64.b64encode(base64.b64decode(canned_quality.TINY_PNG) + b"\0" * 60_000).decode(),
    ],
)
def test_what_is_no_small_picture_is_not_shown(image: str | None) -> None:
    assert picture_from(image) is None
    report = complete()
    worst = [msgspec.structs.replace(one, image=image) for one in report.worst]
    assert gallery_of(msgspec.structs.replace(report, worst=worst)) is None


def test_without_pictures_a_table_lists_the_samples() -> None:
    text = html(msgspec.structs.replace(canned.comparison(), worst=complete().worst[3:]))
    assert images(text) == []
    assert "Samples that suffered most" in Outline(text).under("h2")


def test_ids_are_unique_and_references_hold() -> None:
    outline = Outline(page())
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        for name in ("href", "clip-path"):
            if value := attributes.get(name):
                assert value.removeprefix("url(").rstrip(")").removeprefix("#") in ids


def test_nothing_is_loaded_and_no_style_attribute_needs_leave() -> None:
    for tag, attributes in Outline(page()).tags:
        assert tag not in {"link", "iframe", "object", "base"}
        assert not {"style", "srcset"} & set(attributes)
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;")
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_the_json_in_the_page_is_the_report() -> None:
    for report, text in ((complete(), page()), (hostile(), hostile_page())):
        found = re.search(r'<script type="application/json" id="report">(.*?)</script>', text, re.S)
        assert found
        assert json.loads(found[1]) == msgspec.to_builtins(report)


def test_hostile_names_make_no_elements() -> None:
    safe, text = page(), hostile_page()
    tags = [tag for tag, _ in Outline(text).tags]
    assert tags.count("script") == 2
    assert "<!--" not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)
    assert set(tags) <= {tag for tag, _ in Outline(safe).tags}


def test_long_lists_are_summed_up() -> None:
    text = html(deep(1000))
    assert "the other 980" in text
    assert len(text.encode()) < 1_000_000


def test_a_thousand_layers_with_everything_stay_below_a_megabyte() -> None:
    """Traced, timed for long, and with ten pictures that compress badly."""
    noise = np.random.default_rng(0).integers(0, 256, (75, 75, 3), np.uint8)
    image = base64.b64encode(encode_png(noise)).decode()
    report, timed = complete(), canned_raw.comparison(ratios=[2.0] * 40)
    worst = [msgspec.structs.replace(report.worst[0], image=image)] * 10
    trace = [
        msgspec.structs.replace(
            report.trace[0], sqnr_db=30.0, name=f"/encoder/blocks.{at}/Add_output_0"
        )
        for at in range(1000)
    ]
    layers = deep(1000).layers
    whole = msgspec.structs.replace(
        report, layers=layers, worst=worst, trace=trace, samples=timed.samples
    )
    text = html(whole)
    packed = re.search(r'<script type="application/gzip" id="report">([^<]*)</script>', text)
    assert packed
    assert json.loads(gzip.decompress(base64.b64decode(packed[1]))) == msgspec.to_builtins(whole)
    assert len(images(text)) == 10
    assert "A point is the lowest of 7 outputs in a row." in text
    assert len(text.encode()) < 1_000_000


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RequestError) as raised:
        html(canned.comparison())
    assert raised.value.hint == "pip install 'compaudit[html]'"


def colours(scheme: str) -> dict[str, str]:
    style = files(compaudit.report.html).joinpath("report.css").read_text(encoding="utf-8")
    begins = {"light": "", "dark": "(prefers-color-scheme:dark)", "print": "@media print"}
    part = style.partition(begins[scheme])[2] if begins[scheme] else style
    block = part.split(":root{")[1].split("}")[0]
    return dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize("ground", ["paper", "panel"])
def test_contrast_is_enough_to_read(scheme: str, ground: str) -> None:
    """4.5 for text and 3 for what charts are drawn in (WCAG 2.2, 1.4.3 and 1.4.11)."""
    found = colours(scheme)
    for name in ("ink", "muted", "good", "bad", "warning", "original", "compressed"):
        high, low = sorted((luminance(found[name]), luminance(found[ground])), reverse=True)
        least = 3 if name in ("original", "compressed") else 4.5
        assert (high + 0.05) / (low + 0.05) >= least, name


@pytest.mark.parametrize("report", [canned.inspection(), canned_checkup.checkup()])
def test_other_documents_are_pages_of_tables(report: Report) -> None:
    text = render(report, "html").decode()
    outline = Outline(text)
    assert "svg" not in [tag for tag, _ in outline.tags]
    assert outline.under("h2")[-2:] == ["Environment", "How to reproduce"]
    found = re.search(r'<script type="application/json" id="report">(.*?)</script>', text, re.S)
    assert found
    assert json.loads(found[1]) == msgspec.to_builtins(report)


def test_names_that_differ_in_their_middle_stay_apart() -> None:
    names = [f"encoder.blocks.{at}.attention.projection" for at in range(20)]
    shown = labels(names)
    assert len({*shown}) == 20
    assert max(map(len, shown)) <= 26
    assert labels(["stem.conv", "head"]) == ["stem.conv", "head"]
