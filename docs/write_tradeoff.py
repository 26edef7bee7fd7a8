r"""Write docs/tradeoff.svg, the README's picture, from a saved ranking.

Make one on a machine that has nothing else to do, and give it::

    compaudit rank sample_models/digits.onnx 'sample_models/digits_*.onnx' \
        --data sample_models/digits_test.npz -o ranking.json
    python docs/write_tradeoff.py ranking.json

The drawings are those of the HTML page, one beside the other, with the page's own colours for light
and dark.
"""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

from compaudit.report.html.tradeoff import tradeoff_charts
from compaudit.results import Ranking
from compaudit.saved import read_report

PICTURE = Path(__file__).parent / "tradeoff.svg"
SVG = "http://www.w3.org/2000/svg"
_TITLE = 26.0
_GAP = 14.0


def picture(report: Ranking) -> str:
    """Both drawings as one SVG that needs no page around it."""
    charts = tradeoff_charts(report)
    ElementTree.register_namespace("", SVG)
    whole = ElementTree.Element(f"{{{SVG}}}svg", {"role": "img", "class": "picture"})
    style = ElementTree.SubElement(whole, f"{{{SVG}}}style")
    style.text = _colours() + "svg{font-family:system-ui,sans-serif}.paper{fill:var(--paper)}"
    paper = ElementTree.SubElement(whole, f"{{{SVG}}}rect", {"class": "paper", "rx": "6"})
    left = height = 0.0
    for chart in charts:
        root = ElementTree.fromstring(chart.svg)
        _, _, across, down = map(float, root.attrib.pop("viewBox").split())
        group = ElementTree.SubElement(
            whole, f"{{{SVG}}}g", {"transform": f"translate({left:g} {_TITLE:g})"}
        )
        title = ElementTree.SubElement(
            group,
            f"{{{SVG}}}text",
            {
                "class": "f-ink",
                "x": f"{_GAP:g}",
                "y": "-8",
                "font-size": "12",
                "font-weight": "600",
            },
        )
        title.text = chart.title
        group.extend(list(root))
        left += across + _GAP
        height = max(height, down + _TITLE)
    size = {"width": f"{left:g}", "height": f"{height:g}"}
    paper.attrib.update(size)
    whole.attrib.update(size)
    whole.set("viewBox", f"0 0 {left:g} {height:g}")
    whole.set("aria-label", " ".join(f"{chart.title}. {chart.caption}" for chart in charts))
    return ElementTree.tostring(whole, encoding="unicode") + "\n"


def _colours() -> str:
    """The page's colours, and which class has which."""
    css = files("compaudit.report.html").joinpath("report.css").read_text(encoding="utf-8")
    light = re.search(r"^:root\{.*\}$", css, re.M)
    dark = re.search(r"^@media \(prefers-color-scheme:dark\)\{.*\}\}$", css, re.M)
    classes = re.findall(r"\.[fs]-\w+\{(?:fill|stroke):var\(--\w+\)\}", css)
    assert light is not None
    assert dark is not None
    assert classes
    return light[0] + dark[0] + "".join(classes)


if __name__ == "__main__":
    found = read_report(sys.argv[1])
    assert isinstance(found, Ranking), "give the JSON report of compaudit rank"
    PICTURE.write_text(picture(found), encoding="utf-8")
