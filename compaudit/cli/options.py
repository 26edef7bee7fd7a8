"""The options of the commands, once: their help is the reference that the README shows."""

from __future__ import annotations

from typing import Annotated

import typer

from compaudit.cli import config_file

Original = Annotated[str, typer.Argument(metavar="ORIGINAL", help="The model as it was.")]
Compressed = Annotated[
    str, typer.Argument(metavar="COMPRESSED", help="The model that shall replace it.")
]
Models = Annotated[list[str], typer.Argument(metavar="MODEL...", help="Models to read.")]

TimedModels = Annotated[
    list[str],
    typer.Argument(metavar="MODEL...", help="Models to time; the first is the original."),
]

Data = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|MODULE:FUNCTION",
        help="Samples: .npz, .npy, .parquet, .jsonl, a folder of images or of such files, or a "
        "function that yields batches. Without: synthetic inputs.",
    ),
]
Preprocess = Annotated[
    str | None,
    typer.Option(
        metavar="imagenet|FILE.toml", help="How images become arrays: size, crop, mean, layout."
    ),
]
Task = Annotated[
    str,
    typer.Option(metavar="TASK", help="auto, classification, regression, embedding or causal-lm."),
]
Metric = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:FUNCTION", help="A figure of your own, one number a sample. Repeatable."
    ),
]
ModelOutput = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The output that matters."),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=1x3x224x224", help="Shape of an input that leaves it open. Repeatable."
    ),
]
MapInput = Annotated[
    list[str] | None,
    typer.Option(
        metavar="A=B",
        help="What is called A in the data or the original feeds input B. Repeatable.",
    ),
]
MapOutput = Annotated[
    list[str] | None,
    typer.Option(
        metavar="A=B",
        help="The original's output A is compared with the compressed model's B. Repeatable.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(metavar="N", help="Use only N samples."),
]
Seed = Annotated[
    int,
    typer.Option(metavar="N", help="Seed of synthetic inputs and of the order."),
]

Device = Annotated[
    str,
    typer.Option(metavar="DEVICE", help="cpu, cuda[:N], mps, or an execution provider."),
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Threads of each model. Default: 1 below 4 cores, else cores − 1."
    ),
]
ThreadList = Annotated[
    str | None,
    typer.Option(
        "--threads",
        metavar="N,N…",
        help="Numbers of threads. Default: 1 below 4 cores, else cores − 1.",
    ),
]
BatchSizeList = Annotated[
    str, typer.Option("--batch-size", metavar="N,N…", help="Numbers of samples at once.")
]
DeviceList = Annotated[
    str,
    typer.Option(
        "--device", metavar="DEVICE,…", help="cpu, cuda[:N], mps, or execution providers."
    ),
]
SettingBudget = Annotated[
    str, typer.Option("--time-budget", metavar="TIME", help="Time for each setting.")
]
Compile = Annotated[
    bool,
    typer.Option("--compile", help="Run PyTorch models through torch.compile."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Samples at once. Default: 1 when timing, 64 when comparing outputs."
    ),
]
ProviderOption = Annotated[
    list[str] | None,
    typer.Option(metavar="K=V", help="Option of the execution provider."),
]
SessionOption = Annotated[
    list[str] | None,
    typer.Option(metavar="K=V", help="ONNX Runtime session option."),
]
CustomOpLibrary = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="Library of custom operators; needs --trust-model-code."),
]

Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LIST",
        help="Measure only these, comma-separated: "
        "size, macs, layers, latency, memory, divergence, accuracy.",
    ),
]
Skip = Annotated[
    list[str] | None,
    typer.Option(metavar="LIST", help="Measure all but these."),
]
TimeBudget = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Time for timing. Default: 30s, up to 120s for slow models."),
]
Resolution = Annotated[
    str,
    typer.Option(metavar="SHARE", help="Half-width of δ's interval to aim at."),
]
Confidence = Annotated[
    str,
    typer.Option(metavar="SHARE", help="Confidence of intervals."),
]

Require = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REQUIREMENT",
        help='Such as "delta >= 1.2", "delta >= baseline - 10 %" or "warn: alpha.macs >= 2"; any '
        "value of the JSON report. Repeatable; adds to those of files.",
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(metavar="FILE.toml", help="Requirements from a file."),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="REPORT.json",
        help="An earlier report: no worse than it, or as the requirements say that name it.",
    ),
]
NoConfig = Annotated[
    bool,
    typer.Option(
        "--no-config",
        is_eager=True,
        callback=config_file.no_config,
        help="Read no settings from files.",
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=config_file.settings_of_audits,
        help="Settings. Default: compaudit.toml, or [tool.compaudit] in pyproject.toml, here or in "
        "a folder above.",
    ),
]
ConfigFileAgain = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=config_file.judging_settings,
        help="Where requirements, policy, baseline and inconclusive come from. Default: as for "
        "compare.",
    ),
]
RequireAgain = Annotated[
    list[str] | None,
    typer.Option(
        "--require",
        metavar="REQUIREMENT",
        help="Instead of the requirements of the audit, with those of files. Repeatable.",
    ),
]
Accept = Annotated[
    bool,
    typer.Option(
        "--accept",
        help="Write the report to the file of --baseline, as the new baseline, if its verdict is "
        "good.",
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="With --accept: whatever the verdict is."),
]
Inconclusive = Annotated[
    str,
    typer.Option(
        metavar="fail|warn|pass", help="What an undecided requirement means for the exit code."
    ),
]

