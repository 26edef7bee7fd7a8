import sys
from pathlib import Path

# pytest's importlib mode puts no test folder on the path; the fakes beside this file are a module.
sys.path.append(str(Path(__file__).parent))
