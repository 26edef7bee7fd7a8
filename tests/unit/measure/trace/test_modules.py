"""Modules of two PyTorch models: which of them give the same thing."""

from compaudit.measure.trace.modules import match_modules
from compaudit.models.called import CalledModule


def called(**kinds: str) -> list[CalledModule]:
    return [CalledModule(name, op, (1, 2), op != "Sequential") for name, op in kinds.items()]


ORIGINAL = called(conv="Conv2d", bn="BatchNorm2d", relu="ReLU", fc="Linear", all="Sequential")


def names(compressed: list[CalledModule]) -> list[str]:
    return [match.name for match in match_modules(ORIGINAL, compressed)]


def test_modules_of_one_path() -> None:
    assert names(ORIGINAL) == ["conv", "bn", "relu", "fc", "all"]
    assert names(called(fc="Linear", relu="ReLU")) == ["relu", "fc"]


def test_fused_modules_leave_identities_of_which_the_last_counts() -> None:
    """ConvReLU2d in the place of the convolution, as torch.ao's fuse_modules writes it."""
    fused = called(conv="ConvReLU2d", bn="Identity", relu="Identity", fc="Linear", all="Sequential")
    assert names(fused) == ["relu", "fc", "all"]
    folded = called(conv="Conv2d", bn="Identity", relu="ReLU", fc="Linear", all="Sequential")
    assert names(folded) == ["bn", "relu", "fc", "all"]
