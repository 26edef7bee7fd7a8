"""Without PyTorch: the formats import, safetensors and .pt2 read, the rest says what to install."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest

from compaudit.errors import RequestError
from compaudit.models.base import Source
from compaudit.models.torch import runtime


def test_formats_do_not_import_torch():
    code = (
        "import sys\n"
        "import compaudit.models.safetensors\n"
        "from compaudit.models.torch import exported, factory, pickled, script, state_dict\n"
        "assert not {'torch', 'onnx', 'onnxruntime', 'scipy', 'safetensors'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ModuleNotFoundError("no torch", name="torch"), "is not installed"),
        (ImportError("libcudart.so.12: not found"), "cannot be imported: ImportError: libcudart"),
    ],
)
def test_a_missing_torch_is_named(monkeypatch, error, says):
    real = builtins.__import__

    def no_torch(name, *args, **kwargs):
        if name.partition(".")[0] == "torch":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_torch)
    with pytest.raises(RequestError) as caught:
        runtime.require_torch(Source("m.pt", "state-dict", path="m.pt"))
    assert caught.value.code == "runtime-missing"
    assert says in caught.value.message
    assert caught.value.hint == "pip install 'compaudit[torch]'"


def test_an_old_torch_is_refused(monkeypatch):
    import types

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(__version__="2.9.1+cpu"))
    with pytest.raises(RequestError) as caught:
        runtime.require_torch(Source("m.pt", "state-dict", path="m.pt"))
    assert caught.value.code == "runtime-too-old"
