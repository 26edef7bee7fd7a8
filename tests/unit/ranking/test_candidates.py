"""Who takes part: what paths, patterns, folders and lists name."""

import shutil
from pathlib import Path

import pytest

from compaudit.config import ModelOptions
from compaudit.errors import RequestError
from compaudit.ranking.candidates import Listed, find_candidates

SAMPLES = Path(__file__).parents[3] / "sample_models"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an original, and a folder of models and of what is none."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("digits_int8.onnx", "digits_fp16.onnx", "digits_test.npz", "README.md"):
        shutil.copy(SAMPLES / name, folder / name)
    shutil.copy(SAMPLES / "digits.onnx", tmp_path / "digits.onnx")
    (folder / "digits.onnx").symlink_to(tmp_path / "digits.onnx")
    (folder / ".hidden.onnx").write_bytes(b"")
    return tmp_path


def named(*arguments: str) -> list[tuple[str, str]]:
    return [(one.path, one.label) for one in find_candidates(arguments, "digits.onnx")]


BOTH = [
    ("models/digits_fp16.onnx", "digits_fp16.onnx"),
    ("models/digits_int8.onnx", "digits_int8.onnx"),
]


def test_paths_are_taken_as_they_are_and_in_their_order() -> None:
    assert named("models/digits_int8.onnx", "models/digits_fp16.onnx") == BOTH[::-1]


def test_a_pattern_names_every_match() -> None:
    assert named("models/digits_*[68].onnx") == BOTH


def test_an_absolute_pattern_too(here: Path) -> None:
    assert [label for _, label in named(f"{here}/mod*/digits_*8.onnx")] == ["digits_int8.onnx"]


def test_a_folder_names_its_models_but_not_the_original_or_what_is_none() -> None:
    assert named("models") == BOTH


def test_a_hugging_face_folder_is_one_model() -> None:
    Path("models/config.json").write_text("{}")
    assert named("models") == [("models", "models")]


def test_what_is_named_twice_takes_part_once() -> None:
    assert named("models", "./models/digits_int8.onnx", "models/*16.onnx") == BOTH


def test_a_factory_is_a_candidate() -> None:
    assert named("my_nets:small") == [("my_nets:small", "my_nets:small")]


def test_files_of_one_name_are_told_apart_by_their_paths(here: Path) -> None:
    shutil.copytree("models", "others", symlinks=True)
    Path("others/digits_int8.onnx").write_bytes(b"another")
    paths = ["models/digits_int8.onnx", "others/digits_int8.onnx"]
    assert named(*paths) == [(path, path) for path in paths]


class TestList:
    def write(self, text: str, path: str = "models/list.toml") -> str:
        Path(path).write_text(text, encoding="utf-8")
        return path

    def test_paths_are_relative_to_it_and_have_labels_and_settings_of_their_own(self) -> None:
        path = self.write(
            """
            [[candidate]]
            path = "digits_int8.onnx"
            label = "int8, per channel"
            batch_size = 4
            map_input = { image = "pixels" }
            input_shapes = { pixels = [4, 1, 8, 8] }

            [[candidate]]
            path = "digits_fp16.onnx"
            """
        )
        first, second = find_candidates([path], "digits.onnx")
        options = ModelOptions(
            batch_size=4,
            map_input={"image": "pixels"},
            input_shapes={"pixels": (4, 1, 8, 8)},
        )
        assert first == Listed("models/digits_int8.onnx", "int8, per channel", options)
        assert second == Listed("models/digits_fp16.onnx", "digits_fp16.onnx", ModelOptions())

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[[candidate]]\nlabel = 'a'", "missing required field `path`"),
            ("[[candidate]]\npath = 'digits_int8.onnx'\nthreads = 2", "unknown field `threads`"),
            ("candidate = 3", "Expected `array`"),
            ("[[candidates]]\npath = 'digits_int8.onnx'", "candidate"),
            ("[[candidate]\n", "list.toml is no list of candidates"),
            ("[[candidate]]\npath = 'none.onnx'", "none.onnx does not exist"),
            ("[[candidate]]\npath = 'digits_int8.onnx'\nbatch_size = 0", "batch-size is 0"),
            ("candidate = []", "there is no candidate to rank"),
        ],
    )
    def test_what_is_wrong_with_it_is_said(self, text: str, said: str) -> None:
        with pytest.raises(RequestError) as caught:
            find_candidates([self.write(text)], "digits.onnx")
        assert said in caught.value.message

    def test_two_of_one_label_are_refused(self) -> None:
        entry = "[[candidate]]\npath = '{}.onnx'\nlabel = 'small'\n"
        path = self.write(entry.format("digits_int8") + entry.format("digits_fp16"))
        with pytest.raises(RequestError, match="2 candidates are labelled 'small'"):
            named(path)

    def test_none_is_called_as_the_original_is_in_the_report(self) -> None:
        path = self.write("[[candidate]]\npath = 'digits_int8.onnx'\nlabel = 'original'")
        with pytest.raises(RequestError, match="no candidate can be labelled 'original'"):
            named(path)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("none.onnx", "none.onnx does not exist"),
        ("models/*.pt2", "nothing matches models/*.pt2"),
        ("empty", "there is no model in the folder empty"),
    ],
)
def test_what_names_nothing_is_refused_at_once(argument: str, said: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(RequestError) as caught:
        named("models", argument)
    assert caught.value.message == said
    assert caught.value.hint


def test_no_argument_is_no_candidate() -> None:
    with pytest.raises(RequestError, match="there is no candidate to rank"):
        named()
