"""A check that needs a rule: it holds while the rule is there, and fails once it is removed."""

from collections.abc import Callable

import pytest

Removal = tuple[object, str, object]
"""Where the rule is, its name there, and what stands there without it."""


def needs(check: Callable[[], None], *removals: Removal) -> None:
    """Run a check as the code is, and see the very same check fail without the rule.

    Only a failed assertion counts: a mutant that crashes has shown nothing.
    """
    check()
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, mutant in removals:
            patch.setattr(owner, name, mutant)
        with pytest.raises(AssertionError):
            check()
