"""The rule that names the place where a model breaks, on traces made up for it."""

import pytest

from compaudit.measure.trace.first_break import first_break
from compaudit.results.quality import TracedOutput


def row(name: str, sqnr_db: float | None, identical: bool = False, bad: int = 0) -> TracedOutput:
    return TracedOutput(
        name=name,
        op="Conv",
        compressed_name=name,
        matched_by="name",
        samples=1,
        elements=10,
        sqnr_db=sqnr_db,
        cosine=None,
        max_abs_error=None,
        identical=identical,
        nonfinite_original=0,
        nonfinite_compressed=bad,
    )


def trace(*figures: float | None) -> list[TracedOutput]:
    """None is identical."""
    return [row(f"o{at}", figure, figure is None) for at, figure in enumerate(figures)]


@pytest.mark.parametrize(
    ("figures", "broken"),
    [
        ((53, 35, -16, -11, -2), "o2"),  # digits_broken
        ((None, None, 0, -2, -1), "o2"),  # a layer of zeros after untouched ones
        ((0, 1, 2), "o0"),  # from the first layer on: see the docstring
        ((30, 23, 2.9, 2), "o2"),
        ((53, 35, 33, 37), None),  # digits_int8
        ((None, 18, 16, 5, 3, 1, 4, 9), None),  # pruned and trained again: 18 → 16 → 5 → 1
        ((40, 30, 20, 12, 6, 2, 1), None),  # noise that adds up
        ((35, -16, 30, 34), None),  # put right again
        ((35, 34, 8, 7), None),  # worse, and not broken
        ((), None),
    ],
)
def test_traces(figures: tuple[float | None, ...], broken: str | None) -> None:
    found = first_break(trace(*figures))
    assert (None if found is None else found.name) == broken


def test_infinities_of_the_compressed_model_alone() -> None:
    rows = [row("a", 60), row("b", None, bad=3), row("c", None, bad=9)]
    found = first_break(rows)
    assert found is rows[1]


def test_an_output_without_signal_is_passed_over() -> None:
    """Zero everywhere in the original: there is no ratio, and it is not identical."""
    rows = [row("a", 60), row("b", None), row("c", -3)]
    found = first_break(rows)
    assert found is rows[2]
