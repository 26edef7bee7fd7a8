"""What the tests have workers do. Imported by the tests and, through PYTHONPATH, by the workers."""

import importlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray

from compaudit.errors import MeasurementError, RequestError
from compaudit.models.base import Inference, Source, Value
from compaudit.workers.workspace import Workspace


class Point(msgspec.Struct, frozen=True):
    x: float
    y: float
    tags: tuple[str, ...] = ()


def move(workspace: Workspace, point: Point, by: float) -> Point:
    assert isinstance(point, Point)
    return Point(point.x + by, point.y + by, (*point.tags, "moved"))


def echo(workspace: Workspace, value: Any) -> Any:
    return value


def echo_array(workspace: Workspace, array: NDArray[Any]) -> NDArray[Any]:
    assert isinstance(array, np.ndarray)
    return array


def ones(workspace: Workspace, count: int) -> dict[str, Any]:
    return {"ones": np.ones(count, np.uint8), "count": count}


def total(workspace: Workspace, array: NDArray[Any]) -> int:
    return int(array.sum())


def nothing(workspace: Workspace) -> None:
    return


def remember(workspace: Workspace, value: int) -> int | None:
    before: int | None = workspace.dataset
    workspace.dataset = value
    return before


# ------------------------------------------------------------------------------------ errors


def refuse(workspace: Workspace) -> None:
    raise RequestError("the input is odd", hint="make it even", code="odd-input")


def give_up(workspace: Workspace) -> None:
    raise MeasurementError("a.onnx produced nothing", hint="try again", code="nothing-usable")


def divide_by_zero(workspace: Workspace) -> float:
    return 1 / 0


def out_of_memory(workspace: Workspace) -> None:
    raise MemoryError


def refuse_strangely(workspace: Workspace) -> None:
    raise RequestError("cannot open \udcff.onnx", hint="see \udcff", code="strange-name")


def wrong_type(workspace: Workspace) -> int:
    return "seven"  # type: ignore[return-value]


def wrong_struct(workspace: Workspace) -> Point:
    return {"x": "far"}  # type: ignore[return-value]


def not_an_array(workspace: Workspace) -> NDArray[Any]:
    return [1, 2]  # type: ignore[return-value]


def unsendable(workspace: Workspace) -> Any:
    return object()


def too_large_a_number(workspace: Workspace) -> int:
    return 2**70


def unsendable_text(workspace: Workspace) -> str:
    return "\udcff"


# ------------------------------------------------------------------------------------- death


def crash(workspace: Workspace, number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def leave(workspace: Workspace, status: int) -> None:
    os._exit(status)


def exit_politely(workspace: Workspace) -> None:
    sys.exit(5)


def say_and_crash(workspace: Workspace, text: str) -> None:
    os.write(2, text.encode())
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def _reply_descriptor() -> int:
    # child.main is called with the descriptors of requests and replies.
    return int(sys.argv[4].split()[1])


def close_pipe(workspace: Workspace) -> None:
    os.close(_reply_descriptor())
    time.sleep(60)


def write_nonsense(workspace: Workspace, nonsense: bytes) -> None:
    os.write(_reply_descriptor(), nonsense)
    time.sleep(60)


def trickle(workspace: Workspace) -> None:
    """Promise a reply and send it byte by byte, each long before anybody loses patience."""
    os.write(_reply_descriptor(), (10**6).to_bytes(8, "little"))
    while True:
        os.write(_reply_descriptor(), b"\xc0")
        time.sleep(0.01)


def fork_and_crash(workspace: Workspace) -> None:
    """Leave a copy behind that holds every descriptor, then die."""
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def sleep(workspace: Workspace, seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def sleep_while(workspace: Workspace, pid: int) -> int:
    """Come back when that process is gone."""
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    return pid


def native_hang(workspace: Workspace) -> None:
    """Hear nothing: as native code does, with every signal blocked that can be."""
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
    while True:
        time.sleep(60)


def take_memory(workspace: Workspace, size: int, path: str) -> None:
    workspace.dataset = np.ones(size, np.uint8)
    Path(path).write_text("taken")
    time.sleep(60)


def take_for_a_moment(workspace: Workspace, size: int) -> int:
    return int(np.ones(size, np.uint8)[-1])


def map_file(workspace: Workspace, path: str) -> int:
    mapped = np.memmap(path, np.uint8, "r")
    touched = int(mapped[::4096].sum())
    time.sleep(0.6)  # long enough for the parent to look
    return touched


# ----------------------------------------------------------------------- the process itself


def about_process(workspace: Workspace) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "stdin": sys.stdin.read() if sys.stdin else None,
        "stdin_file": str(Path("/proc/self/fd/0").resolve()),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "file_size": resource.getrlimit(resource.RLIMIT_FSIZE)[0],
        "interrupt_ignored": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    }


def shout(workspace: Workspace) -> int:
    print("printed to stdout", flush=True)
    print("printed to stderr", file=sys.stderr, flush=True)
    os.write(1, b"written to descriptor 1\n")
    os.write(2, b"written to descriptor 2\n")
    subprocess.run(["sh", "-c", "echo from a child; echo from a child >&2"], check=True)
    return 1


def import_module(workspace: Workspace, name: str) -> str:
    return str(importlib.import_module(name).__file__)


def start_child(workspace: Workspace) -> int:
    return subprocess.Popen(["sleep", "60"]).pid


def start_daemon(workspace: Workspace) -> int:
    """A child in a session of its own, beyond the reach of what is sent to the worker's group."""
    return subprocess.Popen(["sleep", "60"], start_new_session=True).pid


def wait_for_hungry_child(workspace: Workspace, size: int, path: str) -> None:
    """Start a child that takes so many bytes, itself none; the file says which one."""
    code = f"import time; taken = b'1' * {size}; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-S", "-c", code])
    Path(path).write_text(str(child.pid))
    child.wait()


