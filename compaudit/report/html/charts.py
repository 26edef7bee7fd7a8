"""The charts of an audit, in order; those without figures are left out."""

from __future__ import annotations

from compaudit.report.html.drawing import Chart
from compaudit.report.html.layers import precision_chart, trace_chart, weights_chart
from compaudit.report.html.outputs import classes_chart, divergence_chart
from compaudit.report.html.stored import layer_bytes_chart, role_chart
from compaudit.report.html.timing import delta_chart, latency_chart
from compaudit.results import Comparison

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


def charts_of(report: Comparison) -> tuple[Chart, ...]:
    """Every chart that the report has figures for."""
    made = (chart(report) for chart in _CHARTS)
    return tuple(chart for chart in made if chart is not None)
