"""docs/findings.md says what the code says: every code has its section, its titles, its limits."""

import ast
import re
from pathlib import Path

import pytest

from compaudit.findings import RULES, accuracy, numbers, precision, quality, size, speed, stored
from compaudit.units import format_number, format_share

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (CA\d{3})\n(.*?)(?=^##|\Z)", PAGE, re.S | re.M))
PARTS = ("**Fires when** ", "**Means** ", "**Do** ", "**Example** ")


def in_code() -> set[tuple[str, str, str]]:
    """Code, severity and title of every finding that the package makes."""
    found = set()
    for path in (ROOT / "compaudit" / "findings").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding"):
                continue
            values = {keyword.arg: keyword.value for keyword in node.keywords}
            told = [values[name] for name in ("code", "severity", "title")]
            # A title that is put together could not be looked up.
            assert all(isinstance(value, ast.Constant) for value in told), ast.unparse(node)
            found.add(tuple(str(value.value) for value in told if isinstance(value, ast.Constant)))
    return found


def on_page() -> set[tuple[str, str, str]]:
    return {
        (code, severity, title)
        for code, text in SECTIONS.items()
        for severity, title in re.findall(r"^- \*\*(\w+)\*\* · (.+)$", text, re.M)
    }


def codes_of_rules() -> list[str]:
    return [(rule.__doc__ or "")[:5] for rule in RULES]


def test_every_rule_has_a_section_and_every_section_a_rule() -> None:
    assert sorted(codes_of_rules()) == list(SECTIONS)
    assert {code for code, _, _ in in_code()} == set(SECTIONS)


def test_severities_and_titles_are_those_of_the_code() -> None:
    assert on_page() == in_code()


@pytest.mark.parametrize("code", SECTIONS)
def test_a_section_says_when_what_and_what_to_do(code: str) -> None:
    places = [SECTIONS[code].find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)


LIMITS = {
    "CA102": [format_share(size._HALF, 0)],
    "CA103": [str(size._SAME_SIZE)],
    "CA104": [format_share(stored._NOTICEABLE_SHARE, 0)],
    "CA106": [format_share(stored._NOTICEABLE_SHARE, 0)],
    "CA110": [format_share(size._WELL_COVERED, 0)],
    "CA201": [str(speed._NOTICEABLE)],
    "CA204": [str(speed._NOTICEABLE)],
    "CA207": ["half"] if precision._HALF == 0.5 else [""],
    "CA307": [f"{precision._FULL} bits", "half"],
    "CA401": [f"−{format_number(-accuracy._SERIOUS_LOSS * 100, 1)} percentage points"],
    "CA403": [f"{quality._RUINED_DB:g} dB", f"{quality._BELOW_OTHERS_DB:g} dB", "3 layers"],
    "CA405": [format_share(accuracy._SURER, 0)],
    "CA406": [f"p = {accuracy._SURE}"],
    "CA407": [f"{accuracy._ENOUGH_FLIPS} answers", format_share(accuracy._MANY_FLIPS, 0)],
    "CA408": [f"{accuracy._FAR_APART_NATS} nats", f"{accuracy._ABOVE_FLOOR:g} times"],
    "CA410": [format_share(quality._HARMED_AGREEMENT, 0)],
    "CA411": [format_share(quality._FEW_LEFT_OUT, 0)],
    "CA412": [
        format_share(numbers._CLIPPED_SHARE, 0),
        f"{numbers._ENOUGH_CLIPPED} of them",
        f"{numbers._TIMES_THE_ORIGINALS:g} times",
    ],
}


@pytest.mark.parametrize("code", LIMITS)
def test_limits_are_those_of_the_code(code: str) -> None:
    when = SECTIONS[code].partition("**Fires when** ")[2].partition("**Means**")[0]
    for limit in LIMITS[code]:
        assert limit in when


def test_every_link_within_the_page_leads_to_a_section() -> None:
    for target in re.findall(r"\]\(#(\w+)\)", PAGE):
        assert target.upper() in SECTIONS


def test_the_readme_links_to_the_page() -> None:
    assert "docs/findings.md" in (ROOT / "README.md").read_text(encoding="utf-8")
