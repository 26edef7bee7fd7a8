"""Both models run: loaded, fed, compared and timed, each in a process of its own.

`chapters` tells the story; `crew` holds the models, `outputs` decides where what they give comes
from, and `keeping` what of it is kept.
"""

from compaudit.execution.chapters import Execution

__all__ = ["Execution"]
