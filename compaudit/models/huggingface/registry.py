"""Every packing that is read, and what becomes of a folder's tensors by it.

A new packing is one new file and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from compaudit.models.base import Role, Tensor
from compaudit.models.huggingface.awq import Awq
from compaudit.models.huggingface.bitsandbytes import BitsAndBytes
from compaudit.models.huggingface.compressed_tensors import CompressedTensors
from compaudit.models.huggingface.fp4 import Mxfp4
from compaudit.models.huggingface.fp8 import Fp8
from compaudit.models.huggingface.gptq import Gptq
from compaudit.models.huggingface.packing import Checkpoint, Config, MisfitError, Packing
from compaudit.models.torch.names import Entry, packed_in

__all__ = ["PACKINGS", "unpacked"]

PACKINGS: tuple[Packing, ...] = (
    Gptq(),
    Awq(),
    CompressedTensors(),
    BitsAndBytes(),
    Fp8(),
    Mxfp4(),
)


def unpacked(
    config: Config | None, checkpoint: Checkpoint
) -> tuple[tuple[Tensor, ...], str | None]:
    """Every tensor at its logical size, and why parameters cannot be counted; None mostly.

    What does not fit its packing stays as it is stored, so that its bytes are right in any case.
    """
    tensors = {name: stored.tensor for name, stored in checkpoint.items()}
    done: dict[str, Tensor] = {}
    reason = None
    if config is not None:
        packing = next((one for one in PACKINGS if _method(config) in one.methods), None)
        if packing is None:
            reason = _unknown(config, tensors)
        else:
            done, reason = _unpacked_by(packing, config, checkpoint)
    return tuple({**tensors, **done}.values()), reason or _left(config, checkpoint, done)


def _unpacked_by(
    packing: Packing, config: Config, checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], str | None]:
    """What one packing makes of its tensors, and the first reason why one does not fit."""
    done: dict[str, Tensor] = {}
    reason = None
    for name in packing.packed(config, checkpoint):
        try:
            with np.errstate(all="ignore"):  # what a file says may be no number
                tensor = packing.unpack(name, config, checkpoint)
        except MisfitError as misfit:
            reason = reason or str(misfit)
            continue
        # Where there are no codes, nothing is to be said of what they stand for.
        done[name] = tensor if tensor.logical_elements else replace(tensor, quantization=None)
    return done, reason


def _method(config: Config) -> str:
    """``quant_method``; bitsandbytes and compressed-tensors once left it out."""
    method = config.get("quant_method")
    if isinstance(method, str):
        return method.lower()
    if config.get("load_in_4bit") is True or config.get("load_in_8bit") is True:
        return "bitsandbytes"
    return "compressed-tensors" if "config_groups" in config else ""


def _unknown(config: Config, tensors: Mapping[str, Tensor]) -> str:
    weights = [tensor for tensor in tensors.values() if tensor.role is Role.WEIGHT]
    codes = [tensor for tensor in weights if not tensor.dtype.startswith(("float", "bfloat"))]
    name = next((tensor.name for tensor in (*codes, *weights, *tensors.values())), "every tensor")
    method = str(config.get("quant_method"))[:80]
    return (
        f"{name} may hold several weights per element: config.json says quant_method {method!r}, "
        "a packing that compaudit does not know"
    )


def _left(config: Config | None, checkpoint: Checkpoint, done: Mapping[str, Tensor]) -> str | None:
    """What is said of a packed tensor that the packing of the configuration did not claim."""
    entries = {
        name: Entry(stored.tensor.dtype, stored.tensor.shape) for name, stored in checkpoint.items()
    }
    stated = "says nothing of its packing" if config is None else "states another packing"
    for name in packed_in(entries):
        if name not in done and name.partition(".quant_state.")[0] not in done:
            return f"{name} holds several weights per element, and config.json {stated}"
    return None
