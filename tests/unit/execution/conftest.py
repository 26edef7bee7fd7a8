import sys
from pathlib import Path

# The fakes of tests/unit/engines are shared.
sys.path.append(str(Path(__file__).parents[1] / "engines"))
