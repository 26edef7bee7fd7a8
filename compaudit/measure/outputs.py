"""Which output of the one model answers to which of the other?

Outputs are matched by name; ``--map-output a=b`` says otherwise; never silently by position. Only a
framework that gives outputs no names (a PyTorch module returning a tensor) leaves one to one.

Before that, ``--original-map-output a=b`` and ``--compressed-map-output a=b`` give the output b of
one model the name a: the pair's names, by which all the rest goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from compaudit.config import Which
from compaudit.engines.base import Outputs
from compaudit.errors import RequestError

__all__ = [
    "OutputPair",
    "Renaming",
    "check_shapes",
    "match_outputs",
]


class OutputPair(msgspec.Struct, frozen=True):
    """An output of the original and the one of the compressed model that it is compared with."""

    original: str
    compressed: str


class Renaming(msgspec.Struct, frozen=True):
    """The pair's names of one model's outputs: name in the pair → name in that model."""

    which: Which
    mapping: dict[str, str]

    def apply(self, outputs: Outputs) -> Outputs:
        """The outputs under the pair's names, in their order.

        Raises:
            RequestError: the model has no output of that name, or two would be called the same.
        """
        for name, own in self.mapping.items():
            option = f"--{self.which}-map-output {name}={own}"
            if own not in outputs:
                raise _mismatch(
                    f"{option}: the {self.which} model has no output {own!r}",
                    f"it has {_listed(outputs)}",
                )
            if name in outputs and name not in self.mapping.values():
                raise _mismatch(
                    f"{option}: the {self.which} model has another output called {name!r}",
                    "give that one another name too, or choose a name that is free",
                )
        names = {own: name for name, own in self.mapping.items()}
        return {names.get(own, own): array for own, array in outputs.items()}


def match_outputs(
    original: Outputs,
    compressed: Outputs,
    mapping: Mapping[str, str],
    *,
    named: bool,
    wanted: str | None = None,
) -> tuple[OutputPair, ...]:
    """Pair every output of the original.

    Args:
        original: what the original gives for one batch.
        compressed: what the compressed model gives for it.
        mapping: ``--map-output``: name in the original → name in the compressed model.
        named: whether both frameworks name their outputs.
        wanted: ``--model-output``, the original's name of the output that matters.

    Raises:
        RequestError: an output has no counterpart, or there is none of the name that was given.
    """
    if wanted is not None and wanted not in original:
        raise _mismatch(
            f"--model-output {wanted}: the original has no output {wanted!r}",
            f"it has {_listed(original)}",
        )
    for a, b in mapping.items():
        for name, outputs, which in ((a, original, "original"), (b, compressed, "compressed")):
            if name not in outputs:
                raise _mismatch(
                    f"--map-output {a}={b}: the {which} model has no output {name!r}",
                    f"it has {_listed(outputs)}",
                )
    if not named and not mapping and len(original) == len(compressed) == 1:
        return (OutputPair(next(iter(original)), next(iter(compressed))),)
    pairs = tuple(OutputPair(name, mapping.get(name, name)) for name in original)
    for pair in pairs:
        if pair.compressed not in compressed:
            raise _mismatch(
                f"the original's output {pair.original!r} has no counterpart: the compressed model "
                f"gives {_listed(compressed)}",
                f"say which one it is: --map-output {pair.original}={next(iter(compressed), '…')}",
            )
    unmatched = set(compressed) - {pair.compressed for pair in pairs}
    if unmatched:
        name = min(unmatched)
        raise _mismatch(
            f"the compressed model has an output {name!r} that none of the original answers to",
            f"leave it out when exporting, or say which one does: --map-output NAME={name}",
        )
    return pairs


def check_shapes(pairs: Iterable[OutputPair], original: Outputs, compressed: Outputs) -> None:
    """Whether paired outputs of one batch can be compared.

    Raises:
        RequestError: two of them differ in shape.
    """
    for pair in pairs:
        a, b = original[pair.original].shape, compressed[pair.compressed].shape
        if a != b:
            raise _mismatch(
                f"output {pair.original!r} has shape {a} in the original and {b} in the compressed "
                "model",
                "compare models that answer the same question, or pair other outputs with "
                "--map-output",
            )


def _mismatch(message: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code="outputs-do-not-fit", stage="evaluate")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
