"""Blocks in which a model was compiled, counted by hand."""

from compaudit.measure.latency.recompilation import recompiled_blocks
from compaudit.measure.latency.trace import ModelName, Trace
from compaudit.results import RawBlock


def block(model: ModelName, compilations: int) -> RawBlock:
    return RawBlock(
        epoch=0,
        quad=0,
        position=0,
        model=model,
        calls=1,
        elapsed_s=1.0,
        cpu_s=1.0,
        times_s=[1.0],
        compilations=compilations,
        resident_bytes=None,
    )


def test_blocks_not_compilations_are_counted_wherever_they_were_timed() -> None:
    trace = Trace(
        blocks=[block("original", 0), block("compressed", 5), block("compressed", 1)],
        sentinel=[block("original", 1)],
        budget_s=30.0,
        two_looks=False,
        never_steady=(),
        device=[block("compressed", 2), block("original", 0)],
    )
    assert recompiled_blocks(trace) == {"compressed": 3, "original": 1}


def test_nothing_compiled() -> None:
    trace = Trace([block("original", 0), block("compressed", 0)], [], 30.0, False, ())
    assert recompiled_blocks(trace) == {}
