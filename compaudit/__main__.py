"""``python -m compaudit``, and the console script."""

from __future__ import annotations

import os
from typing import NoReturn

from compaudit import interruption
from compaudit.errors import ExitCode, Interrupted


def main() -> NoReturn:
    """Run the command line, and be interruptible while it is still being imported."""
    interruption.listen()
    try:
        with interruption.held():
            from compaudit.cli.main import main as run
    except KeyboardInterrupt:
        os._exit(int(ExitCode.INTERRUPTED))
    except Interrupted:
        os._exit(int(ExitCode.TERMINATED))
    run()


if __name__ == "__main__":
    main()
