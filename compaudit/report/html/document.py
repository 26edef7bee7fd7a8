"""The parts of the page put together."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from compaudit.errors import RequestError
from compaudit.report.html.context import environment_section, reproduction_section
from compaudit.report.html.embedding import embed
from compaudit.report.html.hashes import hashes_section
from compaudit.report.html.samples import gallery_of
from compaudit.report.rows.base import Page
from compaudit.report.rows.worst import worst_section
from compaudit.report.tally import gravest, tally
from compaudit.results import Benchmark, Checkup, Comparison, Document, Inspection, Ranking
from compaudit.units import without_controls

__all__ = ["render_html", "require_libraries"]

_LIBRARIES = ("jinja2", "matplotlib")
_WHAT = {
    Comparison: "audit of a compressed model",
    Inspection: "what models are made of",
    Ranking: "compressed models beside one original",
    Benchmark: "models over batch sizes, threads and devices",
    Checkup: "what this machine can measure",
}


def require_libraries() -> None:
    """Whether they are installed; nothing is imported.

    Raises:
        RequestError: jinja2 or matplotlib is not.
    """
    for name in _LIBRARIES:
        if find_spec(name) is None:
            raise RequestError(
                f"an HTML report needs {name}, which is not installed",
                hint="pip install 'compaudit[html]'",
                code="missing-html",
                stage="report",
            )


def render_html(report: Document, page: Page) -> bytes:
    """A report as one HTML file, UTF-8, that opens without a network.

    Args:
        report: figures of the charts, and the JSON that can be saved from the page.
        page: the wording of everything else.

    Raises:
        RequestError: jinja2 or matplotlib is not installed.
    """
    require_libraries()
    import jinja2

    style, script = (_file(name).strip() for name in ("report.css", "save.js"))
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_clean,
    )
    text = environment.from_string(_file("report.html.jinja")).render(
        page=page,
        what=_WHAT[type(report)],
        counted=tally(page.checks),
        checks=gravest(page.checks),
        findings=gravest(page.findings),
        **_parts(report, page),
        environment=environment_section(report.environment),
        command=report.command,
        written=f"{report.tool.name} {report.tool.version}, {report.created_at}",
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        embedded=embed(report),
    )
    return text.encode("utf-8", "replace")


def _parts(report: Document, page: Page) -> dict[str, Any]:
    """The tables, and what only an audit or a ranking has beside them."""
    from compaudit.report.html.charts import charts_of

    charts = charts_of(report)
    if not isinstance(report, Comparison):
        hashes = hashes_section(report) if isinstance(report, Ranking | Benchmark) else None
        shown = {"main": None, "gallery": None, "worst": None, "reproduction": hashes}
        return {**shown, "charts": charts, "others": page.sections}
    main, *others = page.sections or (None,)
    gallery, worst = gallery_of(report), worst_section(report)
    return {
        "main": main,
        "charts": charts,
        "gallery": gallery,
        "worst": None if gallery else worst,
        "others": [section for section in others if section != worst],
        "reproduction": reproduction_section(report),
    }


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _clean(value: object) -> object:
    """Names without control characters; what is markup already stays as it is."""
    if type(value) is not str:
        return value
    return "\n".join(without_controls(line) for line in value.split("\n"))


def _hash(text: str) -> str:
    """The hash by which a Content-Security-Policy knows an inline element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
