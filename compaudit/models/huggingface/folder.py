"""What of a folder is the model: the configuration, the index and the shards, found safely.

The order of preference is that of transformers: ``model.safetensors``, then
``model.safetensors.index.json``, then the pickles. An index is a file that names files, so what it
names is resolved here first, as external data of ONNX is: inside the folder, or beside what the
folder's own links point to (the cache of huggingface_hub is a folder of links into ``blobs``).
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from compaudit.errors import RequestError

__all__ = ["ModelFolder", "find"]

_CONFIG = "config.json"
_LARGEST_CONFIG = 16 << 20
_LARGEST_INDEX = 512 << 20
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLE, _PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
_INDEX_END = ".safetensors.index.json"
_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>\d{5,6})-of-(?P<count>\d{5,6})\.safetensors")
_LFS_POINTER = b"version https://git-lfs"
# Where the tools kept the configuration before config.json had a place for it.
_OLD_CONFIGS = {"quantize_config.json": "gptq", "quant_config.json": "awq"}


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The files of a model.

    Attributes:
        shards: the files of tensors, by the names that the index gives them.
        index: the index; None where there is none.
        weight_map: the shard of every tensor that the index names; empty without an index.
        quantization: ``quantization_config``; None where there is none.
        pickled: the shards are PyTorch pickles, not safetensors.
    """

    shards: dict[str, Path]
    index: Path | None
    weight_map: Mapping[str, str]
    quantization: Mapping[str, Any] | None
    pickled: bool

    @property
    def files(self) -> tuple[Path, ...]:
        """What is shipped: every shard, and the index."""
        return (*self.shards.values(), *([self.index] if self.index is not None else []))


def find(folder: Path, spec: str) -> ModelFolder:
    """The model in a folder.

    Args:
        folder: an existing folder.
        spec: how errors name it.

    Raises:
        RequestError: it holds no model, several, or a broken or unsafe one.
    """
    return _Search(folder, spec).found()