SavedReport = Annotated[
    str,
    typer.Argument(
        metavar="REPORT.json", help="What compare -o REPORT.json wrote; - reads standard input."
    ),
]
AuditToStartFrom = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="REPORT.json | ORIGINAL COMPRESSED",
        help="A saved report, or the two models to audit. Without: a template.",
    ),
]
ConfigToWrite = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FILE.toml", help="The file to write."),
]
Overwrite = Annotated[
    bool,
    typer.Option("--force", help="Write it also where it exists."),
]
InconclusiveAgain = Annotated[
    str | None,
    typer.Option(
        "--inconclusive",
        metavar="fail|warn|pass",
        help="What an undecided requirement means for the exit code. Default: as in the audit for "
        "its own requirements, else fail.",
    ),
]
ConfidenceAgain = Annotated[
    str | None,
    typer.Option(
        "--confidence",
        metavar="SHARE",
        help="Confidence of δ and the latencies. Default: the audit's; another takes its --raw "
        "blocks.",
    ),
]
ResolutionAgain = Annotated[
    str | None,
    typer.Option(
        "--resolution",
        metavar="SHARE",
        help="Half-width of δ's interval that was aimed at. Default: the audit's; likewise.",
    ),
]

Layers = Annotated[
    bool,
    typer.Option("--layers", help="Show every layer."),
]
Tensors = Annotated[
    bool,
    typer.Option("--tensors", help="Show every stored tensor."),
]
Sort = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Order of layers and tensors: name, bytes, parameters, macs, sparsity or bits. "
        "Default: as in the file, and by bytes with --top.",
    ),
]
Top = Annotated[
    int | None,
    typer.Option(metavar="N", help="Show N of them, and the rest summed up."),
]

Format = Annotated[
    str,
    typer.Option(
        "--format", metavar="table|json|markdown|github|junit|html|latex", help="Report on stdout."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Output = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Also write a report: .txt, .json, .md, .html, .tex, .xml (JUnit), or .csv of a "
        "ranking says its format. Repeatable.",
    ),
]
Raw = Annotated[
    bool,
    typer.Option("--raw", help="Keep every timed call in the JSON."),
]
Profile = Annotated[
    bool,
    typer.Option("--profile", help="Also show where the time goes, from a run of its own."),
]
Trace = Annotated[
    bool,
    typer.Option("--trace", help="Also show where in the network the outputs begin to differ."),
]
Worst = Annotated[
    int,
    typer.Option(metavar="N", help="List so many of the samples that suffered most."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Nothing on stderr but errors."),
]
NoProgress = Annotated[
    bool,
    typer.Option("--no-progress", help="No progress line on stderr."),
]

TrustModelCode = Annotated[
    bool,
    typer.Option(
        "--trust-model-code",
        help="Let model files run code of their own (.pt2, TorchScript, pickled modules).",
    ),
]
Timeout = Annotated[
    str,
    typer.Option(metavar="TIME", help="The longest that one stage may take."),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="The most memory of a worker. Default: 75 % of the machine's, or of the cgroup's.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Evaluate the data in so many pairs of processes at once. Default: 1; with --engine "
        "ray, all there is room for.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="local|ray", help="Where the data is evaluated. Times are always taken here."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="A Ray cluster that runs. Without: one is started here."
    ),
]
NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Neither use nor keep outputs of the original."),
]
NoLock = Annotated[
    bool,
    typer.Option("--no-lock", help="Time even while another audit on this machine does."),
]
Candidates = Annotated[
    list[str],
    typer.Argument(
        metavar="CANDIDATE...",
        help="The models that may replace it: paths, quoted patterns, a folder, or a .toml list.",
    ),
]
Best = Annotated[
    str | None,
    typer.Option(
        metavar="max|min VALUE",
        help='Print the path of the candidate with the best value, such as "max delta", of those '
        "that fulfil every requirement.",
    ),
]
RankColumns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="LIST",
        help="Columns of the table, comma-separated: top1, top5, metric, delta, interval, "
        "alpha.parameters, alpha.weight_bytes, alpha.file_bytes, compression (as published), beta, "
        "macs, kl, agreement, latency, parameters, weight_bytes, file_bytes, findings, front, "
        "verdict.",
    ),
]
RankSort = Annotated[
    str | None,
    typer.Option(
        "--sort", metavar="COLUMN", help="Order of the candidates, the best first; or model."
    ),
]
RankFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="table|json|markdown|github|junit|html|latex|csv",
        help="Report on stdout. Default: table; with --best, the path alone.",
    ),
]
Survey = Annotated[
    bool,
    typer.Option(
        "--survey",
        help="The table of Cheng et al. 2017: model, top-5 accuracy, speed-up, compression rate.",
    ),
]
PublishedRows = Annotated[
    list[str] | None,
    typer.Option(
        "--published",
        metavar="FILE.csv",
        help="Rows of a paper, shown beside and marked as not measured here. Repeatable.",
    ),
]
RankTimeBudget = Annotated[
    str | None,
    typer.Option(
        "--time-budget",
        metavar="TIME",
        help="Time for timing them all. Default: 30s, and 6s for each candidate after the first; "
        "up to four times that for slow models.",
    ),
]
Noise = Annotated[
    bool,
    typer.Option(
        "--noise", help="Time a model against itself: what difference does this machine resolve?"
    ),
]
NoiseBudget = Annotated[
    str,
    typer.Option("--time-budget", metavar="TIME", help="Time for --noise."),
]
