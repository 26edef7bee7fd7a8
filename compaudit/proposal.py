"""The story of init: an audit becomes a commented compaudit.toml that it passes itself.

Exact figures get a little room, uncertain ones so much that an equal model passes again; every limit
says where it comes from. What the audit itself does not pass, because it was not measured or has no
interval, is written as a comment.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from compaudit import gate
from compaudit.config import Config, keys_of_files
from compaudit.results import Accuracy, Comparison, Delta, Estimate, PairedMetric
from compaudit.units import (
    format_bytes,
    format_interval,
    format_number,
    format_points,
    format_rate,
    format_share,
    without_controls,
)

__all__ = ["TEMPLATE", "proposed"]

_ROOM = 0.02
"""Of exact figures: another export of the same model differs by less."""
_WIDER = 1.5
"""Half-widths below the interval of δ. A second run's interval lies above the limit when its value
is at most 1.5 half-widths lower; of two estimates of one figure, each with a half-width of 1.96
standard errors, that is so in 98 of 100 pairs: Φ(1.5 · 1.96 / √2) = 0.981."""
_OTHER_PROCESSORS = 1.25
"""Of KL: what another kernel for the same operator may round otherwise."""
_MEMORY = 1.25


@dataclass(frozen=True, slots=True)
class _Limit:
    """A requirement, why it is what it is, and what becomes of it."""

    that: str
    why: str
    severity: str = "fail"
    message: str = ""


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
]

# A severity and a message of your own; "warn" is shown and changes no exit code:
# [[require]]
# that = "compressed.file_bytes <= 25 MB"
# severity = "warn"
# message = "larger than the app's download limit"
"""


def proposed(report: Comparison, folder: Path) -> str:
    """The text of a compaudit.toml.

    Args:
        report: of an audit in which nothing died.
        folder: where the file is to be: its paths are relative to that.
    """
    limits = list(_limits(report))
    active, others = [], []
    for limit in limits:
        wanted = gate.parse_requirement(limit.that)
        (check,) = gate.judge([wanted], report).checks
        if check.status == "passed":
            active.append(limit)
        else:
            others.append((limit, check.reason or "it is not so"))
    names = (without_controls(model.path) for model in (report.original, report.compressed))
    lines = [
        f"# Settings of compaudit, from the audit of {' and '.join(names)}",
        f"# on {report.created_at[:10]}. Keys are the long options of `compaudit compare`; what stands on the",
        "# command line wins. Judge the same audit by them: compaudit gate REPORT.json",
        "",
        *_settings(report, folder),
        "# What must hold. Where a figure has an interval, the whole of it must.",
        "require = [",
        *(line for limit in active if limit.severity == "fail" for line in _listed(limit)),
        *(line for limit, reason in others for line in _left_out(limit, reason)),
        "]",
        "",
        "# No worse than the last accepted audit: sizes by 2 %, δ by 10 %, top-1 by 0.5 pp.",
        "# Accept one: compaudit gate REPORT.json --baseline accepted.json --accept",
        '# baseline = "accepted.json"',
        "",
    ]
    for limit in active:
        if limit.severity == "warn":
            lines += _table(limit)
    # A list of texts and tables of the same name would be two values for one key.
    return _one_list("\n".join(lines).rstrip() + "\n")


# ------------------------------------------------------------------------------------- limits


def _limits(report: Comparison) -> Iterator[_Limit]:
    yield from _size_limits(report)
    if report.delta is not None:
        yield _delta_limit(report.delta)
    if report.accuracy is not None:
        yield from _accuracy_limits(report.accuracy)
    yield from _divergence_limits(report)
    memory = report.compressed.peak_memory_bytes
    if memory is not None and memory > 0:
        yield _Limit(
            f"compressed.peak_memory_bytes <= {_bytes_above(memory * _MEMORY)}",
            f"{format_bytes(memory)} in one run",
            "warn",
            "memory is measured once, so this only warns",
        )


