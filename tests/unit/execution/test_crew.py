from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from engine_fakes import Notes

from compaudit.config import Config
from compaudit.execution.crew import Crew, Subject
from compaudit.measure.memory import FirstRun
from compaudit.measure.resident import Resident
from compaudit.models.base import Source
from compaudit.pair import Pair, Side, open_pair
from compaudit.workers.limits import Limits

MODELS = Path(__file__).parents[3] / "sample_models"
MB = 10**6


@pytest.fixture(scope="module")
def pair() -> Pair:
    return open_pair(
        Config(original=str(MODELS / "digits.onnx"), compressed=str(MODELS / "digits_int8.onnx"))
    )


def test_models_are_loaded_when_they_are_needed_and_again_where_they_made_room(pair: Pair) -> None:
    original, compressed = map(Subject.of, pair)
    with Crew(pair, Limits(timeout_s=60), Notes()) as crew:
        first = crew.worker(original)
        assert crew.worker(original) is first
        assert pair.original.loaded is not None
        assert [value.name for value in pair.original.loaded.inputs] == ["image"]
        crew.worker(compressed)
        assert crew.holds(original)
        load_s = pair.original.loaded.load_s
        crew.apart = True
        crew.dismiss(but=compressed)
        assert not crew.holds(original)
        assert crew.holds(compressed)
        again = crew.worker(original)
        assert not crew.holds(compressed)
        assert again.pid != first.pid
        assert not psutil.pid_exists(first.pid)
        # What the report says of loading is what it took the first time.
        assert pair.original.loaded.load_s == load_s
        pid = again.pid
    assert not psutil.pid_exists(pid)


def test_another_way_to_run_a_model_is_not_what_the_report_says_of_it(pair: Pair) -> None:
    import msgspec

    with Crew(pair, Limits(timeout_s=60), Notes()) as crew:
        crew.worker(Subject.of(pair.original))
        loaded, baseline = pair.original.loaded, pair.original.baseline
        settings = msgspec.structs.replace(pair.original.settings, optimized=False)
        crew.worker(Subject("twin", pair.original, settings))
        assert (pair.original.loaded, pair.original.baseline) == (loaded, baseline)


def test_further_workers_end_with_their_pass(pair: Pair) -> None:
    with Crew(pair, Limits(timeout_s=60), Notes()) as crew, ExitStack() as owned:
        more = crew.more(Subject.of(pair.original), 2, owned)
        children = psutil.Process().children(recursive=True)
        owned.close()
        assert len(more) == 2
        assert sum(not child.is_running() for child in children) == 2


# -------------------------------------------------------------------------------------- memory


def side(name: Any, stored: int, peak: int | None, baseline: int | None) -> Side:
    made = Side(name, Source(f"{name}.onnx", "onnx"))
    made.ledger = SimpleNamespace(file_bytes=stored, weight_bytes=0)  # type: ignore[assignment]
    if baseline is not None:
        made.baseline = Resident(2 * baseline, baseline, baseline)
        made.first_run = FirstRun(0.1, peak)
    return made


def crew_of(limit: int, original: Side, compressed: Side) -> tuple[Crew, Notes]:
    progress = Notes()
    return Crew(Pair(original, compressed), Limits(memory_bytes=limit), progress), progress


@pytest.mark.parametrize(
    ("sides", "needed"),
    [
        # Both have run: their frameworks', and the peak of each.
        (((100, 300, 50), (30, 80, 50)), 480),
        # The other has not: what it stores.
        (((100, 300, 50), (30, None, None)), 380),
        # The peak is not known here.
        (((100, None, 50), (30, None, 50)), 230),
    ],
)
def test_one_after_the_other_where_both_do_not_fit(sides: Any, needed: int) -> None:
    made = (
        side("original", *(value and value * MB for value in sides[0])),
        side("compressed", *(value and value * MB for value in sides[1])),
    )
    fits, progress = crew_of(needed * MB, *made)
    assert fits.together_bytes() == needed * MB
    fits.make_room()
    assert (fits.apart, progress.notes) == (False, [])
    short, progress = crew_of(needed * MB - 1, *made)
    short.make_room()
    short.make_room()
    assert short.apart
    (note,) = progress.notes
    assert f"both models together take {needed} MB" in note
    assert "run one after the other" in note


def test_a_model_that_is_left_alone_has_all_the_memory() -> None:
    made = side("original", 100 * MB, 900 * MB, 50 * MB), side("compressed", MB, MB, MB)
    made[1].alive = False
    crew, _ = crew_of(100 * MB, *made)
    crew.make_room()
    assert not crew.apart


@pytest.mark.parametrize(
    ("limit", "wanted", "pairs"), [(800, 2, 2), (799, 2, 1), (100, 3, 1), (1700, 4, 4), (1, 1, 1)]
)
def test_as_many_pairs_as_fit(limit: int, wanted: int, pairs: int) -> None:
    made = side("original", 0, 300 * MB, 50 * MB), side("compressed", 0, 40 * MB, 10 * MB)
    crew, progress = crew_of(limit * MB, *made)
    assert crew.pairs(wanted) == pairs
    assert len(progress.notes) == (pairs < wanted)
    crew.apart = True
    assert crew.pairs(wanted) == 1
