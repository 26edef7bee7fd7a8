import math
import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from compaudit.engines.base import Batch
from compaudit.errors import RequestError
from compaudit.measure.accuracy.base import Subject
from compaudit.measure.accuracy.language import LanguageMeter
from compaudit.measure.outputs import OutputPair
from compaudit.measure.recipe import ScoreSource
from compaudit.measure.rows import scored_tokens
from compaudit.measure.scored import ModelRows, Scored
from compaudit.results import Accuracy, Estimate, LanguageModel, PairedMetric
from compaudit.theory.statistics import newcombe_paired_difference

TOKENS = 50
IGNORED = -100
SUBJECT = Subject(output=OutputPair("logits", "logits"))

Array = NDArray[Any]


# ------------------------------------------------------------------------------- a language model


class TextModels:
    """A small causal language model, a coarsely rounded copy, and sequences that it wrote."""

    def __init__(self, sequences: int, length: int, seed: int = 0) -> None:
        import torch

        class Network(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = torch.nn.Embedding(TOKENS, 32)
                self.recurrent = torch.nn.GRU(32, 48, num_layers=2, batch_first=True)
                self.head = torch.nn.Linear(48, TOKENS)

            def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
                hidden, _ = self.recurrent(self.embedding(input_ids))
                scores: torch.Tensor = self.head(4 * hidden)
                return scores

        torch.manual_seed(seed)
        original, compressed = Network().eval(), Network().eval()
        with torch.no_grad():
            for mine, rounded in zip(original.parameters(), compressed.parameters(), strict=True):
                step = mine.abs().max() / 7  # four bits
                rounded.copy_((mine / step).round() * step)
            tokens = torch.randint(0, TOKENS, (sequences, 1))
            for _ in range(length - 1):
                chances = original(tokens)[:, -1].softmax(-1)
                tokens = torch.cat([tokens, torch.multinomial(chances, 1)], dim=1)
            self.original = original(tokens).numpy()
            self.compressed = compressed(tokens).numpy()
        # Sequences of many lengths, and a prompt that is not to be predicted, as -100 says.
        lengths = torch.randint(length // 3, length + 1, (sequences, 1))
        places = torch.arange(length)
        ignored = (places >= lengths) | (places < 3)
        self.labels = torch.where(ignored, torch.tensor(IGNORED), tokens).numpy()


@pytest.fixture(scope="module")
def text() -> TextModels:
    return TextModels(40, 30)


def scored(original: Array, compressed: Array, labels: Array, indices: Array) -> Scored:
    """What both models' logits say of the next tokens, in the plainest way there is."""
    following = labels[:, 1:]
    counted = following != IGNORED
    right = following[counted]
    both = [logits[:, :-1][counted].astype(np.float64) for logits in (original, compressed)]
    nothing = np.full(len(right), np.nan)  # divergences are not what is tested here
    return Scored(
        samples=np.broadcast_to(indices[:, None], following.shape)[counted],
        per="token",
        labels=right,
        classes=original.shape[-1],
        kl=nothing,
        kl_reverse=nothing,
        js=nothing,
        cross_entropy=nothing,
        same_top5=np.ones(len(right), bool),
        original=rows_of(both[0], right),
        compressed=rows_of(both[1], right),
        floored=0,
    )


def rows_of(logits: Array, right: Array) -> ModelRows:
    usable = np.asarray(np.isfinite(logits).all(axis=-1))
    log = special.log_softmax(np.where(usable[:, None], logits, 0.0), axis=-1)
    mine = np.take_along_axis(logits, right[:, None], axis=-1)
    return ModelRows(
        usable=usable,
        predicted=np.where(usable, logits.argmax(axis=-1), -1),
        confidence=np.exp(log.max(axis=-1)),
        entropy=-(np.exp(log) * log).sum(axis=-1),
        loss=np.where(usable, -np.take_along_axis(log, right[:, None], axis=-1)[:, 0], np.nan),
        in_top5=usable & ((logits > mine).sum(axis=-1) < 5),
    )


def fed(
    meter: LanguageMeter, original: Array, compressed: Array, labels: Array, start: int = 0
) -> LanguageMeter:
    indices = np.arange(start, start + len(labels))
    batch = Batch(indices, labels, {"logits": original}, {"logits": compressed})
    meter.update(batch, scored(original, compressed, labels, indices))
    return meter


def measured(
    original: Array, compressed: Array, labels: Array, confidence: float = 0.95
) -> tuple[Accuracy, dict[str, str]]:
    subject = Subject(output=SUBJECT.output, confidence=confidence)
    meter = fed(LanguageMeter(subject), original, compressed, labels)
    result, skipped = meter.result()
    assert meter.result()[0] == result  # asking does not change the answer
    return result, {entry.metric: entry.reason for entry in skipped}


def losses(text: TextModels, logits: Array) -> Array:
    """Cross-entropy as training code computes it: shifted by one, -100 left out."""
    import torch

    flat = torch.from_numpy(logits[:, :-1]).double().flatten(0, 1)
    right = torch.from_numpy(text.labels[:, 1:]).flatten()
    loss = torch.nn.functional.cross_entropy(flat, right, ignore_index=IGNORED, reduction="none")
    kept: Array = loss[right != IGNORED].numpy()
    return kept


def owners(labels: Array) -> Array:
    return np.nonzero(labels[:, 1:] != IGNORED)[0]


def clustered(values: Array, groups: Array) -> Array:
    fit = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    figures: Array = np.r_[fit.params, fit.conf_int(0.05)[0]]
    return figures


def numbers(estimate: Estimate) -> list[float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return [estimate.value, estimate.low, estimate.high]


def present(result: Accuracy) -> tuple[PairedMetric, PairedMetric, PairedMetric, LanguageModel]:
    assert result.top1 is not None
    assert result.cross_entropy is not None
    assert result.perplexity is not None
    assert result.language is not None
    return result.top1, result.cross_entropy, result.perplexity, result.language


# ---------------------------------------------------------------------------------------- figures


def test_perplexity_is_torchs(text: TextModels) -> None:
    import torch

    result, skipped = measured(text.original, text.compressed, text.labels)
    _, cross_entropy, perplexity, language = present(result)
    assert skipped == {}
    assert result.task == "causal-lm"
    assert result.samples == language.sequences == 40
    assert language.tokens == np.count_nonzero(text.labels[:, 1:] != IGNORED)
    expected = []
    for logits in (text.original, text.compressed):
        # as Hugging Face's models return it for labels=
        expected.append(
            torch.nn.functional.cross_entropy(
                torch.from_numpy(logits)[:, :-1].reshape(-1, TOKENS).double(),
                torch.from_numpy(text.labels)[:, 1:].reshape(-1),
                ignore_index=-100,
            ).item()
        )
    assert 1.5 < expected[0] < expected[1] < math.log(TOKENS) + 1  # it learnt, the copy lost
    assert cross_entropy.original.value == pytest.approx(expected[0], rel=1e-12)
    assert cross_entropy.compressed.value == pytest.approx(expected[1], rel=1e-12)
    assert perplexity.original.value == pytest.approx(math.exp(expected[0]), rel=1e-12)
    assert perplexity.compressed.value == pytest.approx(math.exp(expected[1]), rel=1e-12)
    change = math.exp(expected[1]) - math.exp(expected[0])
    assert perplexity.delta.value == pytest.approx(change, rel=1e-10)


def test_the_rows_of_a_pass_say_the_same(text: TextModels) -> None:
    """What a tally makes of float32 logits and of labels with -100, against the plain way above."""
    outputs = {"logits": text.original}, {"logits": text.compressed}
    batch = Batch(np.arange(40), text.labels, *outputs)
    source = ScoreSource(pair=SUBJECT.output, kinds=("logits", "logits"), tapped=(False, False))
    meter = LanguageMeter(SUBJECT)
    meter.update(batch, scored_tokens(source, batch, ({}, {}), graded=True))
    plain = fed(LanguageMeter(SUBJECT), text.original, text.compressed, text.labels)
    assert_alike(document(meter), document(plain))


def test_intervals_go_by_sequences(text: TextModels) -> None:
    result, _ = measured(text.original, text.compressed, text.labels)
    top1, cross_entropy, perplexity, language = present(result)
    groups = owners(text.labels)
    x, y = losses(text, text.original), losses(text, text.compressed)
    assert numbers(cross_entropy.original) == pytest.approx(clustered(x, groups), rel=1e-8)
    assert numbers(cross_entropy.delta) == pytest.approx(clustered(y - x, groups), rel=1e-8)
    assert numbers(language.log_perplexity_ratio) == numbers(cross_entropy.delta)
    exponentials = np.exp(clustered(y - x, groups))
    assert numbers(language.perplexity_ratio) == pytest.approx(exponentials, rel=1e-8)
    assert numbers(perplexity.original) == pytest.approx(np.exp(clustered(x, groups)), rel=1e-8)
    # The delta method: what each token adds to exp(mean y) − exp(mean x).
    adds = np.exp(y.mean()) * (y - y.mean()) - np.exp(x.mean()) * (x - x.mean())
    half = clustered(adds, groups)[2]
    value = np.exp(y.mean()) - np.exp(x.mean())
    assert numbers(perplexity.delta) == pytest.approx([value, value - half, value + half], rel=1e-8)
    fit = sm.OLS(y - x, np.ones(len(x))).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    assert cross_entropy.delta.p_value == pytest.approx(float(fit.pvalues[0]), rel=1e-6, abs=1e-12)
    assert perplexity.delta.p_value == cross_entropy.delta.p_value
    assert top1.delta.p_value is not None


def test_next_token_accuracy_and_flips(text: TextModels) -> None:
    result, _ = measured(text.original, text.compressed, text.labels)
    top1 = present(result)[0]
    following = text.labels[:, 1:]
    counted = following != IGNORED
    hits = [
        logits[:, :-1].argmax(axis=-1)[counted] == following[counted]
        for logits in (text.original, text.compressed)
    ]
    among = [
        (np.argsort(-logits[:, :-1], axis=-1)[..., :5] == following[..., None]).any(-1)[counted]
        for logits in (text.original, text.compressed)
    ]
    assert top1.original.value == pytest.approx(hits[0].mean(), rel=1e-12)
    assert top1.compressed.value == pytest.approx(hits[1].mean(), rel=1e-12)
    assert top1.delta.value == pytest.approx(hits[1].mean() - hits[0].mean(), rel=1e-10)
    assert result.top5 is not None
    assert result.top5.original.value == pytest.approx(among[0].mean(), rel=1e-12)
    assert result.top5.compressed.value == pytest.approx(among[1].mean(), rel=1e-12)
    assert result.flips is not None
    assert result.flips.broken == np.count_nonzero(hits[0] & ~hits[1])
    assert result.flips.fixed == np.count_nonzero(~hits[0] & hits[1])
    change = clustered(hits[1] * 1.0 - hits[0], owners(text.labels))
    value, low, high = numbers(top1.delta)
    assert value == pytest.approx(change[0], abs=1e-12)
    assert low <= change[1] + 1e-12  # never surer than sequences make it, nor than tokens
    assert high >= change[2] - 1e-12


def test_what_llama_perplexity_prints(text: TextModels) -> None:
    """The formulas of llama.cpp's tools/perplexity, over the same tokens."""
    language = present(measured(text.original, text.compressed, text.labels)[0])[3]
    base, q = losses(text, text.original), losses(text, text.compressed)
    n = len(base)
    assert n < 10_000  # quantiles are exact so far
    covariance = (np.sum(q * base) / n - q.mean() * base.mean()) / (n - 1)
    spread = [np.sqrt((np.sum(v * v) / n - v.mean() ** 2) / (n - 1)) for v in (q, base)]
    assert language.correlation == pytest.approx(covariance / spread[0] / spread[1], rel=1e-10)
    assert language.log_perplexity_ratio.value == pytest.approx(q.mean() - base.mean(), rel=1e-10)
    change = np.exp(-q) - np.exp(-base)
    ours = language.probability_change
    assert ours.mean.value == pytest.approx(change.mean(), rel=1e-10)
    assert ours.rms.value == pytest.approx(np.sqrt(np.mean(change**2)), rel=1e-10)
    for share, quantile in (
        (1, ours.p1),
        (5, ours.p5),
        (50, ours.p50),
        (95, ours.p95),
        (99, ours.p99),
    ):
        assert quantile == pytest.approx(np.percentile(change, share), abs=1e-12)
    assert ours.min == pytest.approx(change.min(), rel=1e-12)
    assert ours.max == pytest.approx(change.max(), rel=1e-12)
    squares = clustered(change**2, owners(text.labels))
    assert numbers(ours.rms) == pytest.approx(np.sqrt(squares), rel=1e-6)
    assert numbers(ours.mean) == pytest.approx(clustered(change, owners(text.labels)), rel=1e-6)


def test_the_worst_case_is_a_limit_from_one_side(text: TextModels) -> None:
    """One-sided 95 % is the limit of the two-sided 90 % interval, on the side of "worse"."""
    result, narrow = (
        measured(text.original, text.compressed, text.labels, confidence)[0]
        for confidence in (0.95, 0.9)
    )
    assert present(result)[0].delta.worst_case == pytest.approx(present(narrow)[0].delta.low)
    assert present(result)[1].delta.worst_case == pytest.approx(present(narrow)[1].delta.high)
    assert present(result)[2].delta.worst_case == pytest.approx(present(narrow)[2].delta.high)


def test_a_model_against_itself(text: TextModels) -> None:
    result, skipped = measured(text.original, text.original, text.labels)
    top1, cross_entropy, perplexity, language = present(result)
    assert skipped == {}
    assert numbers(language.perplexity_ratio) == [1.0, 1.0, 1.0]
    assert numbers(perplexity.delta) == [0.0, 0.0, 0.0]
    assert cross_entropy.delta.p_value == 1.0
    assert language.correlation == 1.0
    assert language.probability_change.max == language.probability_change.min == 0.0
    assert result.flips is not None
    assert (result.flips.broken, result.flips.fixed) == (0, 0)
    # No flip among so many tokens is much, but not certainty.
    hits, tokens = round(top1.original.value * language.tokens), language.tokens
    newcombe = newcombe_paired_difference(hits, 0, 0, tokens - hits)
    assert numbers(top1.delta) == [newcombe.value, newcombe.low, newcombe.high]


# ------------------------------------------------------------------------------------ merging


def assert_alike(left: Any, right: Any) -> None:
    """Two documents that hold the same, up to rounding."""
    if isinstance(left, float):
        assert left == pytest.approx(right, rel=1e-9, abs=1e-12)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_alike(left[key], right[key])
    else:
        assert left == right


def document(meter: LanguageMeter) -> Any:
    import msgspec

    return msgspec.to_builtins(meter.result()[0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 39), max_size=6), st.randoms(use_true_random=False), st.booleans())
def test_any_split_in_any_order(
    text: TextModels, cuts: Sequence[int], random: Any, through_pickle: bool
) -> None:
    whole = document(fed(LanguageMeter(SUBJECT), text.original, text.compressed, text.labels))
    edges = [0, *sorted(set(cuts)), 40]
    spans = list(pairwise(edges))
    random.shuffle(spans)
    meters = [LanguageMeter(SUBJECT)]
    for start, stop in spans:
        if random.random() < 0.5:
            meters.append(LanguageMeter(SUBJECT))
        part = slice(start, stop)
        fed(meters[-1], text.original[part], text.compressed[part], text.labels[part], start)
    if through_pickle:
        meters = [pickle.loads(pickle.dumps(meter)) for meter in meters]
    random.shuffle(meters)
    for other in meters[1:]:
        meters[0].merge(other)
    assert_alike(document(meters[0]), whole)


# ------------------------------------------------------------------------------- what is missing


def test_a_single_sequence_has_values_and_no_interval(text: TextModels) -> None:
    result, skipped = measured(text.original[:1], text.compressed[:1], text.labels[:1])
    top1, cross_entropy, perplexity, language = present(result)
    assert skipped == {
        f"accuracy.{figure}.delta.low": "one sequence does not show how much sequences differ"
        for figure in ("top1", "cross_entropy", "perplexity")
    }
    for estimate in (
        *(top1.original, top1.delta, cross_entropy.compressed, cross_entropy.delta),
        *(perplexity.original, perplexity.delta, language.perplexity_ratio),
        *(language.probability_change.mean, language.probability_change.rms),
    ):
        assert math.isfinite(estimate.value)
        assert (estimate.low, estimate.high) == (None, None)
    for metric in (top1, cross_entropy, perplexity):
        assert metric.delta.p_value is None
        assert metric.delta.worst_case is None


def test_nan_is_counted_and_no_average_hides_it(text: TextModels) -> None:
    broken = text.compressed.copy()
    broken[2, 5] = np.nan  # predicts token 6, and the labels count it
    assert text.labels[2, 6] != IGNORED
    result, skipped = measured(text.original, broken, text.labels)
    assert result.cross_entropy is None
    assert result.perplexity is None
    assert result.language is None
    for figure in ("cross_entropy", "perplexity", "language"):
        assert f"1 of {len(owners(text.labels))} tokens" in skipped[f"accuracy.{figure}"]
    assert result.top1 is not None  # where there is no number, the token is not the right one
    clean = measured(text.original, text.compressed, text.labels)[0].top1
    assert clean is not None
    assert result.top1.compressed.value <= clean.compressed.value
    assert result.top1.original == clean.original


def test_nan_in_another_part_is_seen_after_merging(text: TextModels) -> None:
    broken = text.original.copy()
    broken[0, 4, 7] = np.inf
    meter = fed(
        LanguageMeter(SUBJECT), text.original[20:], text.compressed[20:], text.labels[20:], 20
    )
    meter.merge(fed(LanguageMeter(SUBJECT), broken[:20], text.compressed[:20], text.labels[:20]))
    result, skipped = meter.result()
    assert result.perplexity is None
    assert "accuracy.perplexity" in {entry.metric for entry in skipped}


def test_few_tokens_to_choose_from_have_no_top5() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 8, 5))
    labels = random.integers(0, 5, (3, 8))
    result, skipped = measured(logits, logits + 0.1, labels)
    assert result.top5 is None
    assert skipped == {"accuracy.top5": "there are only 5 classes"}


