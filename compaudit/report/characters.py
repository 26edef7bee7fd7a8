"""Characters that the encoding of a terminal can show, and others for those that it cannot."""

from __future__ import annotations

from rich import box

from compaudit.units import without_controls

__all__ = ["ASCII", "UNICODE", "Characters", "characters_for"]

_PLAIN = {
    "α": "alpha",
    "β": "beta",
    "δ": "delta",
    "→": "->",
    "−": "-",
    "–": "-",
    "×": "x",
    "·": "|",
    "µ": "u",
    "²": "2",
    "‖": "||",
    "…": "..",
    "≥": ">=",
    "†": "*",
    "├": "|",
    "└": "`",
    "─": "-",
}
_EIGHTHS = " ▏▎▍▌▋▊▉"
_RULES = "    \n    \n {0}{0} \n    \n    \n {0}{0} \n    \n    \n"


class Characters:
    """How text, rules and bars are written.

    Args:
        encoding: None where everything can be shown.
    """

    def __init__(self, encoding: str | None) -> None:
        self._encoding = encoding
        self._blocks = self._can_show("█▏")
        self.rules = box.Box(_RULES.format("─" if self._can_show("─") else "-"), ascii=True)

    def text(self, text: str) -> str:
        """Text without control characters, and with plain letters for what cannot be shown."""
        text = without_controls(text)
        if self._can_show(text):
            return text
        return "".join(
            letter if self._can_show(letter) else _PLAIN.get(letter, "?") for letter in text
        )

    def bar(self, length: float, width: int) -> str:
        """A bar of `length` (0 to 1) in at most `width` columns; never invisible above 0."""
        length = min(max(length, 0.0), 1.0)
        if not self._blocks:
            return "#" * round(length * width) or ("." if length > 0 else "")
        eighths = max(round(length * width * 8), 1 if length > 0 else 0)
        whole, part = divmod(eighths, 8)
        return ("█" * whole + _EIGHTHS[part]).rstrip()

    def _can_show(self, text: str) -> bool:
        if self._encoding is None:
            return True
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            return False
        return True


UNICODE = Characters(None)
ASCII = Characters("ascii")


def characters_for(encoding: str) -> Characters:
    """What a stream of this encoding can show; unknown encodings are taken for ASCII."""
    try:
        "".encode(encoding)
    except LookupError:
        return ASCII
    return UNICODE if encoding.lower().replace("-", "") == "utf8" else Characters(encoding)