def _size_limits(report: Comparison) -> Iterator[_Limit]:
    basis = "file_bytes" if report.alpha.file_bytes is not None else "weight_bytes"
    alpha, size = getattr(report.alpha, basis), getattr(report.compressed, basis)
    if alpha is not None:
        limit = _below(alpha * (1 - _ROOM))
        yield _Limit(f"alpha.{basis} >= {limit}", f"was {format_rate(alpha)}")
    if size is not None:
        limit = _bytes_above(size * (1 + _ROOM))
        yield _Limit(f"compressed.{basis} <= {limit}", f"was {format_bytes(size)}")


def _delta_limit(delta: Delta) -> _Limit:
    was = f"was {format_rate(delta.value)}"
    if delta.low is None or delta.high is None:
        return _Limit(f"delta >= {_below(delta.value * 0.9)}", was)
    bounds = format_interval(format_rate(delta.low), format_rate(delta.high))
    room = _WIDER * max(delta.value - delta.low, (delta.noise_floor or 0.0) * delta.value)
    limit = _below(max(delta.low - room, delta.low * 0.5))
    return _Limit(f"delta >= {limit}", f"{was} {bounds}; an equal model passes again")


def _accuracy_limits(accuracy: Accuracy) -> Iterator[_Limit]:
    """The metric that says most of the task."""
    counted = f"on {accuracy.samples:,} samples"
    language = accuracy.language
    if language is not None:
        ratio = language.perplexity_ratio
        limit = _above(ratio.high if ratio.high is not None else ratio.value)
        yield _Limit(f"accuracy.language.perplexity_ratio <= {limit}", _was(ratio, counted))
    elif accuracy.top1 is not None:
        change = accuracy.top1.delta
        low = change.low if change.low is not None else change.value
        points = math.floor(low * 1000 - 1e-9) / 10  # of 0.1 pp
        bounds = "" if change.high is None else f" [{format_points(low)}, {format_points(change.high)}]"
        yield _Limit(
            f"accuracy.top1.delta >= {points:.1f} pp",
            f"was {format_points(change.value)}{bounds} {counted}; more samples allow a closer one",
        )
    for name in ("mse", "mae"):
        pair: PairedMetric | None = getattr(accuracy, name)
        if pair is not None and language is None:
            high = pair.delta.high if pair.delta.high is not None else pair.delta.value
            limit = _above(high, least=1e-9)
            yield _Limit(f"accuracy.{name}.delta <= {limit}", _was(pair.delta, counted))


def _divergence_limits(report: Comparison) -> Iterator[_Limit]:
    found = report.divergence
    if found is None:
        return
    where = f"on {found.samples:,} {'SYNTHETIC inputs' if found.source == 'synthetic' else 'samples'}"
    if found.embeddings is not None and found.embeddings.cosine is not None:
        cosine = found.embeddings.cosine
        low = cosine.low if cosine.low is not None else cosine.value
        limit = _below(low - 0.1 * (1 - low))
        yield _Limit(f"divergence.embeddings.cosine >= {limit}", _was(cosine, where))
    if found.kl is not None:
        mean = found.kl.mean
        high = mean.high if mean.high is not None else mean.value
        limit = _above(max(high * _OTHER_PROCESSORS, 1e-6))
        yield _Limit(f"divergence.kl.mean <= {limit}", _was(mean, where))
    if found.top1_agreement is not None and found.kl is not None:
        agreement = found.top1_agreement
        low = agreement.low if agreement.low is not None else agreement.value
        yield _Limit(
            f"divergence.top1_agreement >= {math.floor(low * 1000 - 1e-9) / 10:.1f} %",
            f"was {format_share(agreement.value)} {where}",
        )


def _was(estimate: Estimate, counted: str) -> str:
    bounds = ""
    if estimate.low is not None and estimate.high is not None:
        bounds = f" [{format_number(estimate.low)}, {format_number(estimate.high)}]"
    return f"was {format_number(estimate.value)}{bounds} {counted}"


