"""A report as one HTML file that needs nothing else: no network, no fonts, no libraries."""

from compaudit.report.html.document import render_html, require_libraries

__all__ = ["render_html", "require_libraries"]
