"""Write the README's demo, inspect and help blocks anew. Read them afterwards."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DEMO = [
    "compare",
    "sample_models/digits.onnx",
    "sample_models/digits_int8.onnx",
    "--data",
    "sample_models/digits_test.npz",
]
INSPECT = ["inspect", "sample_models/digits_int8.onnx", "--top", "5"]


def output_of(*arguments: str) -> str:
    """What compaudit prints on 80 columns."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("compaudit")), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "TERMINAL_WIDTH": "80"},
    )
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def main() -> None:
    """Replace what stands between the markers."""
    text = README.read_text(encoding="utf-8")
    command = f"$ compaudit {' '.join(DEMO[:3])} \\\n    {' '.join(DEMO[3:])}\n"
    blocks = {
        "demo": command + output_of(*DEMO),
        "inspect": f"$ compaudit {' '.join(INSPECT)}\n{output_of(*INSPECT)}",
        "help": output_of("compare", "--help"),
        "help-rank": output_of("rank", "--help"),
        "help-bench": output_of("bench", "--help"),
    }
    for name, shown in blocks.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        replacement = f"{begin}\n```\n{shown}```\n{end}"
        text = re.sub(f"{begin}.*?{end}", lambda _, new=replacement: new, text, flags=re.S)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
