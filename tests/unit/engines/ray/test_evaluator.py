"""A Ray worker without Ray: real models in real worker processes, where files had to be sent."""

import os
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pyarrow as pa
import pytest
from engine_fakes import FEEDS, Recorder, a_pass
from onnx import TensorProto, helper, numpy_helper
from pyarrow import parquet

from compaudit.data.base import Answers, DataRequest
from compaudit.data.spool import SpoolWriter
from compaudit.engines.ray.evaluator import Evaluator
from compaudit.engines.ray.messages import Failure, Job, Member
from compaudit.engines.ray.parcels import chunks
from compaudit.engines.ray.relocation import parcels_of
from compaudit.models.base import RunSettings, Source
from compaudit.workers.limits import Limits

SAMPLES = 10
X = np.arange(2 * SAMPLES, dtype=np.float32).reshape(SAMPLES, 2)
LABELS = np.arange(SAMPLES) * 10


def write_model(path: Path, factor: float) -> None:
    """y = factor · input, the factor in a file of its own."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Mul", ["input", "factor"], ["y"])],
        "times",
        [value("input", TensorProto.FLOAT, ["n", 2])],
        [value("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.full((1, 2), factor, np.float32), "factor")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(
        model,
        path,
        save_as_external_data=True,
        location=f"{path.name}.data",
        size_threshold=0,
    )


def as_npz(folder: Path) -> DataRequest:
    np.savez(folder / "data.npz", x=X, labels=LABELS)
    return DataRequest(uri=str(folder / "data.npz"))


def as_parquet(folder: Path) -> DataRequest:
    rows = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 2)
    parquet.write_table(pa.table({"x": rows, "labels": LABELS}), folder / "data.parquet")
    return DataRequest(uri=str(folder / "data.parquet"))


def as_shards(folder: Path) -> DataRequest:
    shards = folder / "shards"
    shards.mkdir()
    for place in range(2):
        half = slice(5 * place, 5 * place + 5)
        np.savez(shards / f"{place}.npz", x=X[half], labels=LABELS[half])
    return DataRequest(uri=str(shards))


def as_function(folder: Path) -> DataRequest:
    with SpoolWriter(folder / "samples") as writer:
        writer.append({"x": X, "labels": LABELS})
    return DataRequest(uri="loaders:batches", spool=str(folder / "samples"))


@dataclass
class Site:
    """A machine, as two folders: where the user's files are, and where a node keeps what it gets.

    Attributes:
        here: of the user.
        job: what is to be evaluated.
    """

    here: Path
    job: Job

    def send(self, evaluator: Evaluator) -> None:
        """Do what a fleet does, after the user's files have moved to where the node sees none."""
        parcels = parcels_of(self.job, hashed=True)
        away = self.here.with_name("away")
        self.here.rename(away)
        places, missing = evaluator.locate(parcels, False)
        assert missing == list(range(len(parcels)))
        away.rename(self.here)
        pieces = list(chunks(parcels, missing))
        self.here.rename(away)
        for chunk in pieces:
            assert evaluator.write(parcels, chunk) is None
        self.opened = evaluator.open(places, True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("here", "node"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    os.chdir(tmp_path)  # a Ray worker goes to where the user's code is


def site_of(place: Path, data: DataRequest, **more: Any) -> Site:
    here = place / "here"
    members = []
    for name, factor in (("m", 2.0), ("c", 3.0)):
        path = here / f"{name}.onnx"
        write_model(path, factor)
        source = Source(f"here/{name}.onnx", "onnx", path=str(path))
        members.append(Member(source, RunSettings(), (str(path), f"{path}.data")))
    evaluation = msgspec.structs.replace(
        a_pass(SAMPLES), data=data, answers=Answers("labels"), original=FEEDS, compressed=FEEDS
    )
    job = Job(
        evaluation=evaluation,
        models=(members[0], members[1]),
        make=pickle.dumps(Recorder),
        workers=1,
        pair_bytes=0,
        limits=Limits(60.0),
        folder=str(here),
        runtimes=("onnxruntime",),
        own_code=False,
        gpu=False,
        same_machine=False,
    )
    return Site(here, msgspec.structs.replace(job, **more))


@pytest.mark.parametrize("write", [as_npz, as_parquet, as_shards, as_function])
def test_what_was_sent_is_evaluated_like_what_was_there(write: Any, place: Path) -> None:
    site = site_of(place, write(place / "here"))
    evaluator = Evaluator(msgspec.msgpack.encode(site.job), "key", "alpha")
    site.send(evaluator)
    assert site.opened == 4, site.opened
    counted = evaluator.run(4, SAMPLES, 4)
    assert not isinstance(counted, Failure), counted
    tally = pickle.loads(counted[0])
    # x is 2i, the label 10i; the models double and triple.
    assert tally.rows == [(i, 10 * i, 4.0 * i, 6.0 * i) for i in range(4, SAMPLES)]
    assert tally.batches == [[4, 5, 6, 7], [8, 9]]
    assert evaluator.done() == 6
    evaluator.close()
    assert list((place / "node").iterdir()) == []


def test_code_of_the_users_own_is_found_on_the_node(place: Path) -> None:
    code = "def first(outputs, labels):\n    return outputs['y'][:, 0]\n"
    (place / "here" / "figures.py").write_text(code)
    site = site_of(place, as_npz(place / "here"), own_code=True)
    evaluation = msgspec.structs.replace(site.job.evaluation, metrics=("figures:first",))
    site.job = msgspec.structs.replace(site.job, evaluation=evaluation)
    evaluator = Evaluator(msgspec.msgpack.encode(site.job), "key", "alpha")
    site.send(evaluator)
    assert site.opened == 4, site.opened
    assert not isinstance(evaluator.run(0, SAMPLES, 4), Failure)
    evaluator.close()


def test_a_model_that_cannot_be_loaded_is_told_with_its_node(place: Path) -> None:
    site = site_of(place, as_npz(place / "here"))
    Path(site.here, "m.onnx.data").unlink()
    evaluator = Evaluator(msgspec.msgpack.encode(site.job), "key", "alpha")
    failure = evaluator.open({}, False)
    assert isinstance(failure, Failure)
    assert failure.kind == "request"
    assert failure.message.endswith("(on the node alpha)")
    assert failure.model == "here/m.onnx"
    assert failure.error().exit_code == 2
    evaluator.close()


def test_a_model_that_dies_is_an_answer_and_not_the_end_of_the_ray_worker(place: Path) -> None:
    site = site_of(place, as_npz(place / "here"))
    evaluator = Evaluator(msgspec.msgpack.encode(site.job), "key", "")
    assert evaluator.open({}, False) == 4
    assert evaluator._runner is not None
    evaluator._runner.sources[0].kill()
    failure = evaluator.run(0, SAMPLES, 4)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.model) == ("measurement", "here/m.onnx")
    assert "while being evaluated" in failure.message
    evaluator.close()


def test_a_full_disk_is_told_with_its_node(place: Path) -> None:
    site = site_of(place, as_npz(place / "here"))
    evaluator = Evaluator(msgspec.msgpack.encode(site.job), "key", "alpha")
    parcels = parcels_of(site.job, hashed=True)
    evaluator.locate(parcels, True)
    shutil.rmtree(place / "node")
    (place / "node").touch()
    failure = evaluator.write(parcels, next(chunks(parcels, [0])))
    assert failure is not None
    assert "cannot be written on the node alpha" in failure.message
