"""Which candidates are timed together, and what a ranking says of its progress."""

import dataclasses

from engine_fakes import Notes
from entrants import entrant, subject

from compaudit.ranking.journey import Journey
from compaudit.timing.several import grouped
from compaudit.workers.limits import Limits


def names(groups: object) -> list[list[str]]:
    return [list(group) for group in groups]  # type: ignore[attr-defined]


class TestGroups:
    def test_all_that_fit_are_in_one(self) -> None:
        progress = Notes()
        entrants = {name: entrant(name, 100) for name in "abc"}
        groups = grouped(entrants, 100, Limits(memory_bytes=400), progress)
        assert names(groups) == [["a", "b", "c"]]
        assert progress.notes == []

    def test_each_group_has_room_for_the_original_too(self) -> None:
        progress = Notes()
        entrants = {"a": entrant("a", 200), "b": entrant("b", 150), "c": entrant("c", 100)}
        groups = grouped(entrants, 100, Limits(memory_bytes=400), progress)
        assert names(groups) == [["a", "c"], ["b"]]
        assert "4 models do not fit into 400 B together" in progress.notes[0]
        assert "timed in 2 groups" in progress.notes[0]

    def test_one_that_is_too_large_beside_the_original_is_timed_all_the_same(self) -> None:
        """As `compare` does: each has its own limit, and only one runs at a time."""
        groups = grouped({"a": entrant("a", 900)}, 900, Limits(memory_bytes=1000), Notes())
        assert names(groups) == [["a"]]

    def test_where_the_original_is_fed_otherwise_it_is_timed_again(self) -> None:
        other = dataclasses.replace(subject("original"), batch_size=4)
        entrants = {"a": entrant("a", 1), "b": entrant("b", 1, other), "c": entrant("c", 1)}
        progress = Notes()
        groups = grouped(entrants, 1, Limits(memory_bytes=1000), progress)
        assert names(groups) == [["a", "c"], ["b"]]
        assert progress.notes == []


class Told:
    def __init__(self) -> None:
        self.stages: list[tuple[str, float | None]] = []

    def stage(self, what: str, share: float | None = None, left_s: float | None = None) -> None:
        self.stages.append((what, share))

    def note(self, text: str) -> None:
        pass


def test_what_is_left_is_known_once_one_is_done() -> None:
    told, now = Told(), [0.0]
    journey = Journey(told, lambda: now[0])
    journey.evaluate(0, 4, "a.onnx", 60.0)
    journey.stage("loading a.onnx")
    now[0] = 10.0
    journey.evaluate(1, 4, "b.onnx", 60.0)
    journey.stage("loading b.onnx", 0.5)
    journey.evaluated()
    journey.stage("timing", 0.25)
    assert told.stages == [
        ("1 of 4, a.onnx: loading a.onnx", 0.0),
        # Three more of 10 s, and a minute of timing.
        ("2 of 4, b.onnx: loading b.onnx, about 90 s left", 0.25),
        ("timing", 0.25),
    ]
