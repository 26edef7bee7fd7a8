"""The story of init: an audit becomes a commented compaudit.toml that it passes itself.

`limits` makes requirements from what was measured, `settings` writes how it was measured, and
`text` puts both into a file.
"""

from compaudit.proposal.text import TEMPLATE, proposed

__all__ = ["TEMPLATE", "proposed"]
