"""The pages that are written from the code say what the code says."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from compaudit.models import roles

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "roles.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_roles", ROOT / "docs" / "write_roles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_role_table_is_current(writer: ModuleType) -> None:
    assert writer.page() == PAGE, "run: make docs"


def test_every_operator_of_the_code_is_on_the_page() -> None:
    tables = (roles.SLOTS, roles.LOOKUPS, roles.CARRIERS, roles.ATTRIBUTES)
    keys = {key for table in tables for key in table} | {("", op) for op in roles.ELEMENT_WISE}
    shown = set(re.findall(r"`([^`]+)`", PAGE))
    assert {"::".join(filter(None, key)) for key in keys} - shown == set()


def test_the_groups_hold_every_line_once(writer: ModuleType) -> None:
    keys = [key for group in writer.groups().values() for key in group]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(roles.SLOTS)


@pytest.mark.parametrize(
    "row",
    [
        r"\| .*`Conv`.* \| 1 \| 2 \|",
        r"\| `LSTM` \| 1, 2, 7 \| 3 \| 5, 6 \|  \| 4 \|",
        r"\| `com.microsoft::MatMulNBits` \| 1 \| 5 \| all others \| 0 \|",
    ],
)
def test_rows_that_everybody_knows(row: str) -> None:
    """Conv(X, W, B); LSTM(X, W, R, B, lengths, h, c, P); MatMulNBits(A, B, scales, …, bias)."""
    assert re.search(row, PAGE)


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_makefile_writes_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^docs:.*\n\t\$\(BIN\)/python docs/write_roles.py$", makefile, re.M)
    assert re.search(r"^\.PHONY:.* docs\b", makefile, re.M)


def test_the_picture_of_the_readme_shows_every_sample_and_needs_nothing_else() -> None:
    text = (ROOT / "docs" / "tradeoff.svg").read_text(encoding="utf-8")
    picture = ElementTree.fromstring(text)
    words = [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    for sample in (ROOT / "sample_models").glob("*.onnx"):
        found = [word for word in words if word.partition(":")[0] == sample.stem]
        assert len(found) == 2, f"{sample.name}: run docs/write_tradeoff.py"
    assert "prefers-color-scheme:dark" in text
    assert not re.search(r"url\(http|<script|<image|(?<!xmlns=\")https?://(?!www.w3.org)", text)
    for name in re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", text):
        assert f'id="{"".join(name)}"' in text
