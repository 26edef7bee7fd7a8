import sys
from pathlib import Path

# pytest's importlib mode puts no test folder on the path; the fakes of other tests are shared.
HERE = Path(__file__).parent
UNIT = HERE.parent
sys.path += [str(HERE), str(UNIT / "measure" / "latency"), str(UNIT / "engines")]
