import importlib.util
import os
import socket
import threading

import pytest

from compaudit.config import Config
from compaudit.engines.ray.cluster import Cluster
from compaudit.engines.ray.driver import connect
from compaudit.engines.ray.engine import check
from compaudit.engines.ray.messages import Connection, Failure
from compaudit.errors import InternalError, MeasurementError, RequestError
from compaudit.workers.workspace import Workspace


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joining a cluster sets variables, in the process that is made for it."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_without_ray_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="Ray, which is not installed") as caught:
        check(Cluster(None, None))
    assert caught.value.hint == "pip install 'compaudit[ray]'"


@pytest.mark.parametrize("port", [None, 99_999])
def test_an_address_that_nobody_answers_at(port: int | None) -> None:
    if port is None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
    with pytest.raises(RequestError, match=f"nothing answers at the Ray address 127.0.0.1:{port}"):
        check(Cluster(f"127.0.0.1:{port}", None))


def test_versions_that_differ_are_told_as_ray_tells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    # What ray.init raises, from ray/_private/utils.py.
    said = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.40.0\n    Python: 3.12.1\n"
        "This process on node 10.0.0.2 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )

    def init(**options: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(RequestError) as caught:
        connect(Workspace(), Connection("10.0.0.1:6379"))
    assert caught.value.message == (
        "the Ray cluster at 10.0.0.1:6379 runs other versions than this machine: The cluster was "
        "started with: Ray: 2.40.0 Python: 3.12.1 This process on node 10.0.0.2 was started with: "
        "Ray: 2.60.0 Python: 3.11.7"
    )


def test_this_machine_has_to_be_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def init(**options: object) -> None:
        # What Ray 2.60 raises where no raylet runs beside it.
        try:
            raise RuntimeError(
                "No node info found matching attributes: '' when trying to resolve node to "
                "connect to."
            )
        except RuntimeError as error:
            raise ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379") from error

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(RequestError) as caught:
        connect(Workspace(), Connection("10.0.0.1:6379"))
    assert caught.value.message == "this machine is no node of the Ray cluster at 10.0.0.1:6379"
    assert "ray start --address=10.0.0.1:6379 --num-cpus=0" in caught.value.hint


def test_a_cluster_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    given_up = threading.Event()
    monkeypatch.setattr(ray, "init", lambda **options: given_up.wait(60))
    monkeypatch.setattr("compaudit.engines.ray.driver._JOIN_S", 0.05)
    with pytest.raises(RequestError, match="does not answer within 0 s, or something else"):
        connect(Workspace(), Connection("10.0.0.1:6379"))
    given_up.set()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"engine": "spark"}, "--engine 'spark' is not known"),
        ({"ray_address": "10.0.0.1:6379"}, "--ray-address is for --engine ray"),
        ({"engine": "ray", "ray_address": "here"}, "is not of the form HOST:PORT"),
        ({"engine": "ray", "ray_address": "ray://a:10001"}, "that of a Ray client server"),
        ({"engine": "ray", "device": "cuda:1"}, "Ray gives every worker its own"),
    ],
)
def test_impossible_settings(changes: dict[str, str], said: str) -> None:
    with pytest.raises(RequestError) as caught:
        Config(original="a", compressed="b", **changes)  # type: ignore[arg-type]
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head.cluster:6379", "[::1]:6379"])
def test_addresses(address: str) -> None:
    config = Config(original="a", compressed="b", engine="ray", ray_address=address)
    assert config.ray_address == address


@pytest.mark.parametrize("kind", [RequestError, MeasurementError, InternalError])
def test_an_error_arrives_as_it_was(kind: type[RequestError]) -> None:
    error = kind("it broke", hint="mend it", code="broken", model="m.onnx", stage="load")
    again = Failure.of(error).error()
    assert type(again) is kind
    assert vars(again) == vars(error)
