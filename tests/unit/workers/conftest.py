import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

HERE = str(Path(__file__).parent)

# pytest's importlib mode puts no test folder on the path. The functions that workers are to call
# are a module beside this file; here it is found through sys.path, in a worker through PYTHONPATH.
sys.path.append(HERE)


@pytest.fixture(scope="package", autouse=True)
def functions_on_the_path() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [HERE, os.getenv("PYTHONPATH")])))
        yield


@pytest.fixture(scope="package")
def worker(functions_on_the_path: None) -> Iterator[Worker]:
    """One worker for all tests that leave it alive."""
    with Worker("a.onnx", Limits(timeout_s=60.0)) as shared:
        yield shared
