"""Files that try to run code. Each would leave a marker; none may, read or only looked at."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest

from compaudit.errors import RequestError
from compaudit.models.base import Head, Source

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


class Payload:
    """Touches the marker when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


class Evaluated(Payload):
    def __reduce__(self):
        return eval, (f"open({self.marker!r}, 'w').close()",)


class Executed(Payload):
    def __reduce__(self):
        return exec, (f"open({self.marker!r}, 'w').close()",)


class Nested(Payload):
    """Unpickles a second pickle, as torch.storage does."""

    def __reduce__(self):
        return pickle.loads, (pickle.dumps(Payload(self.marker), 2),)


class ByStorage(Payload):
    def __reduce__(self):
        from torch.storage import _load_from_bytes

        return _load_from_bytes, (pickle.dumps(Payload(self.marker), 2),)


def text_opcodes(marker):
    command = f"touch '{marker}'".encode()
    return {
        "global": b"\x80\x02cposix\nsystem\n(V" + command + b"\ntR.",
        "inst": b"\x80\x02(V" + command + b"\niposix\nsystem\n.",
        "obj": b"\x80\x02(cposix\nsystem\nV" + command + b"\no.",
        "stack-global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93(V" + command + b"\ntR.",
        "python2": b"\x80\x02c__builtin__\neval\n(V__import__('os').system(\""
        + command
        + b'")\ntR.',
        "build": b"\x80\x02ccollections\nOrderedDict\n)R}(V__class__\ncposix\nsystem\nub(V"
        + command
        + b"\ntR.",
        "getattr": b"\x80\x02c__builtin__\ngetattr\n(cos\nsystem\nV__call__\ntR(V"
        + command
        + b"\ntR.",
        "rebuilt": b"\x80\x02ctorch._utils\n_rebuild_device_tensor_from_numpy\n(cposix\nsystem\n"
        b"(V" + command + b"\ntRNNNtR.",
    }


def zip_of(path, data_pkl, **members):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data_pkl)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
        for name, data in members.items():
            archive.writestr(f"archive/{name}", data)


def exported(path):
    torch.export.save(torch.export.export(torch.nn.Linear(3, 2), (torch.ones(1, 3),)), path)


