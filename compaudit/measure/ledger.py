"""What is stored in a model, tensor by tensor, and what do its parameters add up to?

The counting rules are DESIGN §1. Every stored byte of a file is either a tensor's or the graph's.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from compaudit.measure.contents import Contents, contents_of
from compaudit.measure.duplicates import duplicates_of
from compaudit.measure.layers.names import layer_names
from compaudit.measure.layers.spool import Spooled, spool
from compaudit.measure.sparsity import sparsity_of
from compaudit.models import open as models
from compaudit.models.base import Model, Role, Source, Tensor
from compaudit.results import Sparsity, TensorResult
from compaudit.workers.workspace import Workspace, admit_user_modules

__all__ = ["Ledger", "content_hash", "read_in_worker", "take"]

_PARAMETERS = (Role.WEIGHT, Role.BIAS)
_WEIGHT_BYTES = (Role.WEIGHT, Role.BIAS, Role.QUANTIZATION)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The list of stored tensors, and its sums. `uncounted` says why parameters are None."""

    tensors: list[TensorResult]
    parameters: int | None
    nonzero_parameters: int | None
    weight_bytes: int
    entropy_bytes: int | None
    file_bytes: int | None
    graph_bytes: int | None
    elements_by_role: dict[str, int]
    bytes_by_role: dict[str, int]
    precision: dict[str, int]
    computed_precision: dict[str, int]
    schemes: dict[str, int]
    sha256: str | None
    uncounted: str | None

    @property
    def bits_per_weight(self) -> float | None:
        """8 × weight_bytes / parameters; None without parameters."""
        return 8 * self.weight_bytes / self.parameters if self.parameters else None

    @property
    def entropy_bits_per_weight(self) -> float | None:
        """8 × entropy_bytes / parameters; None without parameters."""
        if not self.parameters or self.entropy_bytes is None:
            return None
        return 8 * self.entropy_bytes / self.parameters

    @property
    def sparsity(self) -> float | None:
        """Share of parameters that are zero; None without parameters."""
        if not self.parameters or self.nonzero_parameters is None:
            return None
        return 1 - self.nonzero_parameters / self.parameters


def take(model: Model) -> Ledger:
    """The ledger of a model, its values read once in chunks.

    Raises:
        RequestError: a tensor's bytes cannot be read.
    """
    tensors = model.tensors
    with ThreadPoolExecutor(1) as beside:
        hashing = beside.submit(content_hash, model.files)
        contents = contents_of(tensors)
        rows = [
            _row(*facts)
            for facts in zip(
                tensors,
                contents,
                layer_names(tensors),
                sparsity_of(tensors, contents),
                duplicates_of(tensors, contents),
                strict=True,
            )
        ]
        sha256 = hashing.result()
    parameters = [row for row in rows if row.role in _PARAMETERS and row.tied_to is None]
    counts = [row.nonzeros for row in parameters]
    file_bytes = sum(path.stat().st_size for path in model.files) if model.files else None
    stored = sum(row.bytes for row in rows)
    by_role: Counter[str] = Counter()
    bytes_by_role: Counter[str] = Counter()
    for row in rows:
        bytes_by_role[row.role] += row.bytes
        if row.tied_to is None:
            by_role[row.role] += row.logical_elements
    counted = model.uncounted is None
    return Ledger(
        tensors=rows,
        parameters=sum(row.logical_elements for row in parameters) if counted else None,
        nonzero_parameters=(
            sum(count for count in counts if count is not None)
            if counted and None not in counts
            else None
        ),
        entropy_bytes=_entropy_bytes(tensors, contents),
        weight_bytes=sum(row.bytes for row in rows if row.role in _WEIGHT_BYTES),
        file_bytes=file_bytes,
        graph_bytes=None if file_bytes is None else file_bytes - stored,
        elements_by_role=dict(by_role),
        bytes_by_role=dict(bytes_by_role),
        precision=_shares(parameters, lambda row: row.dtype),
        computed_precision=_shares(parameters, lambda row: row.computed_dtype or "unknown"),
        schemes=_shares(parameters, lambda row: row.scheme or "none"),
        sha256=sha256,
        uncounted=model.uncounted,
    )


def read_in_worker(
    workspace: Workspace, source: Source, trust_model_code: bool, folder: str | None
) -> tuple[Ledger, list[Spooled]]:
    """The ledger of a model that only running code can read, taken where that code runs.

    Its weights are written into the folder, if there is one, to be compared with others.
    """
    if models.imports_user_modules(source):
        admit_user_modules(workspace)
    model = models.read(source, trust_model_code=trust_model_code)
    return take(model), [] if folder is None else spool(model, folder)


def content_hash(files: Sequence[Path]) -> str | None:
    """SHA-256 of one file; of several, that of their sorted (name, hash) list; None of none.

    Names are relative to the folder that holds all the files, so that equal ones in different
    folders both count, and the same model has the same hash wherever it lies.
    """
    if not files:
        return None
    folder = Path(os.path.commonpath([path.absolute().parent for path in files]))
    hashes = {}
    for path in files:
        with path.open("rb") as stream:
            name = path.absolute().relative_to(folder).as_posix()
            hashes[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    listing = "".join(f"{name} {digest}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(os.fsencode(listing)).hexdigest()


def _entropy_bytes(tensors: Sequence[Tensor], contents: Sequence[Contents]) -> int | None:
    """What a lossless coder would need for the weight bytes; None where some cannot be read."""
    total = 0
    for tensor, held in zip(tensors, contents, strict=True):
        if tensor.role in _WEIGHT_BYTES and tensor.tied_to is None:
            if held.coded is None:
                return None
            total += held.coded.bytes
    return total


def _shares(
    parameters: Sequence[TensorResult], kind: Callable[[TensorResult], str]
) -> dict[str, int]:
    """How many parameters are of each kind."""
    counted: Counter[str] = Counter()
    for row in parameters:
        counted[kind(row)] += row.logical_elements
    return dict(counted)


def _row(
    tensor: Tensor,
    held: Contents,
    layer: str | None,
    sparsity: Sparsity | None,
    duplicate_of: str | None,
) -> TensorResult:
    codes = tensor.quantization
    return TensorResult(
        name=tensor.name,
        role=tensor.role.value,
        dtype=tensor.dtype,
        shape=list(tensor.shape),
        logical_elements=tensor.logical_elements,
        stored_elements=tensor.stored_elements,
        bits=tensor.bits,
        bytes=tensor.bytes,
        nonzeros=held.nonzeros,
        entropy_bits=None if held.coded is None else held.coded.entropy_bits,
        layer=layer,
        op=tensor.use.op if tensor.use is not None else None,
        computed_dtype=(tensor.use.computed or None) if tensor.use is not None else None,
        scheme=None if codes is None else codes.scheme(tensor.shape),
        block=None if codes is None else codes.block_of(tensor.shape),
        symmetric=None if codes is None else codes.is_symmetric(tensor.dtype, tensor.bits),
        sparsity_structure=sparsity,
        tied_to=tensor.tied_to,
        duplicate_of=duplicate_of,
        location=tensor.location,
        note=tensor.note,
    )