class _Search:
    """One look into one folder."""

    def __init__(self, folder: Path, spec: str) -> None:
        self._folder = folder
        self._spec = spec
        try:
            names = sorted(entry.name for entry in os.scandir(folder))
        except OSError as error:
            raise self._error(
                f"{spec} cannot be read: {error.strerror or error}",
                "check the path and its permissions",
                "unreadable-file",
            ) from error
        self._names = [name for name in names if name.isprintable()]

    def found(self) -> ModelFolder:
        """The model, by transformers' order of preference."""
        names = set(self._names)
        if _SINGLE in names:
            return self._without_index({_SINGLE: self._folder / _SINGLE})
        if _INDEX in names:
            return self._with_index(_INDEX, pickled=False)
        if _PICKLE in names:
            return self._without_index({_PICKLE: self._folder / _PICKLE}, pickled=True)
        if _PICKLE_INDEX in names:
            return self._with_index(_PICKLE_INDEX, pickled=True)
        indices = [name for name in self._names if name.endswith(_INDEX_END)]
        if len(indices) == 1:
            return self._with_index(indices[0], pickled=False)
        shards = [name for name in self._names if name.endswith(".safetensors")]
        if len(shards) == 1 and not _NUMBERED.fullmatch(shards[0]):
            return self._without_index({shards[0]: self._folder / shards[0]})
        if shards:
            self._require_complete(shards)
            return self._without_index({name: self._folder / name for name in shards})
        raise self._no_model()

    # ------------------------------------------------------------------------- the shards

    def _without_index(self, shards: dict[str, Path], *, pickled: bool = False) -> ModelFolder:
        for name, path in shards.items():
            self._regular(path, name)
        return ModelFolder(shards, None, {}, self._quantization(), pickled)

    def _with_index(self, name: str, *, pickled: bool) -> ModelFolder:
        index = self._folder / name
        held = self._json(name, _LARGEST_INDEX)
        weight_map = held.get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise self._broken(f"{name} has no weight_map")
        if not all(isinstance(shard, str) for shard in weight_map.values()):
            raise self._broken(f"{name} has a weight_map that names no files")
        allowed = {Path(os.path.realpath(self._folder)), Path(os.path.realpath(index)).parent}
        shards: dict[str, Path] = {}
        spelled: dict[str, str] = {}
        known: dict[tuple[int, int], str] = {}
        for shard in dict.fromkeys(weight_map.values()):
            path = self._resolved(shard, name, allowed)
            status = self._regular(path, shard, name)
            # One file under two names is one shard.
            spelled[shard] = known.setdefault((status.st_dev, status.st_ino), shard)
            shards.setdefault(spelled[shard], path)
        places = {tensor: spelled[shard] for tensor, shard in weight_map.items()}
        return ModelFolder(shards, index, places, self._quantization(), pickled)

    def _resolved(self, shard: str, index: str, allowed: set[Path]) -> Path:
        parts = PurePosixPath(shard).parts
        outside = shard.startswith("/") or "\\" in shard or re.match(r"[A-Za-z]:", shard)
        if not parts or "\0" in shard or outside or ".." in parts:
            raise self._unsafe(f"{index} names {shard!r}, which is not in the folder")
        path = self._folder / shard
        try:
            real = Path(os.path.realpath(path))
        except (OSError, ValueError) as error:
            raise self._unsafe(f"{index} names {shard!r}, which is no file") from error
        if not any(real.is_relative_to(folder) for folder in allowed):
            raise self._unsafe(f"{index} names {shard!r}, which leads out of the folder")
        return path

    def _regular(self, path: Path, name: str, index: str = "") -> os.stat_result:
        """The status of a file; what is missing, or none, is refused before anything opens it."""
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise self._unsafe(f"{_shown(name)} is not a regular file")
            with path.open("rb") as stream:
                pointer = stream.read(len(_LFS_POINTER)) == _LFS_POINTER
        except (OSError, ValueError) as error:
            named = f" that {index} names" if index else ""
            reason = getattr(error, "strerror", None) or str(error)
            raise self._error(
                f"{self._spec} lacks the file {_shown(name)}{named}: {reason}",
                "download the folder again, all shards of it",
                "missing-shard",
            ) from error
        if pointer:
            raise self._error(
                f"{_shown(name)} in {self._spec} is a Git LFS pointer, not the tensors themselves",
                "run: git lfs pull",
                "git-lfs-pointer",
            )
        return status

    def _require_complete(self, shards: list[str]) -> None:
        """Without an index only one complete numbered set says which files belong together."""
        numbered = [found for found in map(_NUMBERED.fullmatch, shards) if found is not None]
        sets = {(found["stem"], found["count"]) for found in numbered}
        if len(numbered) != len(shards) or len(sets) != 1:
            raise self._error(
                f"{self._spec} holds {len(shards)} safetensors files and no index that says "
                "which of them are the model",
                f"give one of them: {Path(self._spec, _shown(shards[0]))}",
                "several-models",
            )
        ((stem, count),) = sets
        there = {int(found["number"]) for found in numbered}
        missing = next((n for n in range(1, int(count) + 1) if n not in there), None)
        if missing is not None:
            name = f"{stem}-{missing:0{len(count)}d}-of-{count}.safetensors"
            raise self._error(
                f"{self._spec} lacks {_shown(name)}",
                "download the folder again, all shards of it",
                "missing-shard",
            )

    # ------------------------------------------------------------------ the configuration

    def _quantization(self) -> Mapping[str, Any] | None:
        """``quantization_config``, of the model or of the language model in it."""
        config = self._json(_CONFIG, _LARGEST_CONFIG) if _CONFIG in self._names else {}
        parts = [config, *(config.get(key) for key in ("text_config", "llm_config"))]
        for part in parts:
            for key in ("quantization_config", "compression_config"):
                if isinstance(part, dict) and part.get(key) is not None:
                    if not isinstance(part[key], dict):
                        raise self._broken(f"{_CONFIG} has a {key} that is no JSON object")
                    return dict(part[key])
        for name, method in _OLD_CONFIGS.items():
            if name in self._names:
                return {"quant_method": method, **self._json(name, _LARGEST_CONFIG)}
        return None

    def _json(self, name: str, limit: int) -> dict[str, Any]:
        path = self._folder / name
        self._regular(path, name)
        try:
            if path.stat().st_size > limit:
                raise self._broken(f"{name} has more than {limit >> 20} MiB")
            held = json.loads(path.read_bytes())
        except OSError as error:
            raise self._error(
                f"{name} in {self._spec} cannot be read: {error.strerror or error}",
                "check its permissions",
                "unreadable-file",
            ) from error
        except (ValueError, RecursionError) as error:
            raise self._broken(f"{name} is no JSON: {str(error)[:200]}") from error
        if not isinstance(held, dict):
            raise self._broken(f"{name} is no JSON object")
        return held

    # ------------------------------------------------------------------------- what is wrong

    def _no_model(self) -> RequestError:
        models = [name for name in self._names if name.endswith((".onnx", ".pt2", ".pt", ".pth"))]
        pickles = [name for name in self._names if name.endswith(".bin")]
        message = f"{self._spec} is a folder without a model that compaudit knows"
        if models or pickles:
            one = _shown((models or pickles)[0])
            hint = f"give the model file inside it: {Path(self._spec, one)}"
        elif not self._names:
            message, hint = (
                f"{self._spec} is an empty folder",
                "give a model file, or a folder of one",
            )
        else:
            hint = (
                "give the model file inside it, or a Hugging Face folder "
                f"with {_SINGLE} or {_INDEX}"
            )
        return self._error(message, hint, "is-a-folder")

    def _broken(self, what: str) -> RequestError:
        return self._error(f"{self._spec}: {what}", "download the folder again", "broken-model")

    def _unsafe(self, what: str) -> RequestError:
        return self._error(
            f"{self._spec}: {what}",
            "a model may only read files in its own folder; download it again from its source",
            "unsafe-shard",
        )

    def _error(self, message: str, hint: str, code: str) -> RequestError:
        return RequestError(message, hint=hint, code=code, model=self._spec, stage="open")


def _shown(name: str) -> str:
    """A name from a file as it can stand in a message: without lone surrogates."""
    return name.encode("utf-8", "replace").decode()
