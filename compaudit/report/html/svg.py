"""A matplotlib figure as SVG that can stand in a page: its colours are the page's."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["INKS", "inline_svg"]

INKS = {
    "#010101": "ink",
    "#020202": "muted",
    "#030303": "rule",
    "#040404": "original",
    "#050505": "compressed",
    "#060606": "good",
    "#070707": "bad",
}
"""What a chart is drawn in, and the name of the colour that the page gives it."""
_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_DROPPED = {"font-family", "font"}


def inline_svg(figure: Figure, key: str, label: str) -> str:
    """The figure as an `svg` element without style attributes, which a strict page forbids.

    Args:
        figure: drawn in the colours of `INKS`.
        key: makes the ids in it unique within the page.
        label: its text alternative.
    """
    text = io.BytesIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(text.getvalue())  # written by matplotlib just now
    for child in list(root):
        if child.tag == f"{{{_SVG}}}metadata":
            root.remove(child)
    for parent in root.iter():
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}style":
                parent.remove(child)
    for element in root.iter():
        _tidy(element, key)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _tidy(element: ElementTree.Element, key: str) -> None:
    for name, value in _declarations(element.attrib.pop("style", "")):
        ink = INKS.get(value)
        if ink is not None:
            element.set("class", f"{element.get('class', '')} {name[0]}-{ink}".strip())
        elif name not in _DROPPED:
            element.set(name, value)
    href = element.attrib.pop(_HREF, None)
    if href is not None:
        element.set("href", f"#{key}-{href.removeprefix('#')}")
    if "id" in element.attrib:
        element.set("id", f"{key}-{element.get('id')}")
    if "clip-path" in element.attrib:
        element.set("clip-path", re.sub(r"url\(#", f"url(#{key}-", element.get("clip-path", "")))
    if "d" in element.attrib:
        path = re.sub(r"(\.\d)\d+", r"\1", element.get("d", ""))
        element.set("d", " ".join(path.split()))


def _declarations(style: str) -> list[tuple[str, str]]:
    pairs = (part.partition(":") for part in style.split(";") if ":" in part)
    return [(name.strip(), value.strip()) for name, _, value in pairs]
