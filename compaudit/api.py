"""The Python API: the audit of the command line, with typed results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from os import PathLike, fspath
from typing import Any

import msgspec

from compaudit import audit, inspection, ranking, sweep
from compaudit.config import Config, Sweep, did_you_mean, read_policy
from compaudit.errors import RequestError
from compaudit.published import read_all
from compaudit.results import Benchmark, Comparison, Inspection, Ranking

__all__ = ["bench", "compare", "inspect", "rank"]

Spec = str | PathLike[str]

_ALL = tuple(name for name in Config.__struct_fields__ if name != "config_file")
_OF_A_RUN = (
    *("data", "preprocess", "limit", "seed", "input_shapes", "map_input", "compile"),
    *("provider_options", "session_options", "custom_op_libraries", "trust_model_code"),
    *("time_budget_s", "resolution", "confidence", "timeout_s", "memory_limit_bytes", "lock"),
)
"""The settings of an audit that hold for timing alone; its device, threads and batch are lists."""


def compare(original: Spec, compressed: Spec, **settings: Any) -> Comparison:
    """Audit a compressed model against its original.

    Args:
        original: a path, or ``package.module:factory[@weights]``.
        compressed: likewise.
        settings: any field of `compaudit.config.Config`, such as ``data="test.npz"``,
            ``time_budget_s=10.0``, ``requirements=("delta >= 1.2",)``. What holds for one model
            alone goes into ``original_only`` and ``compressed_only``, such as
            ``compressed_only={"map_input": {"image": "pixels"}}``. A ``policy`` is the path of a
            file whose requirements are added. No settings are taken from files otherwise.

    Returns:
        The document that ``compaudit compare --json`` prints. What died is in its ``error``, what
        was not measured in ``skipped``, and how the requirements were judged in ``gate``.

    Raises:
        RequestError: the request was wrong, and nothing was measured.
    """
    config = _config("compare", original, compressed, settings)
    return audit.compare(config, command="compaudit.compare(…)")


def rank(
    original: Spec,
    *candidates: Spec,
    best: str | None = None,
    published: Sequence[Spec] = (),
    **settings: Any,
) -> Ranking:
    """Compare many compressed models with one original, and with one another.

    Args:
        original: a path, or ``package.module:factory[@weights]``.
        candidates: likewise; also patterns, folders, and TOML lists.
        best: ``max delta``, ``min compressed.file_bytes``: the candidate to choose, of those that
            fulfil every one of ``requirements``; it is in the result's ``best``.
        published: CSV files with rows of papers, which are put into the result as they are.
        settings: as for `compare`; ``compressed_only`` is for every candidate.

    Returns:
        The document that ``compaudit rank --json`` prints. A candidate that failed is there with
        its ``error``.

    Raises:
        RequestError: the request was wrong, and nothing was measured.
    """
    config = _config("rank", original, "", settings)
    specs = [fspath(candidate) for candidate in candidates]
    beside = read_all(fspath(path) for path in published)
    return ranking.rank(config, specs, best, command="compaudit.rank(…)", published=beside)


def bench(
    *models: Spec,
    threads: Sequence[int] = (),
    batch_sizes: Sequence[int] = (1,),
    devices: Sequence[str] = ("cpu",),
    time_budget_s: float = 10.0,
    **settings: Any,
) -> Benchmark:
    """Time models over devices, numbers of threads and batch sizes, beside the first of them.

    Args:
        models: paths, or ``package.module:factory[@weights]``; the first is what the others are
            compared with.
        threads: whole numbers; empty for the machine's default.
        batch_sizes: whole numbers.
        devices: such as ``("cpu", "cuda")``.
        time_budget_s: seconds for each setting.
        settings: those fields of `compaudit.config.Config` that are about running models: ``data``,
            ``input_shapes``, ``resolution``, ``trust_model_code`` and the like.

    Returns:
        The document that ``compaudit bench --json`` prints. A model that cannot run at a setting
        has its ``reason`` there.

    Raises:
        RequestError: the request was wrong, or none of the models can run.
        MeasurementError: reading a model killed its process.
    """
    if not models:
        raise RequestError("bench() has no model to time", hint="give one or more", code="usage")
    common = _config(
        "bench",
        models[0],
        models[-1],
        {**settings, "time_budget_s": time_budget_s},
        _OF_A_RUN,
    )
    for name, given in (("devices", devices), ("batch_sizes", batch_sizes)):
        if not given:
            raise RequestError(f"{name} is empty", hint="leave it out", code="usage")
    asked = Sweep(
        models=tuple(fspath(model) for model in models),
        devices=tuple(dict.fromkeys(_several("devices", devices, str))),
        threads=tuple(sorted(set(_several("threads", threads, int)))),
        batch_sizes=tuple(sorted(set(_several("batch_sizes", batch_sizes, int)))),
        common=msgspec.structs.replace(common, measurements=("latency",)),
    )
    return sweep.bench(asked, command="compaudit.bench(…)")


def inspect(*models: Spec, trust_model_code: bool = False) -> Inspection:
    """The ledgers of models, which are read and not executed.

    Returns:
        The document that ``compaudit inspect --json`` prints. A model that cannot be read is named
        in its ``error`` and ``skipped``, and the others are in ``models``.

    Raises:
        RequestError: no model can be opened and read.
    """
    specs = [fspath(model) for model in models]
    return inspection.inspect(
        specs, trust_model_code=trust_model_code, command="compaudit.inspect(…)"
    )


def _several(name: str, given: Sequence[Any], kind: type) -> Sequence[Any]:
    """A list of these. Raises RequestError for what is none, such as a single one of them."""
    listed = not isinstance(given, str | bytes) and isinstance(given, Sequence)
    if not listed or not all(type(one) is kind for one in given):
        raise RequestError(
            f"{name} is a list of {kind.__name__}, and not {given!r}",
            hint="for example batch_sizes=(1, 8, 32)",
            code="usage",
        )
    return given


def _config(
    function: str,
    original: Spec,
    compressed: Spec,
    settings: dict[str, Any],
    known: Collection[str] = _ALL,
) -> Config:
    """The settings of a call. Raises RequestError for what there is not, or of another type."""
    for name in settings:
        if name not in known:
            raise RequestError(
                f"{function}() has no setting {name!r}",
                hint=did_you_mean(name, known),
                code="unknown-setting",
            )
    for name in ("data", "baseline", "policy"):
        if settings.get(name) is not None:
            settings[name] = fspath(settings[name])
    if settings.get("policy") is not None:
        theirs = read_policy(settings["policy"])
        settings["requirements"] = (*theirs, *settings.get("requirements", ()))
    values = {"original": fspath(original), "compressed": fspath(compressed), **settings}
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise RequestError(str(error), hint="see compaudit.config.Config", code="usage") from error
