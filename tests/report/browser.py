"""A real browser for tests: what it makes of a page, at a width and in a colour scheme."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BROWSER", "Seen", "look", "printed", "without_policy"]

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
_QUIET = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-domain-reliability", "--disable-extensions"),
    *("--disable-client-side-phishing-detection", "--no-default-browser-check"),
    *("--disable-dev-shm-usage", "--disable-features=OptimizationHints,MediaRouter"),
)
# What the browser itself asks its maker; a page that wanted fonts from there would be seen.
_OWN = re.compile(
    r"^\S+ (?:http://)?(?!fonts|ajax)[\w.-]+\.(?:google|googleapis|gvt1|gstatic)\.com\b"
)
_RESULT = '<pre id="found">'


@dataclass(frozen=True, slots=True)
class Seen:
    """What the browser has of a page after its scripts, said on its console, and asked for.

    `asked` are the first lines of what the page made it send towards a network.
    """

    page: str
    log: str
    asked: list[str]

    @property
    def found(self) -> Any:
        """What a probe has found."""
        text = self.page.partition(_RESULT)[2].partition("</pre>")[0]
        return json.loads(html.unescape(text))


def look(text: str, folder: Path, *, width: int | None = None, dark: bool = False) -> Seen:
    """Open a page.

    Args:
        text: the page.
        folder: for it, and for what the browser writes.
        width: shown in a frame so wide, narrower than windows may be; needs `without_policy`.
        dark: as a reader has it who prefers dark colours.
    """
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    if width is not None:
        path = folder / "frame.html"
        frame = f'<iframe width="{width}" height="900" srcdoc="{html.escape(text)}"></iframe>'
        path.write_text(f"<!doctype html><body>{frame}", encoding="utf-8")
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    with _network() as (port, asked):
        done = _run(
            folder,
            *("--dump-dom", "--enable-logging=stderr", "--virtual-time-budget=4000", *scheme),
            *(f"--proxy-server=127.0.0.1:{port}", "--window-size=1280,900", path.as_uri()),
        )
    return Seen(done.stdout, done.stderr, [line for line in asked if not _OWN.match(line)])


def printed(text: str, folder: Path) -> bytes:
    """The page as the PDF that the browser prints."""
    path, pdf = folder / "report.html", folder / "report.pdf"
    path.write_text(text, encoding="utf-8")
    _run(folder, f"--print-to-pdf={pdf}", "--no-pdf-header-footer", path.as_uri())
    return pdf.read_bytes()


def without_policy(text: str, probe: str = "null") -> str:
    """The page with a script of ours, which its own policy forbids.

    Args:
        text: the page.
        probe: a JavaScript expression, which may be a promise; its value is in `Seen.found`.
    """
    begin = text.index('<meta http-equiv="Content-Security-Policy"')
    text = text[:begin] + text[text.index(">", begin) + 1 :]
    script = (
        f"<script>addEventListener('load', async () => {{ const value = await ({probe});"
        " const place = (window.frameElement ? parent : window).document;"
        " const shown = place.createElement('pre'); shown.id = 'found';"
        " shown.textContent = JSON.stringify(value); place.body.append(shown); });</script>"
    )
    return text.replace("</body>", f"{script}</body>")


def _run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(BROWSER, *_QUIET, f"--user-data-dir={folder / 'profile'}"),
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@contextmanager
def _network() -> Iterator[tuple[int, list[str]]]:
    """A proxy that answers nothing and remembers the first line of what it was asked for."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    asked.append(connection.recv(1000).partition(b"\r\n")[0].decode("latin-1"))

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)
