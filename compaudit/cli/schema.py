"""``compaudit schema``: the JSON Schema of the reports."""

from __future__ import annotations

__all__ = ["schema"]


def schema() -> int:
    """Print the JSON Schema of the reports."""
    import json

    from compaudit.cli.output import write_stdout
    from compaudit.errors import ExitCode
    from compaudit.results import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    return ExitCode.DONE if write_stdout(text.encode()) else ExitCode.BAD_REQUEST
