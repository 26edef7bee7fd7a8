"""Roles of tensors that are known only by name, as in a state dict or a safetensors file.

The names are PyTorch's own (``running_mean``, ``weight_ih_l0``, ``weight_orig`` …) and those of the
common quantisation tools. What no rule covers stays unclassified; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from compaudit.models.base import Role

__all__ = ["Entry", "is_weight_name", "mask_of", "packed_in", "packing_of", "roles_of"]


class Entry(NamedTuple):
    """What a file says about a tensor besides its name."""

    dtype: str
    shape: tuple[int, ...]


_OPTIMIZER = re.compile(
    r"^(optimizer|optim|optimizer_states?|optimizer_state_dict|optimizers|lr_schedulers?|scheduler"
    r"|scaler|grad_scaler|rng_states?)(\.|$)"
    r"|(^|\.)(exp_avg|exp_avg_sq|max_exp_avg_sq|momentum_buffer|square_avg|grad_avg|acc_delta)$"
    r"|(^|\.)state\.\d+\.step$"
)
_STATE = frozenset(
    [
        "running_mean",
        "running_var",
        "num_batches_tracked",
        "position_ids",
        "token_type_ids",
        "inv_freq",
        "cos_cached",
        "sin_cached",
        "relative_position_index",
        "relative_coords_table",
        "attn_mask",
    ]
)
_SCALES = frozenset(
    [
        "scales",
        "qscales",
        "zero_point",
        "zero_points",
        "zeros",
        "qzeros",
        "g_idx",
        "perm",
        "absmax",
        "nested_absmax",
        "quant_map",
        "nested_quant_map",
        "SCB",
        "weight_format",
        "scale_inv",
        "codebook",
        "codebooks",
    ]
)
_SCALE = re.compile(
    r"(weight|bias|input|output|in|out|act|activation|[qkv]|kv|w|a)_"
    r"(scale|scales|scale_2|scale_inv|zero_point|zero_points|zp|g_idx|global_scale|absmax)"
)
_WEIGHT = re.compile(
    r"weight|gamma|.*_weight|weight_(ih|hh|hr)(_l\d+)?(_reverse)?|weight_(orig|g|v|\d+)"
)
_TABLE = re.compile(
    r"(.*_)?(pos|positional|position|patch|class|token|time|label)_embed(ding|dings)?"
    r"|embedding|embeddings|cls_token|mask_token|dist_token|class_token|reg_token|register_tokens"
    r"|relative_position_bias_table"
)
_BIAS = re.compile(r"bias|beta|.*_bias|bias_(ih|hh)(_l\d+)?(_reverse)?|bias_(k|v|orig|\d+)")
_PACKED = frozenset(("qweight", "weight_packed", "B_q", "packed_weight"))
# How compressed-tensors stores what is left of a pruned weight, and where it stood.
_SPARSE = {
    "compressed": Role.WEIGHT,
    "bitmask": Role.QUANTIZATION,
    "row_offsets": Role.QUANTIZATION,
    "shape": Role.CONSTANT,
}
_MOST_PARAMETRIZATIONS = 8
_PARAMETRIZED = re.compile(r"(.*\.)?parametrizations\.(?P<name>[^.]+)\.original\d*")
_PARAMETRIZATION = re.compile(r"(.*\.)?parametrizations\.[^.]+\.\d+\.(?P<name>[^.]+)")


def roles_of(entries: Mapping[str, Entry]) -> dict[str, Role]:
    """The role of every tensor of a file."""
    return {name: _role(name, entry, entries) for name, entry in entries.items()}


def is_weight_name(name: str) -> bool:
    """Whether a name alone says weight (True) or bias; for tensors known to be parameters."""
    parametrized = _PARAMETRIZED.fullmatch(name)
    last = parametrized["name"] if parametrized else name.rpartition(".")[2]
    return _BIAS.fullmatch(last) is None


def mask_of(name: str, entries: Mapping[str, Entry]) -> str | None:
    """The pruning mask of a tensor: ``weight_mask`` of ``weight_orig``, or a parametrisation's."""
    if name.endswith("_orig"):
        masks = [f"{name.removesuffix('_orig')}_mask"]
    elif _PARAMETRIZED.fullmatch(name) and name.endswith(".original"):
        stem = name.removesuffix("original")
        masks = [f"{stem}{index}.mask" for index in range(_MOST_PARAMETRIZATIONS)]
    else:
        return None
    shape = entries[name].shape
    return next((mask for mask in masks if mask in entries and entries[mask].shape == shape), None)


