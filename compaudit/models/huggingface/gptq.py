"""GPTQ: unsigned codes packed along the input features into int32 ``qweight``.

``qweight`` is [in × bits / 32, out], ``scales`` [groups, out], ``qzeros`` [groups, out × bits / 32]
and ``g_idx`` the group of each input feature. The codes of a column are one string of bits, lowest
first, so that 3-bit ones lie across two integers. The format ``gptq`` stores zero points minus one;
``gptq_v2`` stores them as they are. Layout as AutoGPTQ and GPTQModel write it (QuantLinear.pack).

The records have the shape of torch's ``Linear.weight``, [out, in], and yield codes in that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor
from compaudit.models.huggingface.deferred import Deferred
from compaudit.models.huggingface.packing import (
    FLOATS,
    INTEGERS,
    Checkpoint,
    Config,
    MisfitError,
    array_of,
    order_of,
    whole_number,
)
from compaudit.models.huggingface.words import by_rows, unpack_words, words_of
from compaudit.models.quantized import Quantization, Shared

__all__ = ["Gptq"]

# What was taken from the zero points before they were stored.
_TAKEN = {"gptq": 1, "gptq_v2": 0}
_BITS = range(2, 9)


class _Layout(NamedTuple):
    """Sizes of one packed matrix. `group` is the group size; 0 where ``g_idx`` tells."""

    bits: int
    inputs: int
    group: int


class Gptq:
    """The packing of AutoGPTQ and GPTQModel, with their rules for single modules."""

    methods: tuple[str, ...] = ("gptq",)

    def packed(self, config: Config, checkpoint: Checkpoint) -> Iterable[str]:
        """Every integer ``qweight``."""
        return (
            name
            for name, stored in checkpoint.items()
            if name.rpartition(".")[2] == "qweight" and "int" in stored.tensor.dtype
        )

    def unpack(self, name: str, config: Config, checkpoint: Checkpoint) -> Tensor:
        """One matrix, [out, in]. Raises MisfitError."""
        taken = _TAKEN.get(_format(config))
        if taken is None:
            raise MisfitError(
                f"{name} is in the GPTQ format {_format(config)!r}, whose order of weights "
                "is that of a kernel"
            )
        stem = name.removesuffix("qweight")
        words = array_of(name, checkpoint, name, INTEGERS)
        scales = array_of(f"{stem}scales", checkpoint, name, FLOATS)
        zeros = array_of(f"{stem}qzeros", checkpoint, name, INTEGERS)
        order = None
        if f"{stem}g_idx" in checkpoint:
            order = array_of(f"{stem}g_idx", checkpoint, name, INTEGERS).reshape(-1)
        if words.ndim != 2 or scales.ndim != 2 or zeros.ndim != 2:
            raise MisfitError(f"{name} and its scales and zero points are not matrices")
        (count, outputs), width = scales.shape, words.dtype.itemsize * 8
        layout = _layout(name, config, words.shape[0], width, count, order)
        bits, inputs = layout.bits, layout.inputs
        wanted = (count, words_of(outputs, bits, zeros.dtype.itemsize * 8))
        if words.shape[1] != outputs or zeros.shape != wanted:
            raise MisfitError(f"{name} does not fit its scales and zero points at {bits} bits")
        last = layout.group if order is None else order_of(name, order, count)
        groups = (1, last)

        def codes(first: int, last: int) -> NDArray[np.uint8]:
            return unpack_words(words[:, first:last].T, bits)[:, :inputs]

        return replace(
            checkpoint[name].tensor,
            dtype=f"uint{bits}",
            shape=(outputs, inputs),
            stored_elements=outputs * inputs,
            values=by_rows(outputs, inputs, codes),
            quantization=Quantization(
                Shared(scales.T, groups),
                Deferred(
                    partial(_zero_points, zeros, bits, outputs, taken), (outputs, count), groups
                ),
            ),
            note=f"GPTQ, {bits} bits, stored by input features",
        )


def _format(config: Config) -> str:
    if config.get("is_marlin_format") is True:
        return "marlin"
    return str(config.get("checkpoint_format") or config.get("format") or "gptq")


def _layout(
    name: str,
    config: Config,
    rows: int,
    width: int,
    count: int,
    order: NDArray[np.integer[Any]] | None,
) -> _Layout:
    """The one reading of the configuration that fits the sizes. Raises MisfitError where none does.

    Rules for single modules match names by regular expressions; the sizes say as surely which bits
    a module has, so no expression of a file is run.
    """
    found = set()
    for bits, group in _stated(config):
        inputs = len(order) if order is not None else rows * width // bits
        size = inputs if group == -1 else group
        if words_of(inputs, bits, width) != rows:
            continue
        if order is not None:
            found.add(_Layout(bits, inputs, 0))
        elif size > 0 and -(-inputs // size) == count:
            found.add(_Layout(bits, inputs, size))
    if len(found) != 1:
        stated = ", ".join(str(bits) for bits in sorted({bits for bits, _ in _stated(config)}))
        raise MisfitError(
            f"{name} with {rows} rows and {count} groups does not fit the "
            f"{stated or 'unstated'} bits and the group size of its quantization_config"
        )
    return found.pop()


def _stated(config: Config) -> Iterator[tuple[int, int]]:
    """Bits and group size, of the whole model and of its rules for single modules."""
    bits, group = whole_number(config, "bits"), whole_number(config, "group_size")
    rules = config.get("dynamic")
    rules = rules.values() if isinstance(rules, Mapping) else ()
    for rule in ({}, *(rule for rule in rules if isinstance(rule, Mapping))):
        own = whole_number(rule, "bits") if "bits" in rule else bits
        size = whole_number(rule, "group_size") if "group_size" in rule else group
        if own is not None and own in _BITS:
            yield own, -1 if size is None else size


def _zero_points(
    words: NDArray[np.integer[Any]], bits: int, outputs: int, taken: int
) -> NDArray[np.int16]:
    """[out, groups]. What was taken off is added without wrapping round, as the kernels do."""
    return unpack_words(words, bits)[:, :outputs].T.astype(np.int16) + np.int16(taken)
