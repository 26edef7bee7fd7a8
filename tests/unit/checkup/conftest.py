import sys
from pathlib import Path

# The synthetic machine of the latency tests; importlib mode puts no test folder on the path.
sys.path.append(str(Path(__file__).parents[1] / "measure" / "latency"))
