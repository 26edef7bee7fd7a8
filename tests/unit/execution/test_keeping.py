from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from engine_fakes import Notes, a_pass

from compaudit import machine
from compaudit.cache import Cache
from compaudit.data.base import DataRequest, Feed
from compaudit.engines.base import Pass
from compaudit.engines.inference import Part
from compaudit.execution import keeping
from compaudit.execution.crew import Subject
from compaudit.execution.keeping import Keeper, outputs_key
from compaudit.models.base import RunSettings, Source
from compaudit.pair import Side
from compaudit.workers.workspace import Loaded


def subject(settings: RunSettings | None = None, **changes: Any) -> Subject:
    source = changes.pop("source", Source("m.onnx", "onnx", "/m.onnx"))
    side = Side("original", source)
    side.ledger = SimpleNamespace(sha256=changes.pop("sha256", "ab"))  # type: ignore[assignment]
    side.loaded = Loaded(0.1, (), (), True, ("CPUExecutionProvider",), **changes)
    return Subject("original", side, settings or side.settings)


def key(
    one: Subject | None = None, evaluation: Pass | None = None, digest: str = "d"
) -> str | None:
    return outputs_key(one or subject(), evaluation or a_pass(), "original", lambda: digest)


# ---------------------------------------------------------------------------------------- keys

OTHER_SETTINGS: dict[str, Any] = {
    "device": "CPUExecutionProvider",
    "threads": 2,
    "compiled": True,
    "trust_model_code": True,
    "optimized": False,
    "provider_options": {"a": "b"},
    "session_options": {"a": "b"},
    "custom_op_libraries": (__file__,),
    "taps": ("relu",),
}
OTHER_PASSES: dict[str, Any] = {
    "batch_sizes": (4, 5),
    "fixed": (None, 4),
    "data": DataRequest(limit=10),
}


def test_the_same_has_the_same_key() -> None:
    assert key() == key()
    assert key() is not None


def test_a_file_that_was_moved_is_the_same() -> None:
    moved = msgspec.structs.replace(a_pass(), data=DataRequest(uri="/elsewhere"))
    assert key(evaluation=moved) == key()
    assert key(subject(source=Source("./m.onnx", "onnx", "/other/m.onnx"))) == key()


@pytest.mark.parametrize("name", RunSettings.__struct_fields__)
def test_every_setting_counts(name: str) -> None:
    assert key(subject(RunSettings(**{name: OTHER_SETTINGS[name]}))) != key()


@pytest.mark.parametrize("name", OTHER_PASSES)
def test_everything_about_the_pass_counts(name: str) -> None:
    changed = a_pass()
    if name == "data":
        changed = msgspec.structs.replace(changed, data=OTHER_PASSES[name])
    else:
        changed = a_pass(**{name: OTHER_PASSES[name]})
    assert key(evaluation=changed) != key()


def test_a_part_of_the_samples_has_the_same_key() -> None:
    assert key(evaluation=a_pass(7, start=3)) == key()


def test_how_it_is_fed_counts() -> None:
    renamed = (Feed("input", "other", "float32", None),)
    assert key(evaluation=msgspec.structs.replace(a_pass(), original=renamed)) != key()
    # What the other model is fed changes nothing, nor do the labels.
    assert key(evaluation=msgspec.structs.replace(a_pass(), compressed=renamed)) == key()


def test_the_model_the_data_and_where_it_ran_count() -> None:
    keys = {
        key(),
        key(subject(sha256="cd")),
        key(digest="e"),
        key(Subject("twin", subject().side, RunSettings(optimized=False))),
    }
    assert len(keys) == 4


