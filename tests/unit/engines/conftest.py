import sys
from pathlib import Path

# pytest's importlib mode puts no test folder on the path; the fakes are a module beside this file.
sys.path.append(str(Path(__file__).parent))
