"""The HTML report in a real browser, without a network."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from test_html import complete, hostile, html

from compaudit.results import Comparison

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not BROWSER, reason="needs chromium or google-chrome on the PATH")

# Runs in a copy of the page whose policy allows scripts; writes what it found into the title.
PROBE = """<script>addEventListener("load", () => { document.title = JSON.stringify([
  performance.getEntriesByType("resource").length,
  document.querySelectorAll("figure svg").length,
  [...document.querySelectorAll("figure svg")].every(s => s.getBoundingClientRect().height > 50),
  document.documentElement.scrollWidth <= innerWidth,
  document.getElementById("save").hidden]) })</script>"""


def opened(text: str, folder: Path, width: int = 1280) -> tuple[str, str]:
    """The page as the browser has it after its scripts, and what it wrote on stderr."""
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"),
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"),
            *("--virtual-time-budget=1000", f"--window-size={width},900", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("report", [complete(), hostile()], ids=["plain", "hostile"])
def test_no_console_errors_and_nothing_hostile_runs(report: Comparison, tmp_path: Path) -> None:
    page, log = opened(html(report), tmp_path)
    assert "CONSOLE" not in log
    assert "<title>owned" not in page
    assert '<button id="save" type="button">' in page, "the page's own script ran"


def test_the_policy_refuses_other_scripts(tmp_path: Path) -> None:
    text = html(complete()).replace("</body>", "<script>document.title='owned'</script></body>")
    page, log = opened(text, tmp_path)
    assert "<title>owned" not in page
    assert "CONSOLE" in log, "so a violation would have been seen above"


@pytest.mark.parametrize("width", [1280, 500])
def test_charts_show_and_only_their_boxes_scroll(width: int, tmp_path: Path) -> None:
    text = html(complete())
    policy = text.index('<meta http-equiv="Content-Security-Policy"')
    text = text[:policy] + text[text.index(">", policy) + 1 :]
    page, _ = opened(text.replace("</body>", f"{PROBE}</body>"), tmp_path, width)
    assert "<title>[0,8,true,true,false]</title>" in page
