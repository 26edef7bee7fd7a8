from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compaudit.data.runs import RunBuilder, Runs, Shapes


def built(samples: Sequence[Shapes]) -> Runs:
    builder = RunBuilder()
    for shapes in samples:
        builder.add(shapes)
    return builder.finish()


def end_by_hand(samples: Sequence[Shapes], start: int, stop: int) -> int:
    end = start
    while end < stop and samples[end] == samples[start]:
        end += 1
    return end


sizes = st.integers(0, 2)
sample = st.fixed_dictionaries({"a": st.tuples(sizes), "b": st.tuples(sizes, sizes)})
samples = st.lists(sample, min_size=1, max_size=12)


def same(one: Runs, other: Runs) -> bool:
    return (
        np.array_equal(one.starts, other.starts)
        and dict(one.first) == dict(other.first)
        and dict(one.last) == dict(other.last)
        and dict(one.sizes) == dict(other.sizes)
    )


@given(samples)
def test_runs_end_where_shapes_change(given: list[Shapes]) -> None:
    runs = built(given)
    for start in range(len(given)):
        for stop in range(start + 1, len(given) + 1):
            assert runs.end(start, stop) == end_by_hand(given, start, stop)
    for name, known in runs.sizes.items():
        for place, size in enumerate(known):
            seen = {shapes[name][place] for shapes in given}
            assert size == (seen.pop() if len(seen) == 1 else None)


@given(st.lists(samples, min_size=1, max_size=4))
def test_parts_that_follow_one_another(parts: list[list[Shapes]]) -> None:
    begins = np.cumsum([0, *map(len, parts)]).tolist()
    whole = [shapes for part in parts for shapes in part]
    assert same(Runs.joined([built(part) for part in parts], begins[:-1]), built(whole))


@given(samples)
def test_arrays_side_by_side(given: list[Shapes]) -> None:
    parts = [built([{name: shapes[name]} for shapes in given]) for name in ("a", "b")]
    assert same(Runs.beside(parts), built(given))


@given(samples)
def test_many_samples_at_a_time(given: list[Shapes]) -> None:
    builder = RunBuilder()
    for shapes in given:
        builder.add(shapes, samples=3)
    repeated = [shapes for shapes in given for _ in range(3)]
    assert same(builder.finish(), built(repeated))
