"""No evidence is never a pass: 10,000 random requirements on random reports and baselines."""

import math
from typing import Any

import canned
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compaudit.gate import judge, parse_requirement
from compaudit.results import Comparison

REPORT: Comparison = canned.comparison()

NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(0.5, 4.0),
    st.sampled_from([0.0, 1.0, 2.0, -1.0, math.nan, math.inf, -math.inf]),
    st.none(),
)
AMOUNTS = st.integers(0, 400).map(lambda count: count / 100)


@st.composite
def figures(draw: st.DrawFn) -> dict[str, Any]:
    """δ and α(macs), either of which may be missing, without bounds, or no number at all."""
    value, low, high = draw(NUMBERS), draw(NUMBERS), draw(NUMBERS)
    if draw(st.booleans()) and None not in (value, low, high):
        low, value, high = sorted((value, low, high))
    return {"value": value, "low": low, "high": high, "macs": draw(NUMBERS)}


def report_with(figures: dict[str, Any], **environment: Any) -> Comparison:
    delta = None
    if figures["value"] is not None:
        points = {name: figures[name] for name in ("value", "low", "high")}
        delta = msgspec.structs.replace(REPORT.delta, **points)
    return msgspec.structs.replace(
        REPORT,
        delta=delta,
        alpha=msgspec.structs.replace(REPORT.alpha, macs=figures["macs"]),
        environment=msgspec.structs.replace(REPORT.environment, **environment),
    )


METRICS = st.sampled_from(["delta", "delta.value", "delta.low", "alpha.macs"])


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    """A number, or a figure with a factor and a tolerance."""
    kind = draw(st.sampled_from(["number", "baseline", "baseline.other", "other"]))
    if kind == "number":
        return {"kind": kind, "number": draw(AMOUNTS)}
    tolerances = draw(st.lists(st.tuples(AMOUNTS, st.booleans()), max_size=2))
    return {
        "kind": kind,
        "other": draw(METRICS),
        "factor": draw(st.sampled_from([1.0, 0.8, 2.0])),
        "sign": draw(st.sampled_from([1, -1])),
        "tolerances": [
            (min(amount, 1.0) if share else amount, share) for amount, share in tolerances
        ],
    }


def written(metric: str, limit: dict[str, Any]) -> tuple[str, str]:
    """The limit as text, and the metric that it is made from."""
    if limit["kind"] == "number":
        return f"{limit['number']}", ""
    other = metric if limit["kind"] == "baseline" else limit["other"]
    name = {"baseline": "baseline", "baseline.other": f"baseline.{other}", "other": other}
    text = f"{limit['factor']} * {name[limit['kind']]}"
    if limit["tolerances"]:
        parts = [f"{n * 100:.0f} %" if share else f"{n}" for n, share in limit["tolerances"]]
        inner = parts[0] if len(parts) == 1 else f"max({', '.join(parts)})"
        text += f" {'+' if limit['sign'] > 0 else '-'} {inner}"
    return text, other


def evidence(metric: str, figures: dict[str, Any]) -> list[float | None]:
    """Everything that a metric says: a number, or a point with both bounds."""
    if figures["value"] is None and metric != "alpha.macs":
        return [None]
    match metric:
        case "delta":
            return [figures["value"], figures["low"], figures["high"]]
        case "delta.value":
            return [figures["value"]]
        case "delta.low":
            return [figures["low"]]
        case _:
            return [figures["macs"]]


def limit_at(figure: float, limit: dict[str, Any]) -> float:
    base = float(limit["factor"] * figure)
    distances = [amount * abs(base) if share else amount for amount, share in limit["tolerances"]]
    return base + limit["sign"] * (max(distances) if distances else 0.0)


def holds(left: float, operator: str, right: float) -> bool:
    """With room for the rounding of a few additions."""
    slack = 1e-9 * max(abs(left), abs(right), 1e-300)
    if operator in (">=", ">"):
        return left >= right - slack
    return left <= right + slack


CASES = st.fixed_dictionaries(
    {
        "metric": METRICS,
        "operator": st.sampled_from([">=", "<=", ">", "<"]),
        "limit": limits(),
        "now": figures(),
        "before": st.none() | figures(),
        "moved": st.booleans(),
        "severity": st.sampled_from(["", "warn: ", "fail: "]),
    }
)


HUGE = {
    "metric": "delta",
    "operator": ">=",
    "limit": {
        "kind": "baseline",
        "other": "delta",
        "factor": 1.0,
        "sign": 1,
        "tolerances": [],
    },
    # Beside such a number 0.5 is lost in rounding.
    "now": {"value": 4503599627370498.0, "low": 0.0, "high": 4503599622866898.0, "macs": 0.0},
    "before": {"value": 0.5, "low": 0.0, "high": 1.0, "macs": 0.0},
    "moved": False,
    "severity": "",
}


@settings(max_examples=2_500, deadline=None)
@given(case=CASES)
@example(case=HUGE)
def test_whatever_passes_is_shown_by_finite_evidence(case: dict[str, Any]) -> None:
    shown_by_finite_evidence(**case)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(case=CASES)
def test_in_ten_thousand_cases_too(case: dict[str, Any]) -> None:
    shown_by_finite_evidence(**case)


def shown_by_finite_evidence(
    metric: str,
    operator: str,
    limit: dict[str, Any],
    now: dict[str, Any],
    before: dict[str, Any] | None,
    moved: bool,
    severity: str,
) -> None:
    """It holds for every number that its evidence admits, of both figures where there are two."""
    text, other = written(metric, limit)
    of_baseline = limit["kind"].startswith("baseline")
    if limit["kind"] == "other" and other == metric:
        return  # refused
    report = report_with(now)
    baseline = None if before is None else report_with(before, cpu="X" if moved else "A processor")
    gate = judge([parse_requirement(f"{severity}{metric} {operator} {text} # m")], report, baseline)
    (check,) = gate.checks
    if severity == "warn: ":
        assert gate.status == "none"
    elif check.status != "passed":
        assert gate.status != "passed"
    if check.status != "passed":
        return
    shown = evidence(metric, now)
    assert all(one is not None and math.isfinite(one) for one in shown)
    if limit["kind"] == "number":
        bounds = [limit["number"]]
    else:
        source = before if of_baseline else now
        assert source is not None
        against = evidence(other, source)
        assert all(one is not None and math.isfinite(one) for one in against)
        bounds = [limit_at(one, limit) for one in against if one is not None]
    if of_baseline and (metric, other) != ("alpha.macs", "alpha.macs"):
        assert not moved, "times of two machines"
    point, *ends = (one for one in shown if one is not None)
    for left, right in [
        *((end, bounds[0]) for end in ends),
        *((point, bound) for bound in bounds[1:]),
        *([(point, bounds[0])] if not ends else []),
    ]:
        assert holds(left, operator, right), (left, operator, right)
