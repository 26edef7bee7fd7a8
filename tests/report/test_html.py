"""The structure of the HTML report, its safety and its size; a browser is in test_html_browser."""

import json
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise

import canned
import canned_quality
import canned_raw
import msgspec
import pytest

from compaudit.errors import RequestError
from compaudit.report.html import render_html
from compaudit.report.rows.comparison import comparison_page
from compaudit.report.view import View
from compaudit.results import Comparison

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
HOSTILE = "\"'></script><!--<script>document.title='owned'</script>\x1b[31m$x_\x00"


def html(report: Comparison) -> str:
    return render_html(report, comparison_page(report, View())).decode()


def complete() -> Comparison:
    plain, timed = canned.comparison(), canned_raw.comparison()
    return msgspec.structs.replace(
        canned_quality.classification(),
        **{name: getattr(plain, name) for name in ("delta", "gate", "findings")},
        samples=timed.samples,
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
    headings = Outline(html(complete())).under("h2")
    wanted = ["Verdict", "Requirements", "Findings", "Size", "Charts", "Samples that suffered most"]
    assert headings[:6] == wanted
    assert headings[-2:] == ["Environment", "How to reproduce"]


def test_every_section_of_the_page_is_there_once() -> None:
    report = complete()
    headings = Outline(html(report)).under("h2")
    for section in comparison_page(report, View()).sections:
        assert headings.count(section.title) == 1, section.title


def test_headings_skip_no_level_and_landmarks_exist() -> None:
    tags = [tag for tag, _ in Outline(html(complete())).tags]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert tags.count("main") == tags.count("header") == tags.count("footer") == 1


def test_all_charts_have_a_text_alternative() -> None:
    outline = Outline(html(complete()))
    charts = [attributes for tag, attributes in outline.tags if tag == "svg"]
    titles = outline.under("h3")
    assert titles == [
        "Weight bytes by layer",
        "Elements by role",
        "Bits and zeros by layer",
        "Latency",
        "Speed-up with its interval",
        "KL(original‖compressed)",
        "Accuracy by class",
        "SQNR along the depth",
    ]
    assert "mathdefault" not in html(complete())
    assert [one["role"] for one in charts] == ["img"] * len(titles)
    for one, title in zip(charts, titles, strict=True):
        assert (one["aria-label"] or "").startswith(f"{title}. ")


def test_latency_is_drawn_only_with_raw_samples() -> None:
    assert "Latency" not in Outline(html(canned.comparison())).under("h3")


def test_ids_are_unique_and_references_hold() -> None:
    outline = Outline(html(complete()))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        for name in ("href", "clip-path"):
            if value := attributes.get(name):
                assert value.removeprefix("url(").rstrip(")").removeprefix("#") in ids


def test_nothing_is_loaded_and_no_style_attribute_needs_leave() -> None:
    for tag, attributes in Outline(html(complete())).tags:
        assert tag not in {"link", "img", "iframe", "object", "base"}
        assert not {"src", "style", "srcset"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_the_json_in_the_page_is_the_report() -> None:
    for report in (complete(), hostile()):
        text = html(report)
        found = re.search(r'<script type="application/json" id="report">(.*?)</script>', text, re.S)
        assert found
        assert json.loads(found[1]) == msgspec.to_builtins(report)


def test_hostile_names_make_no_elements() -> None:
    safe, text = html(canned.comparison()), html(hostile())
    tags = [tag for tag, _ in Outline(text).tags]
    assert tags.count("script") == 2
    assert "<!--" not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)
    assert {tag for tag, _ in Outline(safe).tags} == set(tags)


def test_long_lists_are_summed_up() -> None:
    text = html(deep(1000))
    assert "the other 970" in text
    assert len(text.encode()) < 1_000_000


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RequestError) as raised:
        html(canned.comparison())
    assert raised.value.hint == "pip install 'compaudit[html]'"


def colours(scheme: str) -> dict[str, str]:
    style = html(canned.comparison()).split("<style>")[1]
    part = style.split("prefers-color-scheme:dark")[1] if scheme == "dark" else style
    block = part.split(":root{")[1].split("}")[0]
    return dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "panel"])
def test_contrast_is_enough_to_read(scheme: str, ground: str) -> None:
    """4.5 for text and 3 for what charts are drawn in (WCAG 2.2, 1.4.3 and 1.4.11)."""
    found = colours(scheme)
    for name in ("ink", "muted", "good", "bad", "warning", "original", "compressed"):
        high, low = sorted((luminance(found[name]), luminance(found[ground])), reverse=True)
        least = 3 if name in ("original", "compressed") else 4.5
        assert (high + 0.05) / (low + 0.05) >= least, name
