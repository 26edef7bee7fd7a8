"""Files of requirements, and what they are added to."""

from pathlib import Path

import pytest

import compaudit
from compaudit.config import config_from, read_policy
from compaudit.errors import RequestError


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text('require = ["delta >= 1.2", { that = "alpha.macs >= 2", severity = "warn" }]\n')
    return path


def test_its_requirements_come_before_others_and_each_once(policy: Path) -> None:
    assert read_policy(str(policy)) == ("delta >= 1.2", "warn: alpha.macs >= 2")
    options = {"policy": str(policy), "require": ["alpha.macs >= 1", "delta >= 1.2"]}
    config = config_from("a", "b", options)
    assert config.requirements == ("delta >= 1.2", "warn: alpha.macs >= 2", "alpha.macs >= 1")
    assert config.as_json()["policy"] == str(policy)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no requirement"),
        ("require = []", "holds no requirement"),
        ("requires = []", "unknown key 'requires'"),
        ("threads = 2", "unknown key 'threads'"),
        ("require = [[]]", "neither text nor a table"),
        ("<html>", "is no TOML"),
    ],
)
def test_what_is_no_policy_is_refused(policy: Path, text: str, said: str) -> None:
    policy.write_text(text)
    with pytest.raises(RequestError) as caught:
        read_policy(str(policy))
    assert caught.value.message.startswith(f"{policy} ")
    assert said in caught.value.message
    assert caught.value.hint


def test_python_takes_a_policy_too(policy: Path) -> None:
    policy.write_text('require = ["delta >= baseline"]')
    with pytest.raises(RequestError, match="'delta >= baseline' needs a baseline"):
        compaudit.compare("a.onnx", "b.onnx", policy=policy)
    with pytest.raises(RequestError, match="no setting 'config_file'"):
        compaudit.compare("a.onnx", "b.onnx", config_file="compaudit.toml")