def _rounded(value: float, up: bool) -> str:
    """Three significant digits, never beyond the value on the other side; plain decimals."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value))) - 2
    step = 10.0**exponent
    count = math.ceil(value / step - 1e-9) if up else math.floor(value / step + 1e-9)
    text = f"{count * step:.{max(0, -exponent)}f}"
    outside = float(text) < value if up else float(text) > value
    return f"{(count + (1 if up else -1)) * step:.{max(0, -exponent)}f}" if outside else text


def _below(value: float) -> str:
    return _rounded(value, up=False)


def _above(value: float, least: float = 0.0) -> str:
    return _rounded(max(value, least), up=True)


def _bytes_above(size: float) -> str:
    """With a unit, rounded up: ``218 kB``."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{_rounded(size / unit, up=True)} {name}"
    return f"{math.ceil(size)} B"


# --------------------------------------------------------------------------------------- text


def _settings(report: Comparison, folder: Path) -> Iterator[str]:
    """The settings of the audit that were not left at their defaults, as far as files may hold them."""
    given = dict(_given(report, folder))
    if given:
        yield "# The audit's settings."
        for key, value in given.items():
            yield f"{key} = {value}"
        yield ""
    if report.config.get("trust_model_code"):
        yield "# No file can say that a model's own code is trusted: add --trust-model-code yourself."
        yield ""


def _given(report: Comparison, folder: Path) -> Iterator[tuple[str, str]]:
    defaults = Config(original="", compressed="").as_json()
    known = set(keys_of_files())
    config = report.config
    for field, default in defaults.items():
        value = config.get(field, default)
        key = _KEYS.get(field, field.replace("_", "-"))
        if value == default or key not in known or key in _LEFT_OUT:
            continue
        yield key, _toml(_as_typed(field, value, folder))
    for which in ("original", "compressed"):
        own, plain = config.get(f"{which}_only"), defaults[f"{which}_only"]
        for field, value in own.items() if isinstance(own, dict) else ():
            key = f"{which}-{_KEYS.get(field, field.replace('_', '-'))}"
            if key in known and value != plain.get(field):
                yield key, _toml(value)


_KEYS = {
    "metrics": "metric",
    "input_shapes": "input-shape",
    "provider_options": "provider-option",
    "session_options": "session-option",
    "measurements": "only",
    "time_budget_s": "time-budget",
    "timeout_s": "timeout",
    "memory_limit_bytes": "memory-limit",
    "cache": "no-cache",
    "lock": "no-lock",
}
_LEFT_OUT = ("require", "policy", "baseline", "inconclusive")


def _as_typed(field: str, value: Any, folder: Path) -> Any:
    match field:
        case "time_budget_s" | "timeout_s":
            return f"{value:g}s"
        case "memory_limit_bytes":
            return f"{value} B"
        case "resolution" | "confidence":
            return f"{value * 100:.10g}%"
        case "cache" | "lock":
            return not value
        case "data" | "preprocess":
            return _seen_from(folder, value)
        case "metrics":
            return [_seen_from(folder, one) for one in value]
        case _:
            return value


def _seen_from(folder: Path, value: str) -> str:
    path, colon, function = value.partition(":")
    if colon and path.endswith(".py"):
        return f"{_seen_from(folder, path)}:{function}"
    is_file = Path(value).exists() and not Path(value).is_absolute()
    return os.path.relpath(value, folder) if is_file else value


def _toml(value: Any) -> str:
    """A value of a setting. JSON's strings, numbers and lists are TOML's, but for DEL."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml(str(key))} = {_toml(one)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    text = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(limit: _Limit) -> list[str]:
    return [f"  {_toml(limit.that)},  # {without_controls(limit.why)}"]


def _left_out(limit: _Limit, reason: str) -> list[str]:
    why = without_controls(f"{limit.why}; {reason}")
    return [f"  # {_toml(limit.that)},  # {why}"]


def _table(limit: _Limit) -> list[str]:
    return [
        f"# {without_controls(limit.why)}",
        f"{{that = {_toml(limit.that)}, severity = {_toml(limit.severity)}, "
        f"message = {_toml(limit.message)}}}",
    ]


def _one_list(text: str) -> str:
    return text