def edit(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members = change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def as_pickled(members, evil, folder, config):
    """Say that what is stored is a pickle, and make it one."""
    name = next(name for name in members if name.endswith(config))
    payloads = json.loads(members[name])
    if not payloads["config"]:
        payloads["config"]["x"] = {
            "path_name": "tensor_0",
            "is_param": False,
            "use_pickle": True,
            "tensor_meta": None,
        }
    for payload in payloads["config"].values():
        payload["use_pickle"] = True
        members[f"{name.partition('/')[0]}/{folder}/{payload['path_name']}"] = evil
    return {**members, name: json.dumps(payloads).encode()}


def write_variants(folder: Path, marker: Path) -> list[Path]:
    made: list[Path] = []

    def new(name):
        made.append(folder / name)
        return made[-1]

    for kind in (Payload, Evaluated, Executed, Nested, ByStorage):
        payload = kind(marker)
        name = kind.__name__.lower()
        torch.save(payload, new(f"{name}-zip.pt"))
        torch.save({"fc.weight": torch.ones(2), "x": payload}, new(f"{name}-in-dict.pt"))
        torch.save(
            {"fc.weight": torch.ones(2), "x": payload},
            new(f"{name}-legacy.pt"),
            _use_new_zipfile_serialization=False,
        )
        for protocol in (2, 4, 5):
            new(f"{name}-raw-{protocol}.pt").write_bytes(pickle.dumps(payload, protocol))
        torch.save(payload, new(f"{name}-protocol-4.pt"), pickle_protocol=4)
    for name, opcodes in text_opcodes(marker).items():
        new(f"{name}-raw.pt").write_bytes(opcodes)
        zip_of(new(f"{name}-zip.pt"), opcodes)
        shutil.copy(made[-1], new(f"{name}-zip.safetensors"))
    evil = pickle.dumps(Payload(marker), 2)
    evil_zip = (folder / "payload-zip.pt").read_bytes()
    for name, change in {
        "weights": lambda m: as_pickled(
            m, evil_zip, "data/weights", "data/weights/model_weights_config.json"
        ),
        "constants": lambda m: as_pickled(
            m, evil_zip, "data/constants", "data/constants/model_constants_config.json"
        ),
        "samples": lambda m: {
            n: evil_zip if "sample_inputs" in n else data for n, data in m.items()
        },
        "legacy-weights": lambda m: {
            **m,
            next(iter(m)).split("/")[0] + "/data/weights/model.pt": evil,
        },
        "expression": lambda m: {
            n: data.replace(
                b'"as_int":3',
                b'"as_expr":{"expr_str":"__import__(\'os\').system(\'touch '
                + str(marker).encode()
                + b"')\"}",
            ).replace(
                b'"as_int": 3',
                b'"as_expr": {"expr_str": "__import__(\'os\').system(\'touch '
                + str(marker).encode()
                + b"')\"}",
            )
            for n, data in m.items()
        },
        "target": lambda m: {
            n: data.replace(b"torch.ops.aten.linear.default", b"os.system") for n, data in m.items()
        },
    }.items():
        exported(new(f"{name}.pt2"))
        edit(made[-1], change)
    with zipfile.ZipFile(new("old.pt2"), "w") as archive:
        archive.writestr("version", "8.20")
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", evil_zip)
        archive.writestr("serialized_constants.pt", evil_zip)
        archive.writestr("serialized_example_inputs.pt", evil_zip)
    zip_of(new("script.pt"), evil, **{"constants.pkl": evil, "code/__torch__.py": b"x"})
    zip_of(new("code.pt"), evil, **{"code/__torch__.py": b"x"})
    return made


@pytest.fixture
def formats():
    from compaudit.models.safetensors import SafetensorsFormat
    from compaudit.models.torch.exported import ExportedFormat
    from compaudit.models.torch.pickled import PickledModuleFormat
    from compaudit.models.torch.script import ScriptFormat
    from compaudit.models.torch.state_dict import StateDictFormat

    return (
        SafetensorsFormat(),
        ExportedFormat(),
        ScriptFormat(),
        PickledModuleFormat(),
        StateDictFormat(),
    )


def test_no_variant_runs_without_trust(tmp_path, formats):
    marker = tmp_path / "marker"
    folder = tmp_path / "files"
    folder.mkdir()
    variants = write_variants(folder, marker)
    assert len(variants) >= 36
    assert not marker.exists()
    outcomes = {}
    for path in variants:
        head = Head(path, path.read_bytes()[:65536], path.stat().st_size)
        found = [format_ for format_ in formats if format_.recognise(head)]
        assert found, path.name
        for format_ in found:
            if format_.reading != "static":
                outcomes[path.name] = "needs trust"
                break
            try:
                format_.read(Source(str(path), format_.name, path=str(path)))
                outcomes[path.name] = "read"
            except RequestError as error:
                outcomes[path.name] = error.code
        assert not marker.exists(), f"{path.name} ran code: {outcomes[path.name]}"
    read = [name for name, outcome in outcomes.items() if outcome == "read"]
    assert all(name.endswith(".pt2") for name in read)  # their static ledger needs no code


def test_the_state_dict_reader_refuses_them_all_by_itself(tmp_path):
    """Recognition only sorts: what keeps pickles from running is torch's restricted unpickler."""
    from compaudit.models.torch.state_dict import StateDictFormat

    marker = tmp_path / "marker"
    folder = tmp_path / "files"
    folder.mkdir()
    for path in write_variants(folder, marker):
        if path.suffix == ".pt2":
            continue
        with pytest.raises(RequestError) as caught:
            StateDictFormat().read(Source(str(path), "state-dict", path=str(path)))
        assert not marker.exists(), path.name
        if path.name.startswith("payload") and "raw" not in path.name and "4" not in path.name:
            assert caught.value.code == "untrusted-code"
            assert "--trust-model-code" in caught.value.hint


def test_the_variants_are_real(tmp_path):
    """With trust the marker appears: otherwise the tests above would prove nothing."""
    from compaudit.models.torch.pickled import PickledModuleFormat

    marker = tmp_path / "marker"
    path = tmp_path / "evil.pt"
    torch.save(Payload(marker), path)
    with pytest.raises(RequestError):
        PickledModuleFormat().read(Source(str(path), "pickled-module", path=str(path)))
    assert marker.exists()