def test_the_software_and_the_processor_count(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine, here = key(), machine.describe()
    for change in (
        {"cpu": "another"},
        {"packages": {**here.packages, "onnxruntime": "0.1"}},
        {"instruction_sets": ["none"]},
    ):
        other = msgspec.structs.replace(here, **change)
        monkeypatch.setattr(machine, "describe", lambda other=other: other)
        assert key() != genuine
    monkeypatch.undo()
    monkeypatch.setattr(keeping, "__version__", "0.0.0")
    assert key() != genuine


def test_a_custom_operator_library_counts_by_its_content(tmp_path: Path) -> None:
    library = tmp_path / "ops.so"
    keys = []
    for content in (b"1", b"2", b"1"):
        library.write_bytes(content)
        keys.append(key(subject(RunSettings(custom_op_libraries=(str(library),)))))
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize(
    "one",
    [
        subject(source=Source("net:make", "factory", factory="net:make")),
        subject(source=Source("net:make@w.pt", "factory", "/w.pt", "net:make", "w.pt")),
        subject(source=Source("m.pt", "pickled-module", "/m.pt")),
        subject(sha256=None),
        subject(on_gpu=True),
    ],
    ids=["factory", "factory with weights", "pickled module", "no files", "GPU"],
)
def test_what_no_file_vouches_for_is_not_kept(one: Subject) -> None:
    def untouched() -> str:
        raise AssertionError("the data need not be read")

    assert outputs_key(one, a_pass(), "original", untouched) is None


def test_what_the_users_metrics_said_is_not_kept() -> None:
    assert key(evaluation=a_pass(metrics=("m:f",))) is None


# -------------------------------------------------------------------------------------- keeper


def write(keeper: Keeper, evaluation: Pass, key: str = "k") -> None:
    with keeper.recording(key, evaluation, "m.onnx") as writer:
        assert writer is not None
        for start in range(evaluation.start, evaluation.stop, 4):
            stop = min(start + 4, evaluation.stop)
            writer.write(start, stop, Part({"y": np.arange(start, stop, dtype=np.float32)}))


def test_outputs_are_found_again(tmp_path: Path) -> None:
    progress = Notes()
    keeper = Keeper(Cache(tmp_path / "c"), progress)
    assert keeper.find("k", a_pass(10), "m.onnx") is None
    write(keeper, a_pass(10))
    reader = keeper.find("k", a_pass(10), "m.onnx")
    assert reader is not None
    assert reader.read(3, 9).outputs["y"].tolist() == [3, 4, 5, 6, 7, 8]
    # A part of the samples is there too.
    assert keeper.find("k", a_pass(7), "m.onnx") is not None
    assert progress.notes == []


def test_a_damaged_entry_is_removed_and_said(tmp_path: Path) -> None:
    progress = Notes()
    keeper = Keeper(Cache(tmp_path / "c"), progress)
    write(keeper, a_pass(10))
    data = tmp_path / "c" / "k" / "data"
    values = bytearray(data.read_bytes())
    values[5] ^= 1
    data.write_bytes(values)
    assert keeper.find("k", a_pass(10), "m.onnx") is None
    assert progress.notes == [
        "the kept outputs of m.onnx are damaged (a checksum is wrong): it runs again"
    ]
    assert not (tmp_path / "c" / "k").exists()
    write(keeper, a_pass(10))
    assert keeper.find("k", a_pass(10), "m.onnx") is not None


def test_an_audit_that_failed_keeps_nothing(tmp_path: Path) -> None:
    keeper = Keeper(Cache(tmp_path / "c"), Notes())

    def fail() -> None:
        with keeper.recording("k", a_pass(10), "m.onnx") as writer:
            assert writer is not None
            writer.write(0, 4, Part({"y": np.zeros(4)}))
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert list((tmp_path / "c").iterdir()) == []


def test_large_outputs_are_not_kept_and_that_is_no_news(tmp_path: Path) -> None:
    progress = Notes()
    keeper = Keeper(Cache(tmp_path / "c", most_bytes=60), progress)
    write(keeper, a_pass(10))
    assert list((tmp_path / "c").iterdir()) == []
    assert progress.notes == []


def test_a_folder_that_cannot_be_used_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    progress = Notes()
    keeper = Keeper(Cache(tmp_path / "file" / "c"), progress)
    assert keeper.find("k", a_pass(10), "m.onnx") is None
    with keeper.recording("k", a_pass(10), "m.onnx") as writer:
        assert writer is None
    (note,) = progress.notes
    assert note.startswith("the outputs of m.onnx are not kept for the next audit: ")
    assert note.endswith("Not a directory")


def test_a_full_disk_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Notes()
    keeper = Keeper(Cache(tmp_path / "c"), progress)

    def full(self: Any, values: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("compaudit.engines.records.Writer._put", full)
    write(keeper, a_pass(10))
    assert progress.notes == [
        "the outputs of m.onnx are not kept for the next audit: No space left on device"
    ]
    assert list((tmp_path / "c").iterdir()) == []


@pytest.mark.parametrize("cache", [True, False])
def test_nothing_is_kept_without_a_key_or_a_cache(cache: bool, tmp_path: Path) -> None:
    keeper = Keeper(Cache(tmp_path / "c") if cache else None, Notes())
    name = None if cache else "k"
    assert keeper.find(name, a_pass(10), "m.onnx") is None
    with keeper.recording(name, a_pass(10), "m.onnx") as writer:
        assert writer is None
    assert not (tmp_path / "c").exists()


def test_no_cache_means_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for wanted in (False, True):
        with Keeper.of_user(wanted, Notes()).recording("k", a_pass(1), "m") as writer:
            assert (writer is not None) == wanted
    assert (tmp_path / "compaudit").exists()


def keeper_of(tmp_path: Path, *, users: bool = True) -> Keeper:
    cache = Cache(tmp_path / "user") if users else None
    return Keeper(cache, Notes(), Cache(tmp_path / "run"))


class TestPrivate:
    """What a run of several audits keeps for itself alone."""

    def key(self, keeper: Keeper, one: Subject, evaluation: Pass | None = None) -> str | None:
        return keeper.key(one, evaluation or a_pass(), "original", lambda: "d")

    def test_what_may_be_kept_is_the_users(self, tmp_path: Path) -> None:
        assert self.key(keeper_of(tmp_path), subject()) == key()

    def test_without_the_users_cache_it_is_kept_for_the_run(self, tmp_path: Path) -> None:
        keeper = keeper_of(tmp_path, users=False)
        write(keeper, a_pass(), self.key(keeper, subject()) or "")
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert keeper.find(self.key(keeper, subject()), a_pass(), "m") is not None

    def test_what_nobody_vouches_for_too(self, tmp_path: Path) -> None:
        evaluation = a_pass(metrics=("own:metric",))
        keeper = keeper_of(tmp_path)
        found = self.key(keeper, subject(), evaluation)
        assert found is not None
        write(keeper, evaluation, found)
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert keeper.find(found, evaluation, "m") is not None

    def test_a_pass_without_a_metric_is_served_by_one_with_it_and_not_the_reverse(
        self, tmp_path: Path
    ) -> None:
        keeper = keeper_of(tmp_path, users=False)
        scored = a_pass(metrics=("own:metric",))
        write(keeper, a_pass(), plain := self.key(keeper, subject()) or "")
        assert self.key(keeper, subject(), scored) == plain
        assert keeper.find(plain, scored, "m") is None
        others = keeper_of(tmp_path / "others", users=False)
        write(others, scored, plain)
        assert others.find(plain, a_pass(), "m") is not None

    def test_without_a_private_one_it_is_not_kept(self, tmp_path: Path) -> None:
        keeper = Keeper(Cache(tmp_path / "user"), Notes())
        assert self.key(keeper, subject(), a_pass(metrics=("own:metric",))) is None
