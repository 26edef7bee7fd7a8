"""Models timed, when it is this audit's turn; what is left where one of them dies.

`pair` times the two models of an audit, `several` any number beside one original.
"""

from compaudit.timing.pair import Timing, turn

__all__ = ["Timing", "turn"]
