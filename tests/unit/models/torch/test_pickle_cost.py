"""Pickles that would exhaust memory or stack are told from honest ones, without loading either."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict

import pytest

from compaudit.models.torch.pickle_cost import why_too_costly

BYTEARRAY = b"c__builtin__\nbytearray\n"
NUMBER = b"\x8a\x06\0\0\0\0\0\1"  # 2^40


def reason(data: bytes) -> str | None:
    return why_too_costly(io.BytesIO(data))


def nested(depth: int) -> tuple:
    held: tuple = ()
    for _ in range(depth):
        held = (held, 1)
    return held


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02" + BYTEARRAY + NUMBER + b"\x85R.",
        b"\x80\x02" + BYTEARRAY + b"(" + NUMBER + b"tR.",
        b"\x80\x02(" + BYTEARRAY + b"q\0" + NUMBER + b"l0h\0" + NUMBER + b"\x85R.",
        b"\x80\x02" + NUMBER + b"q\0000" + BYTEARRAY + b"h\0\x85R.",
        b"\x80\x02cbuiltins\nbytearray\n(VNUMBER\nQ" + NUMBER + b"tR.",
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n("
        + BYTEARRAY
        + b"N"
        + NUMBER
        + b"\x85NtR.",
        b"\x80\x04\x8c\x08builtins\x8c\x09bytearray\x93" + NUMBER + b"\x85R.",
        # a tensor of one element is a number, too
        b"\x80\x02" + BYTEARRAY + b"Vstorage\nQ\x85R.",
    ],
)
def test_memory_by_a_number(pickled) -> None:
    assert "bytearray" in reason(pickled)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tuples_in_tuples(protocol) -> None:
    assert reason(pickle.dumps({nested(50): 1}, protocol)) is None
    assert "deep" in reason(pickle.dumps({nested(200): 1}, protocol))


def test_in_the_second_of_several_pickles() -> None:
    """torch's old format begins with five."""
    first = pickle.dumps(119547037146038801333356, 2)
    assert "deep" in reason(first + pickle.dumps({nested(200): 1}, 2))


@pytest.mark.parametrize("protocol", [2, 4])
def test_ordinary_values(protocol) -> None:
    held = OrderedDict(
        step=2**40,
        sizes=[(3, 4)] * 200,
        empty=bytearray(),
        raw=bytearray(range(256)),
        text="x" * 1000,
        flags={True, None},
        nested={"a": [{"b": ({"c": (1, 2.5)},)}]},
    )
    assert reason(pickle.dumps(held, protocol)) is None


@pytest.mark.parametrize(
    "data", [b"", b"no pickle", b"\x80\x02(", b"\x80\x02R.", b"\x80\x02h\x07."]
)
def test_what_is_broken_is_somebody_elses_error(data) -> None:
    assert reason(data) is None


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipped", [True, False])
def test_honest_checkpoints_are_still_read(tmp_path, zipped) -> None:
    torch = pytest.importorskip("torch")
    from compaudit.models.base import Source
    from compaudit.models.torch.checkpoint import load_checkpoint

    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    held = {
        "state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "codes": torch.quantize_per_tensor(torch.ones(2), 0.1, 3, torch.qint8),
        "raw": bytearray(b"abc"),
        ("a", ("b", 1)): [torch.eye(2).to_sparse()],
    }
    path = tmp_path / "checkpoint.pt"
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    read = load_checkpoint(Source(str(path), "state-dict", path=str(path)), path)
    assert read["raw"] == held["raw"]
    assert read.keys() == held.keys()
