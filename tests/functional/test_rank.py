"""Rankings of the sample models, through the API: the same figures as `compare`, one original."""

from pathlib import Path
from typing import Any

import pytest

import compaudit
from compaudit.errors import RequestError
from compaudit.execution.outputs import LiveOutputs
from compaudit.results import Candidate, Ranking

SAMPLES = Path(__file__).parents[2] / "sample_models"
DATA = SAMPLES / "digits_test.npz"
QUALITY = ("size", "divergence", "accuracy")


def rank(*candidates: str, **settings: Any) -> Ranking:
    specs = [SAMPLES / name for name in candidates]
    settings = {"data": DATA, "measurements": QUALITY, "cache": False} | settings
    return compaudit.rank(SAMPLES / "digits.onnx", *specs, **settings)


@pytest.fixture(scope="module")
def quality() -> Ranking:
    return rank("digits_int8.onnx", "digits_broken.onnx", "digits_slim.onnx", limit=300)


def by_label(report: Ranking) -> dict[str, Candidate]:
    return {one.label: one for one in report.candidates}


def test_each_row_is_what_compare_finds(quality: Ranking) -> None:
    for row in quality.candidates:
        alone = compaudit.compare(
            SAMPLES / "digits.onnx",
            SAMPLES / row.label,
            data=DATA,
            measurements=QUALITY,
            limit=300,
            cache=False,
        )
        assert row.error is None
        assert row.accuracy == alone.accuracy
        assert row.divergence == alone.divergence
        assert (row.alpha, row.beta, row.space_saving) == (
            alone.alpha,
            alone.beta,
            alone.space_saving,
        )
        assert row.findings == alone.findings
        assert row.compressed == alone.compressed
        assert quality.original == alone.original


def test_the_broken_one_is_dominated_and_the_smallest_is_not(quality: Ranking) -> None:
    rows = by_label(quality)
    # int8 has the same bytes, and 62 pp more are right.
    assert rows["digits_broken.onnx"].standing is not None
    assert "digits_int8.onnx" in rows["digits_broken.onnx"].standing.dominated_by
    assert rows["digits_int8.onnx"].on_front
    assert quality.front is not None
    assert [axis.metric for axis in quality.front.axes] == ["accuracy.top1", "alpha.file_bytes"]


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param((), marks=pytest.mark.slow, id="kept"),
        pytest.param((f"{__file__}:hits",), id="with a metric"),
    ],
)
def test_the_original_runs_once_though_nothing_may_be_kept(
    monkeypatch: pytest.MonkeyPatch, metric: tuple[str, ...]
) -> None:
    """Without a cache, and where a metric of the user's own forbids to keep outputs for longer."""
    ran: list[str] = []
    sources = LiveOutputs.sources

    def counted(self: LiveOutputs, *arguments: Any) -> Any:
        ran.append(self._subject.name)
        return sources(self, *arguments)

    monkeypatch.setattr(LiveOutputs, "sources", counted)
    report = rank("digits_int8.onnx", "digits_slim.onnx", limit=64, metrics=metric)
    assert all(one.error is None for one in report.candidates)
    # The original, the original without optimisations for the noise floor, and two candidates;
    # to know what the outputs mean, both of each pair are looked at first.
    assert ran.count("compressed") >= 2
    assert ran.count("original") <= ran.count("compressed") / 2
    assert ran.count("twin") == 1


def hits(outputs: Any, labels: Any) -> Any:
    return outputs["logits"].argmax(axis=-1) == labels


def test_times_of_all_come_from_the_same_rounds() -> None:
    report = rank(
        "digits_int8.onnx",
        "digits_student.onnx",
        measurements=("size", "latency"),
        time_budget_s=6.0,
        raw=True,
    )
    (samples,) = report.samples
    assert {block.model for block in samples.blocks} == {
        "original",
        "digits_int8.onnx",
        "digits_student.onnx",
    }
    rounds: dict[tuple[int, int], list[str]] = {}
    for block in samples.blocks:
        rounds.setdefault((block.epoch, block.quad), []).append(block.model)
    assert all(order == order[::-1] and len(order) == 6 for order in rounds.values())
    assert all(one.delta is not None and one.delta.value > 0 for one in report.candidates)
    assert report.original.latency is not None
    (pair,) = report.between
    assert pair.paired
    first, second = (one.delta for one in report.candidates)
    assert first is not None
    assert second is not None
    # δ of the one over that of the other, up to the trimming of rounds.
    assert pair.delta.value == pytest.approx(second.value / first.value, rel=0.25)


@pytest.mark.slow
def test_a_list_gives_labels_and_settings_of_their_own(tmp_path: Path) -> None:
    listed = tmp_path / "candidates.toml"
    listed.write_text(
        f"""
        [[candidate]]
        path = "{SAMPLES / "digits_int8.onnx"}"
        label = "int8"

        [[candidate]]
        path = "{SAMPLES / "digits_slim.onnx"}"
        label = "slim"
        map_input = {{ image = "nothing" }}
        """
    )
    report = compaudit.rank(
        SAMPLES / "digits.onnx", listed, data=DATA, measurements=QUALITY, limit=64, cache=False
    )
    rows = by_label(report)
    assert rows["int8"].error is None
    assert rows["slim"].error is not None
    assert "nothing" in rows["slim"].error.message
    assert rows["slim"].alpha is not None  # what was counted stands
    assert report.error is None


def test_a_setting_that_there_is_not_is_refused() -> None:
    with pytest.raises(RequestError, match=r"rank\(\) has no setting 'limits'"):
        rank("digits_int8.onnx", limits=3)