def test_sequences_without_anything_to_predict_are_no_evidence(text: TextModels) -> None:
    nothing = np.full_like(text.labels, IGNORED)
    result, skipped = measured(text.original, text.compressed, nothing)
    assert result.samples == 40
    assert result.top1 is result.top5 is result.cross_entropy is result.perplexity is None
    assert result.language is None
    assert result.flips is None
    assert set(skipped) == {
        f"accuracy.{figure}"
        for figure in ("top1", "top5", "cross_entropy", "perplexity", "language")
    }


def test_sequences_without_anything_to_predict_are_no_blocks(text: TextModels) -> None:
    labels = text.labels.copy()
    labels[10:] = IGNORED
    result, _ = measured(text.original, text.compressed, labels)
    few, _ = measured(text.original[:10], text.compressed[:10], labels[:10])
    assert result.samples == 40
    assert present(result)[3] == present(few)[3]
    assert present(result)[3].sequences == 10


def test_perplexities_that_no_float_holds() -> None:
    logits = np.zeros((2, 3, 6))
    logits[..., 0] = 2000.0
    labels = np.ones((2, 3), int)  # a loss of 2000 nats a token
    result, skipped = measured(np.zeros((2, 3, 6)), logits, labels)
    assert result.perplexity is None
    assert result.language is None
    assert result.cross_entropy is not None
    assert result.cross_entropy.compressed.value == pytest.approx(2000)
    assert set(skipped) == {"accuracy.perplexity", "accuracy.language"}


def test_losses_that_never_change_have_no_correlation() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 6, (4, 9))
    result, skipped = measured(random.normal(size=(4, 9, 6)), np.zeros((4, 9, 6)), labels)
    assert present(result)[3].correlation is None
    assert set(skipped) == {"accuracy.language.correlation"}


def test_tokens_that_the_models_do_not_have_are_refused(text: TextModels) -> None:
    indices = np.arange(40)
    rows = scored(text.original, text.compressed, text.labels, indices)
    assert rows.labels is not None
    rows.labels[3] = TOKENS
    with pytest.raises(RequestError, match="50 classes") as caught:
        LanguageMeter(SUBJECT).update(Batch(indices, text.labels, {}, {}), rows)
    assert caught.value.code == "labels-out-of-range"


def test_models_without_token_scores_are_refused() -> None:
    batch = Batch(np.arange(2), np.zeros((2, 3), int), {}, {})
    with pytest.raises(RequestError, match="next token") as caught:
        LanguageMeter(SUBJECT).update(batch, None)
    assert caught.value.code == "no-token-output"
    assert "--model-output" in caught.value.hint
