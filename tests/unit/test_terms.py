"""What an audit is judged by is settled before anything is measured."""

from pathlib import Path

import canned
import msgspec
import pytest

from compaudit.config import Config
from compaudit.errors import RequestError
from compaudit.results import encode_report
from compaudit.terms import terms_of

NOW = canned.comparison()


def config(*requirements: str, baseline: Path | None = None) -> Config:
    path = None if baseline is None else str(baseline)
    return Config(original="a", compressed="b", requirements=requirements, baseline=path)


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    path = tmp_path / "last.json"
    path.write_bytes(encode_report(NOW))
    return path


def test_a_baseline_that_nobody_names_asks_for_no_regressions(baseline: Path) -> None:
    texts = [one.text for one in terms_of(config("delta >= 1", baseline=baseline)).requirements]
    assert texts[0] == "delta >= 1"
    assert "delta >= baseline - 10 %" in texts
    named = terms_of(config("delta >= baseline - 50 %", baseline=baseline))
    assert [one.text for one in named.requirements] == ["delta >= baseline - 50 %"]
    assert named.judge(NOW).status == "passed"
    assert terms_of(config()).judge(NOW).status == "none"


@pytest.mark.parametrize(
    ("requirements", "said"),
    [
        (("delta >= baseline",), "'delta >= baseline' needs a baseline, and none was given"),
        (("alpha.macs >= 4", "alpha.macs <= 3"), "cannot both hold"),
        (("dleta >= 1",), "no 'dleta'"),
    ],
)
def test_impossible_terms_are_refused(requirements: tuple[str, ...], said: str) -> None:
    with pytest.raises(RequestError) as caught:
        terms_of(config(*requirements))
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b"{", "ends in the middle"),
        (b'{"name": "package"}', "no report of compaudit"),
        (b'{"kind": "comparison", "schema_version": "2.0"}', "schema 2.0"),
        (encode_report(canned.inspection()), "is an inspection"),
    ],
)
def test_a_baseline_that_is_no_report_is_refused(baseline: Path, text: bytes, said: str) -> None:
    baseline.write_bytes(text)
    with pytest.raises(RequestError) as caught:
        terms_of(config(baseline=baseline))
    assert f"{baseline} " in caught.value.message
    assert said in caught.value.message


def test_a_baseline_that_is_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"the baseline .*new\.json does not exist") as caught:
        terms_of(config(baseline=tmp_path / "new.json"))
    assert "--accept" in caught.value.hint


def test_a_baseline_of_a_later_minor_version_is_read(baseline: Path) -> None:
    later = encode_report(NOW).replace(b'"schema_version": "1.0"', b'"schema_version": "1.9"')
    baseline.write_bytes(later.replace(b'"findings":', b'"added_later": [1], "findings":'))
    assert terms_of(config(baseline=baseline)).judge(NOW).status == "passed"


def test_a_task_that_only_the_audit_told(baseline: Path) -> None:
    """Sizes are judged all the same; accuracy is not."""
    terms = terms_of(
        config("accuracy.samples >= baseline", "alpha.macs >= baseline", baseline=baseline)
    )
    assert terms.misfit(NOW) is None
    accuracy = msgspec.structs.replace(NOW.accuracy, task="regression")
    other = msgspec.structs.replace(NOW, accuracy=accuracy)
    error = terms.misfit(other)
    assert error is not None
    assert "task is classification, and this audit's is regression" in error.message
    statuses = [check.status for check in terms.judge(other).checks]
    assert statuses == ["inconclusive", "passed"]
