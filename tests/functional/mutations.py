"""Damages models at random, reads what comes out, and reports every exception but a RequestError.

    python tests/functional/mutations.py SEED COUNT FILE…

Each case depends on the seed and its number alone. Bytes are changed, fields of ONNX messages, and
entries of the JSON in safetensors and .pt2 files. Reading, counting and reporting happen in this
process, as in the real command; shape inference, which is native and may crash, in a fork of it.
"""

from __future__ import annotations

import copy
import io
import json
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from onnx import ModelProto

from compaudit.errors import CompauditError
from compaudit.measure.ledger import take
from compaudit.measure.macs.count import count_macs
from compaudit.measure.macs.counting import nonzero_shares
from compaudit.models import open as models
from compaudit.models.base import Source
from compaudit.models.onnx.shapes import infer_shapes
from compaudit.models.shapes import Shapes, stated_shapes

LONGEST_S = 100
MOST_BYTES = 8 << 30
NUMBERS = [-(2**63), -1, 0, 1, 2, 3, 7, 127, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1]
TEXTS = [
    *("", "x", "\x1b[31m", "\u202e", "value", "body", "axis", "to", "block_size", "ai.onnx"),
    *("Loop", "If", "Scan", "Constant", "ConstantOfShape", "Conv", "MatMul", "Gemm", "LSTM"),
    *("DequantizeLinear", "QLinearConv", "MatMulNBits", "com.microsoft", "Einsum", "Where", "Mul"),
    *("Reshape", "Transpose", "Concat", "Slice", "Expand", "Tile", "Range", "Shape", "Split"),
]


def main() -> int:
    seed, count, files = sys.argv[1], int(sys.argv[2]), [Path(name) for name in sys.argv[3:]]
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    contents = {file: file.read_bytes() for file in files}
    outcomes: Counter[str] = Counter()
    strays = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            chance = random.Random(f"{seed}-{number}")
            file = chance.choice(files)
            damaged = Path(folder) / f"model{file.suffix}"
            damaged.write_bytes(damage(contents[file], file.suffix, chance))
            try:
                outcomes[read(damaged)] += 1
            except BaseException:
                strays += 1
                print(f"case {number} of seed {seed}, {file}", file=sys.stderr)
                traceback.print_exc()
    print(json.dumps(outcomes))
    return 1 if strays else 0


# -------------------------------------------------------------------------------------- reading


def read(path: Path) -> str:
    """How reading it ends: ``ledger``, or the code of a RequestError. Other exceptions escape."""
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(LONGEST_S)
    try:
        source = models.recognise(str(path))
        model = models.read(source, trust_model_code=False)
        ledger = take(model)
        msgspec.json.encode(ledger)
        assert len({row.name for row in ledger.tensors}) == len(ledger.tensors)
        assert ledger.graph_bytes is not None
        assert ledger.graph_bytes >= 0
        if model.graph is not None:
            shapes = Shapes(stated_shapes(model.graph, {}))
            msgspec.json.encode(count_macs(model, shapes, nonzero_shares(ledger)))
    except CompauditError as error:
        return _said(error)
    finally:
        signal.alarm(0)
    if source.format == "onnx":
        _infer(source)
    return "ledger"


def _said(error: CompauditError) -> str:
    assert error.message.strip()
    assert error.hint
    return error.code


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"took more than {LONGEST_S} s")


