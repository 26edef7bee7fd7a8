"""The charts of a page, in order; those without figures are left out."""

from __future__ import annotations

from compaudit.report.html.curves import curves_of
from compaudit.report.html.drawing import Chart
from compaudit.report.html.layers import precision_chart, trace_chart, weights_chart
from compaudit.report.html.outputs import classes_chart, divergence_chart
from compaudit.report.html.stored import layer_bytes_chart, role_chart
from compaudit.report.html.timing import delta_chart, latency_chart
from compaudit.report.html.tradeoff import tradeoff_charts
from compaudit.results import Benchmark, Comparison, Document, Ranking

__all__ = ["charts_of"]

_CHARTS = (
    layer_bytes_chart,
    role_chart,
    precision_chart,
    latency_chart,
    delta_chart,
    divergence_chart,
    classes_chart,
    trace_chart,
    weights_chart,
)


def charts_of(report: Document) -> tuple[Chart, ...]:
    """Every chart that the report has figures for."""
    if isinstance(report, Benchmark):
        return curves_of(report)
    if isinstance(report, Ranking):
        return tradeoff_charts(report)
    if not isinstance(report, Comparison):
        return ()
    made = (chart(report) for chart in _CHARTS)
    return tuple(chart for chart in made if chart is not None)
