"""Names that want to be more than names, and an audit in which everything has one."""

import canned
import msgspec

from compaudit.results import Comparison, Finding

NAMES = (
    "a|b`c`<script>alert(1)</script>",
    "x\n::error::y\r\n##[error]z%0A::warning::",
    "\x1b[31mred\x1b[0m\x07\x00\u202ertl\u200f",
    "@octocat #123 GH-1 https://example.org/x www.example.org me@example.org",
    "**b** __i__ ~~s~~ ![i](j) [l](k) <!-- --></details> &amp; $x$ \\|",
)


def comparison(name: str) -> Comparison:
    """The canned audit with the name as model, layer, finding and requirement."""
    report = canned.comparison(name, name)
    layers = [
        msgspec.structs.replace(
            layer, name=name, op=name, note=name if layer.change == "matched" else layer.note
        )
        for layer in report.layers
    ]
    finding = Finding(code="CA999", severity="error", title=name, detail=name, hint=name)
    check = msgspec.structs.replace(
        report.gate.checks[1], requirement=f'divergence.outputs["{name}"].cosine >= 1', message=name
    )
    gate = msgspec.structs.replace(report.gate, checks=[check, report.gate.checks[0]])
    return msgspec.structs.replace(report, layers=layers, findings=[finding], gate=gate)
