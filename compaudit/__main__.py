"""``python -m compaudit``, and the console script."""

from compaudit.cli.main import main

if __name__ == "__main__":
    main()
