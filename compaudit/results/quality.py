"""What the outputs of two models say: accuracy, divergence, samples, intermediate outputs."""

from __future__ import annotations

from typing import Literal

import msgspec

from compaudit.results.model import Estimate

__all__ = [
    "Accuracy",
    "ClassAccuracy",
    "Distribution",
    "Divergence",
    "Embeddings",
    "EntropyPair",
    "Equivalence",
    "Flips",
    "Histogram",
    "LanguageModel",
    "OutputError",
    "PairedDelta",
    "PairedMetric",
    "ProbabilityChange",
    "ScoreKinds",
    "TracedOutput",
    "WorstSample",
]


class PairedDelta(Estimate, frozen=True, kw_only=True):
    """Compressed minus original on the same samples, and the p-value of "no difference".

    `worst_case` bounds the change to the worse from one side, with the confidence of the intervals:
    "no more than so much is lost".
    """

    p_value: float | None
    worst_case: float | None


class PairedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of both models on the same samples."""

    original: Estimate
    compressed: Estimate
    delta: PairedDelta


class Flips(msgspec.Struct, frozen=True, kw_only=True):
    """Samples whose correctness changed: `broken` was right and is wrong, `fixed` the reverse."""

    broken: int
    fixed: int


class ClassAccuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy within one class; the p-value of "no difference" is corrected for all classes."""

    label: int
    name: str | None
    samples: int
    original: float
    compressed: float
    delta: float
    p_value: float


class Equivalence(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the compressed model is no worse than the original by more than a margin.

    `samples` is about how many it would take to decide, if the change stays what it is; null where
    it is decided, or no number would do.
    """

    metric: str
    margin: float
    status: Literal["no_worse", "worse", "undecided"]
    samples: int | None


class ProbabilityChange(msgspec.Struct, frozen=True, kw_only=True):
    """How the probability of the right token changed, compressed minus original."""

    mean: Estimate
    rms: Estimate
    p1: float
    p5: float
    p50: float
    p95: float
    p99: float
    min: float
    max: float


class LanguageModel(msgspec.Struct, frozen=True, kw_only=True):
    """What only a language model has: figures over predicted tokens, in blocks of sequences.

    `perplexity_ratio` is compressed / original, `correlation` that of both models' log-likelihoods
    of the right token.
    """

    sequences: int
    tokens: int
    perplexity_ratio: Estimate
    log_perplexity_ratio: Estimate
    correlation: float | None
    probability_change: ProbabilityChange


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """How well both models do the labelled task."""

    task: str
    samples: int
    skipped_samples: int
    top1: PairedMetric | None
    top5: PairedMetric | None
    cross_entropy: PairedMetric | None
    calibration_error: PairedMetric | None
    mse: PairedMetric | None
    mae: PairedMetric | None
    r2: PairedMetric | None
    perplexity: PairedMetric | None
    custom: dict[str, PairedMetric]
    language: LanguageModel | None
    equivalence: Equivalence | None
    flips: Flips | None
    per_class: list[ClassAccuracy]


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """How many values lie in each bin.

    Bin i holds those larger than `edges[i]` and not larger than `edges[i + 1]`; bins are equally
    wide on a logarithmic scale. `zeros` lie below all of them: zero, or too small for a logarithm.
    """

    edges: list[float]
    counts: list[int]
    zeros: int


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """A divergence over the samples, in nats.

    `histogram` is null in reports that were written before there was one.
    """

    mean: Estimate
    p50: float
    p90: float
    p99: float
    p999: float
    max: float
    noise_floor: float | None
    histogram: Histogram | None


class EntropyPair(msgspec.Struct, frozen=True, kw_only=True):
    """Mean entropy of the two output distributions, in nats."""

    original: float
    compressed: float


class OutputError(msgspec.Struct, frozen=True, kw_only=True):
    """Numerical difference of one output, compressed against original."""

    max_abs_error: float | None
    mean_abs_error: float | None
    sqnr_db: float | None
    cosine: float | None
    nonfinite_original: int
    nonfinite_compressed: int


class ScoreKinds(msgspec.Struct, frozen=True, kw_only=True):
    """What the class scores of each model were read as; the last is taken from inside the graph."""

    original: Literal["logits", "probabilities", "logits before the softmax"]
    compressed: Literal["logits", "probabilities", "logits before the softmax"]


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """How alike the vectors of both models are.

    `cosine` is of the two vectors of a sample; its figures are null where the models give vectors
    of different lengths. `neighbour_overlap` is the share of a sample's `k` nearest neighbours
    among `compared` samples, by the original's cosine, that the compressed model names too: each
    model ranks its own vectors.
    """

    cosine: Estimate | None
    cosine_min: float | None
    cosine_p1: float | None
    cosine_p10: float | None
    cosine_p50: float | None
    neighbour_overlap: Estimate | None
    k: int
    compared: int


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """How far the outputs of the two models are apart on the same inputs.

    `per` says what one value of the divergences belongs to; tokens of a sequence are not
    independent, so their intervals go by sequences.
    """

    samples: int
    source: Literal["data", "synthetic"]
    output: str | None
    per: Literal["sample", "token"]
    scores: ScoreKinds | None
    kl: Distribution | None
    kl_reverse: Distribution | None
    js: Distribution | None
    cross_entropy: Estimate | None
    entropy: EntropyPair | None
    top1_agreement: Estimate | None
    top5_agreement: Estimate | None
    floored: int
    embeddings: Embeddings | None
    outputs: dict[str, OutputError]


class WorstSample(msgspec.Struct, frozen=True, kw_only=True):
    """A sample that suffered: `why` it is listed, and what both models made of it.

    `name` is the sample's in the data (a file name), else its `index` as text. `score` is the
    figure it is ranked by, of the unit that `why` says: the rise of its cross-entropy, its KL
    divergence, its absolute error. `image` is what the models were shown: a PNG of at most 96
    pixels a side, in base64; null where the inputs are no images, and for all but the first ten.
    """

    index: int
    name: str
    why: Literal["broken", "loss", "kl", "error"]
    score: float
    label: int | None
    original: int | None
    compressed: int | None
    image: str | None


class TracedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One intermediate output of both models on the same inputs, in the order of execution.

    `sqnr_db` is null where the two are identical, and where there is no signal or no number;
    `identical` tells the first apart.
    """

    name: str
    op: str
    compressed_name: str
    matched_by: Literal["name", "layer"]
    samples: int
    elements: int
    sqnr_db: float | None
    cosine: float | None
    max_abs_error: float | None
    identical: bool
    nonfinite_original: int
    nonfinite_compressed: int