def _infer(source: Source) -> None:
    """Inference in a fork: native code may crash or run out of memory, our own may not fail."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(LONGEST_S)
            msgspec.msgpack.encode(infer_shapes(source, {}))
            code = 0
        except (CompauditError, MemoryError):
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    assert ended <= 0, "shape inference failed in a way of its own"
    assert ended != -signal.SIGALRM, f"shape inference took more than {LONGEST_S} s"


# ------------------------------------------------------------------------------------- damaging


def damage(data: bytes, suffix: str, chance: random.Random) -> bytes:
    """The file with a few changes; half of the time such that it can still be decoded."""
    if chance.random() < 0.4:
        return damage_bytes(data, chance)
    match suffix:
        case ".onnx":
            return damage_fields(data, chance)
        case ".safetensors":
            (length,) = struct.unpack("<Q", data[:8])
            header = damage_json(data[8 : 8 + length], chance)
            return struct.pack("<Q", len(header)) + header + data[8 + length :]
        case ".pt2":
            return damage_archive(data, chance)
        case _:
            return damage_bytes(data, chance)


def damage_bytes(data: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        if not damaged:
            break
        # Headers stand at the beginning or, in archives, at the end; weights teach nothing.
        near = min(len(damaged), chance.choice([64, 1024, 16384, len(damaged)]))
        first = chance.randrange(near)
        if chance.random() < 0.3:
            first = len(damaged) - 1 - first
        last = first + chance.choice([1, 2, 8, 64])
        match chance.randrange(7):
            case 0:
                damaged[first] = chance.randrange(256)
            case 1:
                damaged[first] ^= 1 << chance.randrange(8)
            case 2:
                del damaged[first:]
            case 3:
                damaged[first:first] = chance.randbytes(4)
            case 4:
                del damaged[first:last]
            case 5:
                damaged[first:first] = damaged[first:last]
            case 6:
                size = len(damaged[first:last])
                damaged[first:last] = bytes([chance.choice(b"\0\xff\x7f\x80\xc9")]) * size
    return bytes(damaged)


def damage_archive(data: bytes, chance: random.Random) -> bytes:
    """A .pt2 with other JSON in one of its members."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(made, "w") as changed:
        sizes = {i.filename: i.file_size for i in archive.infolist() if ".json" in i.filename}
        (chosen,) = chance.choices([*sizes], [*sizes.values()])
        for name in archive.namelist():
            member = archive.read(name)
            changed.writestr(name, damage_json(member, chance) if name == chosen else member)
    return made.getvalue()


def damage_json(data: bytes, chance: random.Random) -> bytes:
    document = json.loads(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        places = list(_places(document))
        if not places:
            return b"[]"
        holder, key = chance.choice(places)
        match chance.randrange(4):
            case 0:
                holder[key] = chance.choice([*NUMBERS, *TEXTS, None, True, [], {}, 1.5, [[]]])
            case 1:
                del holder[key]
            case 2:
                holder[key] = copy.deepcopy(chance.choice(places)[0])
            case 3 if isinstance(holder, dict):
                holder[chance.choice(TEXTS)] = holder.pop(key)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Any:
    keys: Any = value if isinstance(value, dict) else range(len(value))
    if isinstance(value, dict | list):
        for key in keys:
            yield value, key
            if isinstance(value[key], dict | list):
                yield from _places(value[key])


def damage_fields(data: bytes, chance: random.Random) -> bytes:
    """An ONNX file with other fields in some of its messages."""
    model = ModelProto.FromString(data)
    for _ in range(chance.choice([1, 1, 2, 3, 6])):
        messages = list(_messages(model))
        message = chance.choice(messages)
        field = chance.choice(message.DESCRIPTOR.fields)
        try:
            _damage_field(message, field, messages, chance)
        except (ValueError, TypeError):
            continue  # it takes no such value
    encoded: bytes = model.SerializeToString()
    return encoded


def _messages(message: Any) -> Any:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                yield from _messages(inner)


def _damage_field(message: Any, field: Any, messages: list[Any], chance: random.Random) -> None:
    if chance.random() < 0.25:
        message.ClearField(field.name)
        return
    if field.message_type is not None:
        alike = [other for other in messages if other.DESCRIPTOR is field.message_type]
        given = copy.deepcopy(chance.choice(alike)) if alike else None
        held = getattr(message, field.name)
        target = held.add() if field.is_repeated else held
        if given is not None:
            target.CopyFrom(given)
        return
    value = _value_for(field, messages, chance)
    if not field.is_repeated:
        setattr(message, field.name, value)
        return
    held = getattr(message, field.name)
    if held and chance.random() < 0.7:
        held[chance.randrange(len(held))] = value
    else:
        held.append(value)


def _value_for(field: Any, messages: list[Any], chance: random.Random) -> Any:
    if field.enum_type is not None:
        return chance.choice([*range(30), 99, -1])
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return chance.choice([float("nan"), float("inf"), 0.0, -1.0, 1e30])
    if field.cpp_type != field.CPPTYPE_STRING:
        return chance.choice(NUMBERS)
    used = [
        text
        for message in messages
        for other, held in message.ListFields()
        if other.cpp_type == other.CPPTYPE_STRING
        for text in (held if other.is_repeated else [held])
        if isinstance(text, str)
    ]
    text = chance.choice([*TEXTS, *used])
    return text.encode() if field.type == field.TYPE_BYTES else text


if __name__ == "__main__":
    sys.exit(main())
