r"""Pages as LaTeX tables with booktabs' rules, to be read into a paper by ``\input``.

Plain LaTeX: what the field writes with Greek letters becomes mathematics, and everything that LaTeX
would take for a command is escaped. Letters of other scripts stay as they are, in UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence

from compaudit.report.rows.base import Bar, Cell, Column, Page, Section
from compaudit.units import without_controls

__all__ = ["as_latex", "render_latex"]

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    # Behind a row's end a bracket or a star would be its argument.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "δ": r"$\delta$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
    "‖": r"$\Vert$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
    "µ": r"$\mu$",
    "²": r"$^{2}$",
    "…": r"\dots{}",
    "†": r"\textdagger{}",
    "\N{REPLACEMENT CHARACTER}": "?",
}


def render_latex(page: Page) -> str:
    """Every table of the page as a ``table`` that needs the package booktabs alone."""
    head = (
        f"% {_comment(page.title)}",
        f"% {_comment(page.subtitle)}",
        r"% \usepackage{booktabs}, and \usepackage[T1]{fontenc} for quotes in names",
    )
    tables = (_table(section, page) for section in page.sections)
    return "\n".join((*head, "", "\n\n".join(tables), ""))


def as_latex(text: str) -> str:
    """The text on one line, as LaTeX prints it."""
    plain = without_controls(text)
    written = "".join(_ESCAPES.get(letter, letter) for letter in plain)
    # Two hyphens would become a dash, but for one that is meant.
    return written if "--" not in plain else written.replace("-", "{-}")


def _table(section: Section, page: Page) -> str:
    # A bar shows a figure that stands beside it.
    places = [place for place, column in enumerate(section.columns) if column.kind != "bar"]
    shown = [section.columns[place] for place in places]
    rows = [_row([row[place] for place in places]) for row in section.rows]
    footer: tuple[str, ...] = ()
    if section.footer:
        footer = (r"\midrule", _row([section.footer[place] for place in places]))
    published = [f"Published: {one.text}." for one in page.footnotes if "†" in one.label]
    caption = " ".join(filter(None, (f"{section.title}.", section.note, *published)))
    return "\n".join(
        (
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{as_latex(caption)}}}",
            rf"\begin{{tabular}}{{@{{}}{''.join(map(_aligned, shown))}@{{}}}}",
            r"\toprule",
            _row([column.title for column in shown]),
            r"\midrule",
            *rows,
            *footer,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        )
    )


def _row(cells: Sequence[Cell]) -> str:
    return " & ".join("" if isinstance(cell, Bar) else as_latex(cell) for cell in cells) + r" \\"


def _aligned(column: Column) -> str:
    return "r" if column.kind == "figure" else "l"


def _comment(text: str) -> str:
    """A comment ends where its line does, and control characters are none."""
    return without_controls(text)
