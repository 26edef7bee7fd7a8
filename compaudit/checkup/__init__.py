"""What does this machine offer for audits, and what can they find out on it?

`examination` looks, `noise` times a model against itself, `advice` says what to change.
"""

from compaudit.checkup.examination import examine

__all__ = ["examine"]
