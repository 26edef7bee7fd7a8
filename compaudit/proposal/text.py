"""The text of a compaudit.toml.

What the audit itself does not pass, because it was not measured or has no interval, is a comment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from compaudit import gate
from compaudit.proposal.limits import Limit, limits_of
from compaudit.proposal.settings import as_toml, settings_of
from compaudit.results import Comparison
from compaudit.units import without_controls

__all__ = ["TEMPLATE", "proposed"]

TEMPLATE = """\
# Settings of compaudit: https://github.com/compaudit/compaudit
# Keys are the long options of `compaudit compare`; what stands on the command line wins.
# The limits here are examples: `compaudit init ORIGINAL COMPRESSED` takes them from an audit.

# data = "test.npz"             # samples with labels, for accuracy
# time-budget = "60s"           # for timing
# threads = 1

require = [
  # "alpha.file_bytes >= 3.5",
  # "delta >= 1.2",
  # "accuracy.top1.delta >= -1 pp",
  # With a severity ("warn" is shown and changes no exit code) and a message of your own:
  # { that = "compressed.file_bytes <= 25 MB", severity = "warn", message = "ask Ada" },
]
"""


def proposed(report: Comparison, folder: Path) -> str:
    """A commented file that this audit passes.

    Args:
        report: of an audit in which nothing died.
        folder: where the file is to be: its paths are relative to that.
    """
    models = " and ".join(model.path for model in (report.original, report.compressed))
    lines = [
        *_comment(f"Settings of compaudit, from an audit of {models} ({report.created_at[:10]})."),
        *_comment("Keys are the long options of `compaudit compare`; the command line wins."),
        *_comment("To judge the same audit by them: compaudit gate REPORT.json"),
        "",
        *_settings(report, folder),
        *_comment("What must hold; where a figure has an interval, for the whole of it."),
        "require = [",
        *(f"  {line}" for limit in limits_of(report) for line in _entry(limit, report)),
        "]",
        "",
        *_comment("No worse than the last accepted audit (file 2 %, δ 10 %, top-1 0.5 pp):"),
        *_comment("To accept one: compaudit gate REPORT.json --baseline accepted.json --accept"),
        *_comment('baseline = "accepted.json"'),
    ]
    return "\n".join(lines) + "\n"


def _settings(report: Comparison, folder: Path) -> Iterator[str]:
    given = [f"{key} = {value}" for key, value in settings_of(report, folder)]
    if given:
        yield from _comment("How the audit was made.")
        yield from given
        yield ""
    if report.config.get("trust_model_code"):
        yield from _comment("Only the command line can trust a model's code: --trust-model-code")
        yield ""


def _entry(limit: Limit, report: Comparison) -> Iterator[str]:
    """A line of the list; a comment where the audit does not pass it."""
    (check,) = gate.judge([gate.parse_requirement(limit.that)], report).checks
    passed = check.status == "passed"
    why = limit.why if passed else f"{limit.why}; {check.reason or 'it is not so'}"
    written = as_toml(limit.that)
    if limit.severity != "fail" or limit.message:
        parts = {"that": limit.that, "severity": limit.severity, "message": limit.message}
        named = (f"{key} = {as_toml(value)}" for key, value in parts.items() if value)
        written = f"{{ {', '.join(named)} }}"
    yield f"{'' if passed else '# '}{written},  # {without_controls(why)}"


def _comment(text: str) -> Iterator[str]:
    yield f"# {without_controls(text)}"
