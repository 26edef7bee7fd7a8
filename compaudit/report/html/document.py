"""The parts of the page put together."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from compaudit.errors import RequestError
from compaudit.report.html.context import environment_section, reproduction_section
from compaudit.report.rows.base import Page
from compaudit.report.rows.worst import worst_section
from compaudit.results import Comparison, Ranking, encode_report
from compaudit.units import without_controls

__all__ = ["render_html", "require_libraries"]

_LIBRARIES = ("jinja2", "matplotlib")


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


def render_html(report: Comparison | Ranking, page: Page) -> bytes:
    """An audit or a ranking as one HTML file, UTF-8, that opens without a network.

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
        **_parts(report, page),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        json=_embedded(report),
    )
    return text.encode("utf-8", "replace")


def _parts(report: Comparison | Ranking, page: Page) -> dict[str, Any]:
    """The tables and the charts."""
    main, *others = page.sections or (None,)
    if isinstance(report, Ranking):
        from compaudit.report.html.ranking import hashes_section
        from compaudit.report.html.tradeoff import tradeoff_charts

        return {
            "main": main,
            "charts": tradeoff_charts(report),
            "worst": None,
            "others": others,
            "context": (environment_section(report), hashes_section(report)),
        }
    from compaudit.report.html.charts import charts_of

    worst = worst_section(report)
    return {
        "main": main,
        "charts": charts_of(report),
        "worst": worst,
        "others": [section for section in others if section != worst],
        "context": (environment_section(report), reproduction_section(report)),
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


def _embedded(report: Comparison | Ranking) -> str:
    """The report's JSON without any letter that could end its element; still the same JSON."""
    value = json.loads(encode_report(report))
    text = json.dumps(value, separators=(",", ":"))  # ASCII: escapes U+2028 too
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")