def packing_of(entries: Mapping[str, Entry]) -> str | None:
    """Why parameters cannot be counted from these tensors alone; None where they can."""
    name = next(packed_in(entries), None)
    if name is None:
        return None
    return (
        f"{name} holds several weights per element, and how many stands in no tensor; "
        "give the folder with its config.json"
    )


def packed_in(entries: Mapping[str, Entry]) -> Iterator[str]:
    """The tensors whose elements are not one weight each."""
    return (name for name, entry in entries.items() if _is_packed(name, entry, entries))


def _is_packed(name: str, entry: Entry, entries: Mapping[str, Entry]) -> bool:
    stem, _, last = name.rpartition(".")
    if last in _PACKED and _is_integer(entry.dtype):
        return True
    return (
        "quant_state.bitsandbytes" in name
        or (last == "compressed" and f"{stem}.bitmask" in entries)
        or (last.endswith("_blocks") and _partner_of_blocks(name, entry, entries) is not None)
    )


def _partner_of_blocks(name: str, entry: Entry, entries: Mapping[str, Entry]) -> str | None:
    """The scales of MXFP4 ``…_blocks``, or the blocks of ``…_scales``: bytes, as gpt-oss has."""
    for own, other in (("_blocks", "_scales"), ("_scales", "_blocks")):
        partner = name.removesuffix(own) + other
        if name.endswith(own) and entry.dtype == "uint8" and partner in entries:
            return partner if entries[partner].dtype == "uint8" else None
    return None


def _role(name: str, entry: Entry, entries: Mapping[str, Entry]) -> Role:
    stem, _, last = name.rpartition(".")
    prefix = f"{stem}." if stem else ""
    if _OPTIMIZER.search(name):
        return Role.UNUSED
    if last in _STATE:
        return Role.BUFFER
    if last == "mask" or last.endswith("_mask") or last == "weight_shape":
        return Role.CONSTANT
    if _PARAMETRIZED.fullmatch(name):
        return Role.WEIGHT if is_weight_name(name) else Role.BIAS
    if _PARAMETRIZATION.fullmatch(name) and last in ("_u", "_v"):
        return Role.BUFFER
    if last in ("weight_u", "weight_v") and f"{prefix}weight_orig" in entries:
        return Role.BUFFER
    if last in _SCALES or _SCALE.fullmatch(last) or ".quant_state." in name:
        return Role.QUANTIZATION
    if last == "scale":
        return _role_of_scale(prefix, entries)
    if last in _SPARSE and f"{prefix}compressed" in entries and f"{prefix}bitmask" in entries:
        return _SPARSE[last]
    if _partner_of_blocks(name, entry, entries) is not None:
        return Role.WEIGHT if last.endswith("_blocks") else Role.QUANTIZATION
    if _BIAS.fullmatch(last):
        return Role.CONSTANT if _is_causal_mask(entry) else Role.BIAS
    if last in _PACKED or _WEIGHT.fullmatch(last) or _TABLE.fullmatch(last):
        return Role.CONSTANT if entry.dtype == "bool" else Role.WEIGHT
    if entry.dtype == "bool" or (_is_integer(entry.dtype) and not entry.shape):
        return Role.CONSTANT
    return Role.UNCLASSIFIED


def _role_of_scale(prefix: str, entries: Mapping[str, Entry]) -> Role:
    """A lone ``scale`` may be a learned gain: it needs a quantised neighbour to be a scale."""
    if f"{prefix}zero_point" in entries:
        return Role.QUANTIZATION
    for neighbour in ("weight", "int_weight", "weight_int8", *_PACKED):
        entry = entries.get(prefix + neighbour)
        if entry is not None and (_is_integer(entry.dtype) or entry.dtype.startswith("float8")):
            return Role.QUANTIZATION
    return Role.UNCLASSIFIED


def _is_integer(dtype: str) -> bool:
    return dtype.startswith(("int", "uint"))


def _is_causal_mask(entry: Entry) -> bool:
    """GPT-2 and its kin store their triangular attention mask under the name ``bias``."""
    if entry.dtype in ("bool", "uint8"):
        return True
    shape = entry.shape
    return len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3] > 1
