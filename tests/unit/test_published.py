"""Rows of a paper from a CSV file: what is understood, and what is refused in one sentence."""

from pathlib import Path

import pytest

import compaudit
from compaudit.errors import RequestError
from compaudit.published import read_published

PUBLISHED = Path(__file__).parents[2] / "docs" / "published"


def read(folder: Path, text: str | bytes) -> list[object]:
    path = folder / "paper.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_published(str(path))


def test_the_survey_as_it_is_kept_here() -> None:
    rows = read_published(str(PUBLISHED / "low_rank.csv"))
    assert [row.label for row in rows][:2] == ["AlexNet", "AlexNet BN low-rank"]
    assert (rows[1].top5, rows[1].speedup, rows[1].compression) == (0.8056, 1.09, 4.94)
    assert (rows[1].top1, rows[1].basis, rows[1].weight_bytes) == (None, None, None)
    assert {row.source for row in rows} == {"Cheng et al. 2017"}


def test_deep_compression_as_it_is_kept_here() -> None:
    rows = read_published(str(PUBLISHED / "deep_compression.csv"))
    last = rows[-1]
    assert (last.label, last.weight_bytes, last.compression) == (
        "VGG-16 compressed",
        11_300_000,
        49.0,
    )
    assert (last.top1, last.basis) == (pytest.approx(0.6883), "coding_limit")


def test_headings_as_the_survey_has_them_and_units_as_papers_write_them(tmp_path: Path) -> None:
    (row,) = read(
        tmp_path,
        '\ufeffModel,TOP-5 Accuracy,Speed-up,Compression Rate,Weight bytes\n"A, B", 80.56 %,'
        '1.09×,4.94x,"1,070 kB"\n\n',
    )
    assert row.label == "A, B"
    assert (row.top5, row.speedup, row.compression) == (0.8056, 1.09, 4.94)
    assert (row.weight_bytes, row.source) == (1_070_000, "")


def test_shares_need_no_sign_and_empty_cells_are_not_known(tmp_path: Path) -> None:
    first, second = read(tmp_path, "label,top1,speedup\nA,0.8056,\nB,,2\n")
    assert (first.top1, first.speedup) == (0.8056, None)
    assert (second.top1, second.speedup) == (None, 2.0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("label,top5\n", "it has a heading and no rows"),
        ("label;top5\nA;80%\n", "its columns are not separated by commas"),
        ("top5,speedup\n80%,1\n", "it lacks the column label"),
        ("label,source\nA,B\n", "it has no column of figures"),
        ("label,top_5,top5\nA,1%,1%\n", "the column top5 is there twice"),
        ("label,top55\nA,1%\n", "the column 'top55' is not known"),
        ("label,top5\nA,80%,1\n", "line 2: 3 cells under 2 columns"),
        ("label,top5\n,80%\n", "line 2: it has no label"),
        ("label,top5\nA,80.03\n", "line 2, top5: 80.03 is no share of one"),
        ("label,top5\nA,-1%\n", "line 2, top5: -1% is no share of one"),
        ("label,top5\nA,nan\n", "line 2, top5: 'nan' is not a number"),
        ("label,speedup\nA,1e999\n", "line 2, speedup: '1e999' is not a finite number"),
        ("label,speedup\nA,0\n", "line 2, speedup: 0 is no rate"),
        ("label,speedup\nA,-2\n", "line 2, speedup: -2 is no rate"),
        ("label,speedup\nA,12 ms\n", "line 2, speedup: 12 ms is no rate"),
        ("label,compression\n\nA,4.94\n\nB,much\n", "line 5, compression: much is no rate"),
        ("label,compression,basis\nA,4,size\n", "line 2, basis: 'size' is no basis of α"),
        ("label,speedup,basis\nA,4,file_bytes\n", "line 2: a basis without a compression"),
        ("label,weight_bytes\nA,27 parsecs\n", "line 2, weight_bytes: unknown unit"),
        ("label,weight_bytes\nA,0\n", "line 2, weight_bytes: no model takes 0 bytes"),
        ("label,speedup\nA,1\nA,2\n", "line 3: 'A' is there twice"),
        ('label,speedup\n"A,1\n', "unexpected end of data"),
        (b"label,speedup\n\xff,1\n", "it is not UTF-8"),
        (b"label,speedup\nA,1\x00\n", "line 2"),
        ("label,speedup\n" + "A,1\n" * 300_000, "it has more than 1 MB"),
    ],
)
def test_what_is_no_such_table_is_refused(text: str | bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as raised:
        read(tmp_path, text)
    assert raised.value.code == "bad-published"
    assert why in raised.value.message
    assert raised.value.message.startswith("cannot take published figures from ")
    assert raised.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.csv", tmp_path):
        with pytest.raises(RequestError, match="cannot take published figures from"):
            read_published(str(path))


def test_the_hint_of_a_mistyped_column(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as raised:
        read(tmp_path, "label,speed\nA,1\n")
    assert raised.value.hint == "did you mean 'speedup'?"


def test_from_python() -> None:
    samples = Path(__file__).parents[2] / "sample_models"
    report = compaudit.rank(
        samples / "digits.onnx",
        samples / "digits_slim.onnx",
        published=[PUBLISHED / "low_rank.csv", PUBLISHED / "deep_compression.csv"],
        measurements=("size",),
    )
    assert len(report.published) == 9 + 8
    assert report.published[-1].label == "VGG-16 compressed"
