"""The HTML report in a real browser: quiet, complete and readable, on a phone and in the dark."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from browser import BROWSER, look, printed, without_policy
from test_html import complete, deep, hostile_page, html, luminance, page

pytestmark = pytest.mark.skipif(not BROWSER, reason="needs chromium or google-chrome on the PATH")

SHOWN = """(() => {
  const box = (element) => element.getBoundingClientRect();
  return {
    loaded: performance.getEntriesByType("resource").length,
    charts: document.querySelectorAll("figure svg").length,
    flat: [...document.querySelectorAll("figure svg")].filter((s) => box(s).height < 50).length,
    pictures: [...document.images].map((i) => [i.naturalWidth, i.naturalHeight, i.complete]),
    sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    outside: [...document.querySelectorAll("h1, h2, h3, p, dd, dt, figcaption, svg, img, pre")]
      .filter((e) => box(e).right > innerWidth + 1 && !e.closest(".scroll"))
      .map((e) => e.outerHTML.slice(0, 80)),
    smallest: Math.min(...[...document.querySelectorAll("figure svg text")].map((t) =>
      parseFloat(getComputedStyle(t).fontSize)
      * box(t.ownerSVGElement).width / t.ownerSVGElement.viewBox.baseVal.width)),
    save: !document.getElementById("save").hidden,
  };
})()"""

# The colour of every text and of the ground that it stands on, as the browser computed them.
COLOURS = """(() => {
  const ground = (element) => {
    for (let place = element; place; place = place.parentElement) {
      const colour = getComputedStyle(place).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = new Map();
  for (const element of document.body.querySelectorAll("*")) {
    const drawn = element.namespaceURI.endsWith("svg");
    const says = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!says || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    found.set(`${drawn ? style.fill : style.color}|${ground(element)}`,
              `${element.tagName} ${element.textContent.trim().slice(0, 30)}`);
  }
  return [...found].map(([colours, where]) => [...colours.split("|"), where]);
})()"""

SAVED = "savedReport().then((blob) => blob.text())"


@pytest.mark.parametrize("text", [page, hostile_page])
def test_no_console_errors_no_network_and_nothing_hostile_runs(
    text: Callable[[], str], tmp_path: Path
) -> None:
    seen = look(text(), tmp_path)
    assert "CONSOLE" not in seen.log
    assert seen.asked == []
    assert "<title>owned" not in seen.page
    assert '<button id="save" type="button">' in seen.page, "the page's own script ran"


def test_the_policy_refuses_other_scripts_and_pictures(tmp_path: Path) -> None:
    bad = (
        "<script>document.title='owned'</script>"
        '<img src="http://compaudit.invalid/x.png"><img src="x" onerror="document.title=\'owned\'">'
    )
    seen = look(page().replace("</body>", f"{bad}</body>"), tmp_path)
    assert "<title>owned" not in seen.page
    assert "CONSOLE" in seen.log, "so a violation would have been seen above"
    assert seen.asked == []


def test_a_request_to_a_network_would_have_been_noticed(tmp_path: Path) -> None:
    bad = '<img src="http://compaudit.invalid/x.png">'
    seen = look(without_policy(page()).replace("</body>", f"{bad}</body>"), tmp_path)
    assert seen.asked == ["GET http://compaudit.invalid/x.png HTTP/1.1"]


@pytest.mark.parametrize("width", [None, 390])
def test_everything_shows_and_only_tables_scroll(width: int | None, tmp_path: Path) -> None:
    found = look(without_policy(page(), SHOWN), tmp_path, width=width).found
    assert found["loaded"] == 0
    assert (found["charts"], found["flat"]) == (9, 0)
    assert found["pictures"] == [[2, 2, True]] * 3
    assert found["sideways"] <= 0
    assert found["outside"] == []
    assert found["smallest"] >= 6.5, "in pixels"
    assert found["save"]


def test_hostile_names_do_not_break_a_phone(tmp_path: Path) -> None:
    found = look(without_policy(hostile_page(), SHOWN), tmp_path, width=390).found
    assert found["sideways"] <= 0
    assert found["outside"] == []


def ratio(ink: str, ground: str) -> float:
    """Contrast of two colours as CSS writes them, WCAG 2.2."""
    first, second = (
        "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", colour)[:3])
        for colour in (ink, ground)
    )
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(dark: bool, tmp_path: Path) -> None:
    """4.5 to 1 (WCAG 2.2, 1.4.3), of the colours that the browser has computed."""
    found = look(without_policy(page(), COLOURS), tmp_path, dark=dark).found
    assert len(found) >= 6
    assert [one for one in found if ratio(*one[:2]) < 4.5] == []
    grounds = {
        luminance("#" + "".join(f"{int(p):02x}" for p in re.findall(r"\d+", ground)[:3]))
        for _, ground, _ in found
    }
    assert all((ground < 0.1) == dark for ground in grounds), "it follows what readers prefer"


@pytest.mark.parametrize("layers", [7, 1000])
def test_what_is_saved_is_the_report(layers: int, tmp_path: Path) -> None:
    report = msgspec.structs.replace(complete(), layers=deep(layers).layers)
    found = look(without_policy(html(report), SAVED), tmp_path).found
    assert json.loads(found) == msgspec.to_builtins(report)


def test_it_prints_in_black_on_white(tmp_path: Path) -> None:
    pdf = printed(page(), tmp_path)
    assert pdf.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 2 <= pages <= 12
