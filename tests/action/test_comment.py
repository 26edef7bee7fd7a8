"""The comment on a pull request: new, replaced, forbidden, and where there is none to make."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.action.conftest import Job, RunAction, Step

SAMPLES = Path(__file__).parents[2] / "sample_models"
INPUTS = {
    "original": str(SAMPLES / "digits.onnx"),
    "compressed": str(SAMPLES / "digits_int8.onnx"),
    "args": "--only size",
    "require": "alpha.file_bytes >= 4",
    "comment": "true",
}
REQUEST = {"pull_request": {"number": 7, "head": {"sha": "fedcba9876543210"}}}
ONCE = "<!-- compaudit -->\n## an earlier one"

pytestmark = pytest.mark.usefixtures("jq")


def page(*comments: tuple[str, str | None, str]) -> dict[str, Any]:
    """A page of an answer: comments as their id, who wrote them, and their text."""
    nodes = [
        {"id": name, "body": body, "author": {"login": author} if author else None}
        for name, author, body in comments
    ]
    found = {"nodes": nodes, "pageInfo": {"hasNextPage": False, "endCursor": None}}
    repository = {"pullRequest": {"comments": found}}
    return {"data": {"viewer": {"login": "github-actions[bot]"}, "repository": repository}}


@pytest.fixture(scope="module")
def audited(run_in: RunAction, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    """What the steps before the comment leave, of one audit."""
    job = run_in(tmp_path_factory.mktemp("job"), {**INPUTS, "comment": "false"})
    return {name: job.steps[name] for name in ("install", "audit")}


@pytest.fixture
def comment(run_action: RunAction, audited: dict[str, Step], tmp_path: Path) -> Any:
    """Comment on a pull request that has these comments."""

    def run(*pages: dict[str, Any], event: Any = REQUEST, **settings: Any) -> Job:
        (tmp_path / "comments.json").write_text(json.dumps(pages))
        env, after = settings.pop("env", {}), settings.pop("after", audited)
        return run_action({**INPUTS, **settings}, event=event, env=env, after=after)

    return run


def warnings(job: Job) -> list[str]:
    """What the step warns of, and that it changed nothing."""
    assert job.steps["Comment"].code == 0, job.log
    assert job.code == 1  # the verdict of the audit, whatever became of the comment
    written = job.steps["Comment"].stdout.splitlines()
    return [line for line in written if line.startswith("::warning title=compaudit::")]


def test_the_first_comment(comment: Any) -> None:
    job = comment(page())
    assert warnings(job) == []
    _, made = job.calls("gh")
    assert made["arguments"][:2] == ["api", "repos/somebody/something/issues/7/comments"]
    assert (made["GH_TOKEN"], made["GH_HOST"]) == ("the token of the job", "github.com")
    report = Path(job.outputs["markdown"]).read_text(encoding="utf-8")
    body = made["fields"]["body"]
    assert body.startswith(report.rstrip("\n"))
    where = "https://github.com/somebody/something/actions/runs/123456"
    assert body.endswith(f"<sub>fedcba9, [log]({where})</sub>\n")
    assert "https://example.org/new" in job.steps["Comment"].stdout


def test_the_comment_is_replaced(comment: Any) -> None:
    """Ours is found on whatever page; what others wrote stays theirs, marker or not."""
    job = comment(
        page(("FORGED", "somebody", ONCE), ("GHOST", None, ONCE)),
        page(("QUOTED", "github-actions", f"> {ONCE}"), ("OURS", "github-actions", ONCE)),
    )
    assert warnings(job) == []
    asked, changed = job.calls("gh")
    assert "--paginate" in asked["arguments"]
    assert {name: asked["fields"][name] for name in ("owner", "name", "number")} == {
        "owner": "somebody",
        "name": "something",
        "number": "7",
    }
    assert changed["fields"]["id"] == "OURS"
    assert changed["fields"]["query"].startswith("mutation")
    assert changed["fields"]["body"].startswith("<!-- compaudit -->\n## digits.onnx")


def test_a_key_keeps_audits_apart(comment: Any) -> None:
    other = ("OTHER", "github-actions", "<!-- compaudit int4 -->\n## another audit")
    job = comment(page(("OURS", "github-actions", ONCE), other), **{"comment-key": "int8-cpu"})
    assert warnings(job) == []
    _, made = job.calls("gh")
    assert made["arguments"][1].startswith("repos/")
    assert made["fields"]["body"].startswith("<!-- compaudit int8-cpu -->\n## digits.onnx")


def test_a_failed_request_replaces_an_earlier_verdict(comment: Any) -> None:
    job = comment(page(("OURS", "github-actions", ONCE)), original="nowhere.onnx", after={})
    assert job.code == 2
    _, changed = job.calls("gh")
    assert changed["fields"]["id"] == "OURS"
    assert "nowhere.onnx" in changed["fields"]["body"]


@pytest.mark.parametrize(
    "says",
    [
        "gh: Resource not accessible by integration (HTTP 403)",
        "GraphQL: Resource not accessible by integration (updateIssueComment)",
    ],
)
@pytest.mark.parametrize("comments", [page(), page(("OURS", "github-actions", ONCE))])
def test_without_permission(comment: Any, says: str, comments: dict[str, Any]) -> None:
    (warning,) = warnings(comment(comments, env={"GH_SAYS": says}))
    assert "pull-requests: write" in warning
    assert "forks" in warning


def test_other_refusals_are_told_as_they_are(comment: Any) -> None:
    says = "gh: 100%\n::error::forged (HTTP 502)"
    job = comment(page(), env={"GH_SAYS": says, "GH_READS_NOTHING": "1"})
    (warning,) = warnings(job)
    assert warning.endswith("gh: 100%25%0A::error::forged (HTTP 502)")
    assert len(job.calls("gh")) == 1


@pytest.mark.parametrize(
    "event", [{}, {"ref": "refs/heads/main"}, {"issue": {"number": 7}}, {"pull_request": None}]
)
def test_outside_a_pull_request(comment: Any, event: dict[str, Any]) -> None:
    job = comment(page(), event=event)
    (warning,) = warnings(job)
    assert "belongs to none" in warning
    assert job.calls("gh") == []


def test_a_comment_that_starts_the_run(comment: Any) -> None:
    job = comment(page(), event={"issue": {"number": 12, "pull_request": {"url": "…"}}})
    assert warnings(job) == []
    _, made = job.calls("gh")
    assert made["arguments"][1].endswith("/issues/12/comments")


def test_a_key_that_could_leave_its_marker(comment: Any) -> None:
    job = comment(page(), **{"comment-key": "x --> <b>"})
    (warning,) = warnings(job)
    assert "comment-key" in warning
    assert job.calls("gh") == []


def test_no_gh(comment: Any, tmp_path: Path) -> None:
    """A PATH with what the steps need, and without gh."""
    few = tmp_path / "few"
    few.mkdir()
    for name in ("bash", "sh"):
        found = shutil.which(name)
        assert found is not None
        (few / name).symlink_to(found)
    (warning,) = warnings(comment(page(), env={"PATH": str(few)}))
    assert "there is no gh" in warning


def test_without_the_wish_there_is_no_comment(comment: Any) -> None:
    job = comment(page(), comment="false")
    assert "Comment" not in job.steps
    assert job.calls("gh") == []
