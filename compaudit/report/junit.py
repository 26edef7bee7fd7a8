"""Audits as JUnit XML: a test case for every requirement, for the pages that CI systems make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal
from xml.etree import ElementTree

from compaudit.report.rows.base import Note, Page
from compaudit.report.table import render_table
from compaudit.results import Check, Checkup, Comparison, Estimate, Failure, Inspection, Ranking

__all__ = ["render_junit"]

_NAME = "compaudit"
_WIDTH = 100
_OUTCOMES = ("failure", "error", "skipped")
# Everything that is no Char of XML 1.0 (W3C, section 2.2).
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Outcome = Literal["failure", "error", "skipped"]


def render_junit(page: Page, report: Comparison | Inspection | Ranking | Checkup) -> str:
    """One suite of a case for each requirement, with the report as its output.

    Where nothing was required, or something went wrong, the request itself is a case.
    """
    suite = ElementTree.Element("testsuite", name=_NAME, timestamp=report.created_at[:19])
    if isinstance(report, Comparison):
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in _figures(report):
            ElementTree.SubElement(properties, "property", name=name, value=value)
    if report.error is not None or not page.checks:
        _add_request(suite, page, report.error)
    if isinstance(report, Comparison | Ranking):
        lenient = report.config.get("inconclusive", "fail") != "fail"
        for (whose, check, failure), note in zip(_checks(report), page.checks, strict=True):
            _add_check(suite, check, note, failure, whose, lenient=lenient)
    output = ElementTree.SubElement(suite, "system-out")
    output.text = _allowed(render_table(page, _WIDTH, color=False))
    suite.set("tests", str(len(suite.findall("testcase"))))
    for attribute, outcome in zip(("failures", "errors", "skipped"), _OUTCOMES, strict=True):
        suite.set(attribute, str(len(suite.findall(f"testcase/{outcome}"))))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return document.decode() + "\n"


def _add_request(suite: ElementTree.Element, page: Page, failure: Failure | None) -> None:
    """The audit or the look itself, which went well or did not."""
    case = _case(suite, page.title)
    if failure is not None:
        text = "\n".join(part for part in (failure.message, failure.hint) if part)
        _add_outcome(case, "error", failure.code, failure.message, text)


def _checks(report: Comparison | Ranking) -> Iterator[tuple[str, Check, Failure | None]]:
    """Every check, with whose it is where there are many, and what that one died of."""
    if isinstance(report, Comparison):
        for check in report.gate.checks:
            yield "", check, report.error
        return
    for one in report.candidates:
        for check in one.gate.checks:
            yield f"{one.label}: ", check, one.error


def _add_check(
    suite: ElementTree.Element,
    check: Check,
    note: Note,
    failure: Failure | None,
    whose: str,
    *,
    lenient: bool,
) -> None:
    case = _case(suite, f"{whose}{check.requirement}")
    outcome = _outcome(check, died=failure is not None, lenient=lenient)
    if outcome is not None:
        _add_outcome(case, outcome, check.status, note.text, note.text)


def _outcome(check: Check, *, died: bool, lenient: bool) -> Outcome | None:
    """How a requirement ended; what could not be measured because a model died is an error."""
    match check.status:
        case "passed":
            return None
        case "failed":
            return "failure"
        case "inconclusive":
            if died and check.observed is None:
                return "error"
            return "skipped" if lenient else "failure"


def _case(suite: ElementTree.Element, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_NAME, name=_allowed(name))


def _add_outcome(
    case: ElementTree.Element, outcome: Outcome, kind: str, message: str, text: str
) -> None:
    attributes = {"message": _allowed(message)}
    if outcome != "skipped":
        attributes["type"] = _allowed(kind)
    ElementTree.SubElement(case, outcome, attributes).text = _allowed(text)


def _figures(report: Comparison) -> Iterator[tuple[str, str]]:
    """The main figures by their path in the JSON report, in full precision."""
    yield "original", _allowed(report.original.path)
    yield "compressed", _allowed(report.compressed.path)
    for basis in report.alpha.__struct_fields__:
        yield from _figure(f"alpha.{basis}", getattr(report.alpha, basis))
    if report.delta is not None:
        yield from _figure("delta", report.delta)
        yield "delta.verdict", report.delta.verdict
    if report.accuracy is not None:
        for name in ("top1", "top5", "perplexity", "mse", "mae", "r2"):
            pair = getattr(report.accuracy, name)
            if pair is not None:
                yield from _figure(f"accuracy.{name}.delta", pair.delta)
    if report.divergence is not None and report.divergence.kl is not None:
        yield from _figure("divergence.kl.mean", report.divergence.kl.mean)
    yield "gate.status", report.gate.status


def _figure(path: str, value: float | Estimate | None) -> Iterator[tuple[str, str]]:
    """A figure, and the ends of its interval; none for what was not measured."""
    if isinstance(value, Estimate):
        for name in ("value", "low", "high"):
            yield from _figure(f"{path}.{name}", getattr(value, name))
    elif value is not None:
        yield path, repr(value)


def _allowed(text: str) -> str:
    """The text without the characters that no XML document may hold."""
    return _FORBIDDEN.sub("", text)
