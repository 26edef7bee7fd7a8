import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.data.jsonl import JsonLinesDataset
from compaudit.data.open import open_data
from compaudit.errors import RequestError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.jsonl"


def save(path: Path, *lines: Any) -> Path:
    """Objects as JSON; text as it is."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def opened(path: Path, limit: int | None = None) -> JsonLinesDataset:
    dataset = open_data(DataRequest(uri=str(path), limit=limit))
    assert isinstance(dataset, JsonLinesDataset)
    return dataset


def refusal(path: Path) -> RequestError:
    with pytest.raises(RequestError) as caught:
        opened(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.stage == "data"
    return caught.value


# -------------------------------------------------------------------------------- what it holds

TOKENS = [
    {"input_ids": [101, 7, 102], "attention_mask": [1, 1, 1], "label": 0},
    {"input_ids": [101, 8, 102], "attention_mask": [1, 1, 0], "label": 1},
    {"input_ids": [101], "attention_mask": [1], "label": 1},
]


def test_tokens(path: Path) -> None:
    dataset = opened(save(path, *TOKENS))
    assert dataset.kind == "jsonl"
    assert dataset.samples == 3
    assert dataset.arrays == (
        ArrayInfo("input_ids", "int64", (None,)),
        ArrayInfo("attention_mask", "int64", (None,)),
        ArrayInfo("label", "int64", ()),
    )
    assert [dataset.uniform(start, 3) for start in range(3)] == [2, 2, 3]
    assert dataset.uniform(0, 1) == 1
    batch = dataset.batch(0, 2)
    assert batch["input_ids"].tolist() == [[101, 7, 102], [101, 8, 102]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert dataset.batch(1, 9, {"label"})["label"].tolist() == [1, 1]
    assert dataset.batch(0, 3, {"label"}).keys() == {"label"}


def test_a_batch_beyond_a_run_is_refused(path: Path) -> None:
    dataset = opened(save(path, *TOKENS))
    with pytest.raises(RequestError, match="samples 1 to 2") as caught:
        dataset.batch(1, 3)
    assert caught.value.code == "lengths-differ"


def test_equal_lengths_are_a_shape(path: Path) -> None:
    dataset = opened(save(path, *TOKENS[:2]))
    assert dataset.arrays[0].shape == (3,)
    assert opened(save(path, *TOKENS), limit=2).arrays[0].shape == (3,)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, -(2**63), 2**63 - 1], "int64"),
        ([0.5, -1e300, 5e-324], "float64"),
        ([True, False, False], "bool"),
        ([1, 0.5, 2], "float64"),
        ([[1], [2], [0.25]], "float64"),
        ([[], [1], [2, 3]], "int64"),
        ([[], [], [0.5]], "float64"),
        ([[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 10], [11, 12]]], "int64"),
        ([[[1, 2], [3, 4]], [[5.5]], []], "float64"),
    ],
)
def test_numbers(path: Path, values: list[Any], dtype: str) -> None:
    dataset = opened(save(path, *({"x": value, "y": 1} for value in values)))
    assert dataset.arrays[0].dtype == dtype
    for index, value in enumerate(values):
        (read,) = dataset.batch(index, index + 1)["x"]
        assert read.dtype == dtype
        assert read.tolist() == value


def test_what_is_no_number_is_left_out(path: Path) -> None:
    line = {"id": "a", "ids": [1, 2], "words": ["b"], "more": {"c": 1}, "none": None}
    other = {**line, "id": None, "words": [], "none": "text"}
    dataset = opened(save(path, line, other))
    assert [array.name for array in dataset.arrays] == ["ids"]
    assert dataset.left_out == {
        "id": "text",
        "words": "lists of text",
        "more": "objects",
        "none": "null",
    }


def test_names_are_any_text(path: Path) -> None:
    names = ("a.b", "", "key0", "ü 1", "class", "__dict__")
    dataset = opened(save(path, {name: place for place, name in enumerate(names)}))
    assert {name: int(values[0]) for name, values in dataset.batch(0, 1).items()} == {
        name: place for place, name in enumerate(names)
    }


def test_keys_in_any_order(path: Path) -> None:
    dataset = opened(save(path, '{"a": 1, "b": 2}', '{"b": 3, "a": 4}'))
    assert {name: array.tolist() for name, array in dataset.batch(0, 2).items()} == {
        "a": [1, 4],
        "b": [2, 3],
    }


@pytest.mark.parametrize(
    "content",
    [
        b'{"x": 1}\n{"x": 2}\n{"x": 3}',
        b'\n\n{"x": 1}\n  \t\n{"x": 2}\r\n\r\n{"x": 3}\n\n\n',
        b'\xef\xbb\xbf{"x": 1}\n{"x": 2}\n{"x": 3}\n',
        b'\xef\xbb\xbf\n {"x": 1} \n{"x": 2}\n\t{"x": 3}\n',
    ],
)
def test_blank_lines_line_ends_and_marks(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert opened(path).batch(0, 3)["x"].tolist() == [1, 2, 3]
    assert opened(path).batch(1, 2)["x"].tolist() == [2]


@pytest.mark.parametrize(("limit", "samples"), [(None, 3), (2, 2), (3, 3), (9, 3)])
def test_limit(path: Path, limit: int | None, samples: int) -> None:
    assert opened(save(path, {"x": 1}, {"x": 2}, {"x": 3}), limit).samples == samples


def test_nothing_behind_the_limit_is_looked_at(path: Path) -> None:
    assert opened(save(path, {"x": 1}, {"x": 2}, "broken"), limit=2).samples == 2


def test_links_are_followed(tmp_path: Path, path: Path) -> None:
    link = tmp_path / "linked"
    link.symlink_to(save(path, {"x": 1}))
    assert opened(link).samples == 1


def test_told_by_suffix_or_content(tmp_path: Path) -> None:
    assert opened(save(tmp_path / "a.ndjson", {"x": 1})).samples == 1
    assert opened(save(tmp_path / "train.json", "", {"x": 1}, {"x": 2})).samples == 2
    with pytest.raises(RequestError) as caught:
        open_data(DataRequest(uri=str(save(tmp_path / "list.json", [1, 2]))))
    assert caught.value.code == "unknown-data"


def test_eight_bytes_a_sample_and_as_many_a_run(path: Path) -> None:
    save(path, *({"x": [1] * (index % 2), "y": [1]} for index in range(1000)))
    dataset = opened(path)
    scan = dataset._scan
    assert (scan.starts.itemsize, len(scan.starts)) == (8, 1000)
    assert (scan.runs.starts.itemsize, len(scan.runs.starts)) == (8, 999)
    assert opened(path)._scan is scan  # not found again while somebody has it


def test_it_goes_on_after_release(path: Path) -> None:
    dataset = opened(save(path, *TOKENS))
    first = dataset.batch(0, 1)["input_ids"].tolist()
    dataset.release()
    assert dataset.batch(0, 1)["input_ids"].tolist() == first


# ---------------------------------------------------------------------------------- the digest


def test_digest_is_of_the_numbers_that_are_used(tmp_path: Path) -> None:
    plain = opened(save(tmp_path / "1.jsonl", *TOKENS)).digest()
    spaced = [json.dumps({**line, "text": "x"}, indent=None).replace(":", " :") for line in TOKENS]
    assert opened(save(tmp_path / "2.jsonl", "", *spaced, TOKENS[0]), limit=3).digest() == plain


@pytest.mark.parametrize(
    "other",
    [
        {"label": 2},
        {"input_ids": [101, 8, 103]},
        {"input_ids": [101, 8], "attention_mask": [1, 1]},
        {"label": 1.5},
    ],
)
def test_digest_tells_apart(tmp_path: Path, other: dict[str, Any]) -> None:
    one = opened(save(tmp_path / "1.jsonl", *TOKENS)).digest()
    changed = [TOKENS[0], {**TOKENS[1], **other}, TOKENS[2]]
    assert opened(save(tmp_path / "2.jsonl", *changed)).digest() != one


def test_a_digest_of_many_lines(tmp_path: Path) -> None:
    """More than are read at a time; the last one counts."""
    lines = [{"x": [index] * (index % 3)} for index in range(2500)]
    one = opened(save(tmp_path / "1.jsonl", *lines)).digest()
    assert opened(save(tmp_path / "2.jsonl", *lines)).digest() == one
    lines[-2]["x"][0] += 1
    assert opened(save(tmp_path / "3.jsonl", *lines)).digest() != one


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"x": [1, 2], "y": 3', "malformed|truncated"),
        ("[1, 2]", "object"),
        ('{"x": [1, 2]}', "`y`"),
        ('{"x": [1, 2], "y": 3, "z": 4}', "`z`"),
        ('{"x": [1, "2"], "y": 3}', r"\$\.x\[1\]"),
        ('{"x": [1, null], "y": 3}', r"null.*\$\.x\[1\]"),
        ('{"x": [1, true], "y": 3}', r"bool.*\$\.x\[1\]"),
        ('{"x": [[1]], "y": 3}', r"array.*\$\.x\[0\]"),
        ('{"x": 1, "y": 3}', r"\$\.x"),
        ('{"x": null, "y": 3}', r"null.*\$\.x"),
        ('{"x": [1, 2], "y": 9223372036854775808}', r"9223372036854775807.*\$\.y"),
        ('{"x": [1, 2], "y": ' + "9" * 400 + "}", r"\$\.y"),
        ('{"x": [NaN], "y": 3}', "malformed"),
        ('{"x": [1e999], "y": 3}', "out of range"),
        ('{"x": [1, 2], "y": 3} {"x": [1, 2], "y": 3}', "malformed"),
        ("\x00", "malformed"),
        ('{"x": ' + "[" * 100_000, "line 4"),
    ],
)
def test_one_bad_line_in_the_middle(path: Path, line: str, said: str) -> None:
    good = {"x": [1, 2], "y": 3}
    error = refusal(save(path, good, "", good, line, good))
    assert error.code == "broken-data"
    assert "line 4 " in error.message
    assert re.search(said, error.message), error.message
    assert opened(save(path, good, "", good, good)).samples == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"x": [1, "2"]}, "text and whole numbers"),
        ({"x": [1, None]}, "null and whole numbers"),
        ({"x": [0.5, True]}, "numbers and true or false"),
        ({"x": [1, [2]]}, "cannot be read"),
        ({"x": [[1, 2], [3]]}, "different lengths inside 'x'"),
        ("{", "cannot be read"),
        ("\x00", "cannot be read"),
        ([1, 2], "no JSON object"),
        ({"x": 2**63}, "9223372036854775807"),
        ({"x": 1, "\t": 2}, r"key '\t'"),
        ({'"': 1}, "key '\"'"),
        ({"a\\b": 1}, r"key 'a\\b'"),
    ],
)
def test_a_bad_first_line(path: Path, line: Any, said: str) -> None:
    error = refusal(save(path, "", line, {"x": [1]}))
    assert "line 2 " in error.message
    assert said in error.message


def test_a_number_where_there_was_null_is_not_lost(path: Path) -> None:
    error = refusal(save(path, {"x": 1, "labels": None}, {"x": 2, "labels": 3}))
    assert "line 2 " in error.message
    assert "labels" in error.message


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_no_lines(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert refusal(path).code == "no-samples"


@pytest.mark.parametrize("line", [{}, {"text": "a"}, {"words": ["a", None], "more": {}}])
def test_no_numbers(path: Path, line: dict[str, Any]) -> None:
    error = refusal(save(path, line))
    assert error.code == "no-arrays"
    assert all(repr(name) in error.message for name in line)


def test_lines_without_an_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compaudit.data.jsonl._LONGEST_BYTES", 100)
    error = refusal(save(path, {"x": [1]}, {"x": [1] * 50}))
    assert "line 2 is longer than 100 bytes" in error.message


def test_a_file_that_changes_while_it_is_open(path: Path) -> None:
    dataset = opened(save(path, {"x": 1}, {"x": 2}))
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(RequestError, match="sample 1") as caught:
        dataset.batch(1, 2)
    assert caught.value.code == "data-changed"


def test_values_against_json_itself(path: Path) -> None:
    random = np.random.default_rng(0)
    lines = [
        {
            "ids": random.integers(-(2**62), 2**62, random.integers(0, 5)).tolist(),
            "x": random.normal(size=(2, 3)).tolist(),
        }
        for _ in range(200)
    ]
    dataset = opened(save(path, *lines))
    start = 0
    while start < 200:
        stop = dataset.uniform(start, 200)
        lengths = {len(line["ids"]) for line in lines[start:stop]}
        assert len(lengths) == 1
        assert stop == 200 or len(lines[stop]["ids"]) not in lengths
        batch = dataset.batch(start, stop)
        for name, values in batch.items():
            assert values.tolist() == [line[name] for line in lines[start:stop]]
        start = stop
