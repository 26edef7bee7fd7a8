import subprocess
import sys

import pytest


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_whose_exception_is_lost_still_ends_the_program(name: str, code: int) -> None:
    """Raised in a destructor, it is only printed; the next call of a worker raises it again."""
    program = f"""
import os, signal
from compaudit import interruption
from compaudit.cli import main as cli

class Grave:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        for _ in range(1000): pass

def command():
    grave = Grave()
    del grave
    print("lost", flush=True)
    interruption.raise_pending()
    return 0

cli._command = command
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert done.stdout == "lost\n"
    assert done.returncode == code


def test_an_interrupt_that_became_another_error_is_still_one() -> None:
    program = """
import os, signal
from compaudit.cli import main as cli

def command():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
    except KeyboardInterrupt:
        raise ImportError("as NumPy's import makes of it")

cli._command = command
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 130
    assert b"bug" not in done.stderr


def test_without_a_signal_nothing_is_pending() -> None:
    from compaudit import interruption

    interruption.raise_pending()
