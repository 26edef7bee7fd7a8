"""What docs/gate.md and the README say of requirements and settings is what is read."""

import re
from pathlib import Path

import canned
import canned_quality
import msgspec
import pytest

from compaudit.config import check_options, read_file, read_policy
from compaudit.gate import parse_requirement, regressions, require_consistent
from compaudit.results import Check

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
_EXAMPLE = re.compile(r"`((?:warn: )?[a-z][\w.\[\]\"]* (?:>=|<=|==) [^`\n]*)`")


def examples(text: str) -> list[str]:
    return [found.replace("\n", " ") for found in _EXAMPLE.findall(text)]


@pytest.mark.parametrize("requirement", sorted({*examples(PAGE), *examples(README)}))
def test_every_example_is_a_requirement(requirement: str) -> None:
    parse_requirement(requirement)


def test_there_are_examples_of_everything() -> None:
    assert len(examples(PAGE)) >= 15
    assert len(examples(README)) >= 5
    together = " ".join(examples(PAGE))
    for part in ("baseline.", "max(", "* baseline", "* original", " MB", " ms", " pp"):
        assert part in together, part


def tables(text: str) -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", text, re.S | re.M)


@pytest.mark.parametrize(
    "text", [one for one in (*tables(PAGE), *tables(README)) if "require" in one]
)
def test_files_that_are_shown_are_read(text: str, tmp_path: Path) -> None:
    if text.startswith("# policy"):
        path = tmp_path / "policy.toml"
        path.write_text(text)
        requirements = read_policy(str(path))
    else:
        path = tmp_path / "pyproject.toml"
        path.write_text(text)
        found = read_file(path)
        check_options(found.options, found.path)
        assert found.options
        requirements = found.requirements
    assert len(requirements) >= 2
    require_consistent([parse_requirement(one) for one in requirements])


def test_the_default_requirements_are_those_of_the_page() -> None:
    reports = (canned.comparison(), canned_quality.embedding(), canned_quality.classification())
    without = msgspec.structs.replace(reports[0], accuracy=None)
    for report in (*reports, without):
        for one in regressions(report):
            assert f"`{one.text}`" in PAGE, one.text


def test_every_key_of_a_check_is_explained() -> None:
    section = PAGE[PAGE.index("## In the report") :]
    for name in Check.__struct_fields__:
        assert f"`{name}`" in section, name