def share_with_children(workspace: Workspace, size: int, children: int) -> int:
    """Take so many bytes once, and fork: the copies share them until somebody writes."""
    workspace.dataset = np.ones(size, np.uint8)
    pids = [os.fork() for _ in range(children)]
    if 0 in pids:
        time.sleep(60)
        os._exit(0)
    time.sleep(1.2)  # long enough for the parent to look
    return int(workspace.dataset[0])


def take_shared_memory(workspace: Workspace, size: int) -> None:
    """Take memory that is a file to the kernel, on no disk."""
    descriptor = os.memfd_create("shared")
    os.ftruncate(descriptor, size)
    workspace.dataset = np.memmap(f"/proc/self/fd/{descriptor}", np.uint8, "r+")
    workspace.dataset[:] = 1
    time.sleep(60)


def temporary_file(workspace: Workspace) -> str:
    """Leave a temporary file behind."""
    with tempfile.NamedTemporaryFile(delete=False) as stream:
        return stream.name


def start_counting(workspace: Workspace) -> None:
    """Keep a thread of this process busy from now on."""

    def count() -> None:
        while True:
            pass

    threading.Thread(target=count, daemon=True).start()


# ------------------------------------------------------------------------ a model of its own


class HungryRunner:
    """A model that takes so many bytes for a moment whenever it runs."""

    inputs = (Value("x", "float32", (None, 4)),)
    outputs = (Value("y", "float32", (None, 4)),)
    named_outputs = True
    providers = ("test",)
    on_gpu = False

    def __init__(self, bytes_per_run: int) -> None:
        self._bytes_per_run = bytes_per_run
        self.nodes_by_provider: dict[str, int] = {}
        self.settings: dict[str, str] = {}

    def run(self, feeds: Any) -> dict[str, NDArray[Any]]:
        scratch = np.ones(self._bytes_per_run, np.uint8)
        return {"y": feeds["x"] * scratch[0]}

    def bind(self, feeds: Any) -> Inference:
        return Inference(lambda: self.run(feeds))

    def bind_on_device(self, feeds: Any) -> None:
        return None

    def compilations(self) -> int:
        return 0

    def peak_device_bytes(self) -> None:
        return None


def hold_hungry_model(workspace: Workspace, weights: int, bytes_per_run: int) -> None:
    runner = HungryRunner(bytes_per_run)
    runner.weights = np.ones(weights, np.uint8)  # type: ignore[attr-defined]
    workspace.hold(Source("hungry", "onnx"), runner)
