"""The line that moves: what it shows, how it fits, and where it is silent."""

import io
import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from compaudit.cli import progress as module
from compaudit.cli.progress import Terminal


class Tty(io.StringIO):
    """What a test can read of a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


Make = Callable[..., Terminal]


@pytest.fixture
def tty() -> Tty:
    return Tty()


@pytest.fixture
def terminal_of(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a `Terminal` on that terminal, of a width; pytest sets stderr anew for every test."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)

    def make(width: int = 80, quiet: bool = False, moving: bool = True) -> Terminal:
        monkeypatch.setattr("sys.stderr", tty)
        monkeypatch.setenv("COLUMNS", str(width))
        return Terminal(quiet=quiet, moving=moving)

    return make


def line(terminal: Terminal, width: int) -> str:
    """The moving line of this moment, as letters."""
    bar: Any = terminal._bar
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(bar.get_renderable())
    file: Any = console.file
    (shown,) = [text for text in file.getvalue().splitlines() if text.strip()]
    return str(shown).rstrip()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The seconds that the countdown sees; set by the test."""
    now = {"s": 100.0}
    monkeypatch.setattr(module.time, "monotonic", lambda: now["s"])
    return now


def test_a_stage_without_a_share_has_no_bar_and_no_end(terminal_of: Make) -> None:
    terminal = terminal_of()
    terminal.stage("reading digits.onnx")
    assert re.fullmatch(r"\S reading digits.onnx {2}0:00", line(terminal, 80))


def test_a_share_has_a_bar_and_no_guess_of_what_is_left(terminal_of: Make) -> None:
    terminal = terminal_of()
    terminal.stage("comparing outputs, 640 of 899 samples", 640 / 899)
    shown = line(terminal, 80)
    assert re.search(r"samples {2}━{14} {8}0:00$", shown)
    assert "left" not in shown


def test_a_bar_goes_when_the_next_stage_has_none(terminal_of: Make) -> None:
    terminal = terminal_of()
    terminal.stage("comparing outputs, 899 of 899 samples", 1.0)
    terminal.stage("comparing the original with itself")
    assert "━" not in line(terminal, 80)


def test_a_budget_counts_down_between_two_reports(terminal_of: Make, clock: Any) -> None:
    terminal = terminal_of()
    terminal.stage("timing epoch 2: a and b", 0.4, left_s=18.0)
    assert line(terminal, 80).endswith("at most 0:18 left")
    clock["s"] += 5
    assert line(terminal, 80).endswith("at most 0:13 left")
    clock["s"] += 13.5  # the processes end after their budget: nobody knows when
    assert line(terminal, 80).endswith("0:00")
    terminal.stage("comparing layer by layer")
    assert "left" not in line(terminal, 80)


@pytest.mark.parametrize("width", [40, 60, 66, 80, 140])
def test_on_a_narrow_terminal_words_give_way_and_the_clock_stays(
    terminal_of: Make, width: int
) -> None:
    terminal = terminal_of(width)
    terminal.stage(f"timing epoch 2: {'long-name-' * 9}.onnx", 0.4, left_s=18.4)
    shown = line(terminal, width)
    assert cell_len(shown) <= width
    assert "timing epoch" in shown
    assert shown.endswith("0:00, at most 0:18 left")
    assert ("━" in shown) == (width >= 80)


def test_names_from_files_are_no_commands(terminal_of: Make) -> None:
    terminal = terminal_of()
    terminal.stage("reading [red]x[/]\x1b[31m.onnx")
    assert "[red]x[/]\N{REPLACEMENT CHARACTER}[31m.onnx" in line(terminal, 80)


@pytest.mark.parametrize("options", [{"moving": False}, {"quiet": True}])
def test_nothing_moves_where_it_was_not_wanted(
    terminal_of: Make, tty: Tty, options: dict[str, bool]
) -> None:
    with terminal_of(**options) as terminal:
        terminal.stage("reading digits.onnx")
        terminal.note("both models are slow")
    said = tty.getvalue()
    assert "reading" not in said
    assert ("note: both models are slow" in said) == ("moving" in options)


def test_a_pipe_gets_notes_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stderr", pipe)
    with Terminal(quiet=False, moving=True) as terminal:
        terminal.stage("reading digits.onnx", 0.5, left_s=3.0)
        terminal.note("both models are slow")
    assert pipe.getvalue() == "note: both models are slow\n"


@pytest.mark.parametrize(
    ("share", "left_s"), list(itertools.product((None, 0.0, 1.0), (None, 0.0, 7200.0)))
)
def test_every_stage_can_be_shown(
    terminal_of: Make, share: float | None, left_s: float | None
) -> None:
    terminal = terminal_of()
    terminal.stage("timing", share, left_s)
    assert "timing" in line(terminal, 80)
