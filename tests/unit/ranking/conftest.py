import sys
from pathlib import Path

# pytest's importlib mode puts no test folder on the path; the fakes of other tests are shared.
UNIT = Path(__file__).parents[1]
sys.path += [str(UNIT / "measure" / "latency"), str(UNIT / "engines")]
