"""Parts of the data, tallied apart and merged, against all of it in one."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_outputs import batches, divergence_of, tallied
from numpy.typing import NDArray
from scipy import special, stats

from compaudit.engines.base import Batch
from compaudit.errors import RequestError
from compaudit.measure.outputs import Renaming
from compaudit.measure.recipe import Question, Recipe, Taps
from compaudit.measure.scout import Scout
from compaudit.measure.tally import EvaluationTally
from compaudit.results import ScoreKinds

SAMPLES = 40


def outputs_of(task: str, seed: int = 0, broken: bool = False) -> tuple[Any, Any, Any]:
    """Both models' outputs and the labels, of a task."""
    random = np.random.default_rng(seed)
    shape = {"causal-lm": (SAMPLES, 5, 11), "embedding": (SAMPLES, 16)}.get(task, (SAMPLES, 8))
    a = random.normal(0, 2, shape).astype(np.float32)
    b = (a + random.normal(0, 1, shape)).astype(np.float32)
    if broken:
        b[17, ..., 2] = np.nan
        a[31, ..., 0] = np.inf
    boxes = random.normal(size=(SAMPLES, 2, 3))
    labels: Any = None
    if task == "classification":
        labels = random.integers(0, 8, SAMPLES)
    if task == "regression":
        labels = random.normal(size=shape)
    if task == "causal-lm":
        labels = random.integers(0, 11, shape[:2])
        labels[random.random(shape[:2]) < 0.3] = -100
    return {"y": a, "boxes": boxes}, {"y": b, "boxes": boxes + 0.1}, labels


TASKS = ("classification", "regression", "causal-lm", "embedding")


def question_of(task: Any, **more: Any) -> Question:
    return Question(task=task, output="y", graded=task != "embedding", worst=5, **more)


def figures(tally: EvaluationTally) -> dict[str, Any]:
    """Everything that comes out of a tally."""
    divergence, why = tally.divergence("data")
    accuracy, why_not = tally.accuracy()
    parts = (divergence, why, accuracy, why_not, tally.worst(str), tally.extremes())
    return {str(place): msgspec.to_builtins(part) for place, part in enumerate(parts)}


def check_same(got: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            check_same(got[key], value)
    elif isinstance(expected, list):
        for ours, theirs in zip(got, expected, strict=True):
            check_same(ours, theirs)
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-12)
    else:
        assert got == expected


@st.composite
def merged_shards(draw: st.DrawFn) -> Callable[[Recipe, list[Batch]], EvaluationTally]:
    """A way to cut 40 batches of one sample into shards, and to merge these."""
    edges = draw(st.sets(st.integers(1, SAMPLES - 1), max_size=6))
    order = draw(st.permutations(range(len(edges) + 1)))
    choices = draw(st.lists(st.integers(0, 10), min_size=len(edges), max_size=len(edges)))
    travels = draw(st.booleans())

    def merge(recipe: Recipe, ones: list[Batch]) -> EvaluationTally:
        bounds = [0, *sorted(edges), SAMPLES]
        tallies = []
        for place in order:
            tally = EvaluationTally(recipe)
            for batch in ones[bounds[place] : bounds[place + 1]]:
                tally.update(batch)
            tallies.append(pickle.loads(pickle.dumps(tally)) if travels else tally)
        for choice in choices:
            first = tallies.pop(choice % len(tallies))
            first.merge(tallies.pop(choice % len(tallies)))
            tallies.append(first)
        (whole,) = tallies
        return whole

    return merge


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("task", TASKS)
@given(merge=merged_shards())
@settings(deadline=None, max_examples=8)
def test_merged_shards_are_the_single_run(
    task: str, broken: bool, merge: Callable[[Recipe, list[Batch]], EvaluationTally]
) -> None:
    given_outputs = outputs_of(task, broken=broken)
    whole = tallied(question_of(task), *given_outputs)
    parts = merge(whole.recipe, list(batches(*given_outputs, size=1)))
    assert parts.samples == SAMPLES
    check_same(figures(parts), figures(whole))


@pytest.mark.parametrize("size", [1, 7, 39])
@pytest.mark.parametrize("task", TASKS)
def test_batches_change_nothing(task: str, size: int) -> None:
    given_outputs = outputs_of(task)
    question = question_of(task)
    check_same(
        figures(tallied(question, *given_outputs, size=size)),
        figures(tallied(question, *given_outputs)),
    )


@pytest.mark.parametrize("task", TASKS)
def test_nothing_grows_with_the_samples(task: str) -> None:
    """Beyond what quantiles, neighbours and the worst samples keep of the first thousands."""
    original, compressed, labels = outputs_of(task)
    tally = tallied(question_of(task), original, compressed, labels)

    def see(times: int) -> int:
        for _ in range(times):
            (batch,) = batches(original, compressed, labels)
            tally.update(batch)
        return len(pickle.dumps(tally))

    few = see(400)
    assert see(400) < few * 1.02


def test_custom_metrics_merge() -> None:
    recipe = tallied(Question(), *outputs_of("regression")[:2]).recipe
    scores = np.random.default_rng(0).normal(size=(2, SAMPLES))
    parts = []
    for batch in batches(*outputs_of("regression"), size=10):
        part = EvaluationTally(recipe)
        mine = {"f": scores[0][batch.indices]}, {"f": scores[1][batch.indices]}
        part.update(Batch(batch.indices, None, batch.original, batch.compressed, mine[0], mine[1]))
        parts.append(part)
    for part in parts[1:]:
        parts[0].merge(part)
    accuracy, _ = parts[0].accuracy()
    assert accuracy is not None
    assert accuracy.task == "auto"
    assert accuracy.samples == SAMPLES
    metric = accuracy.custom["f"]
    low, high = stats.t.interval(
        0.95, SAMPLES - 1, np.mean(scores[1] - scores[0]), stats.sem(scores[1] - scores[0])
    )
    assert metric.delta.low == pytest.approx(low)
    assert metric.delta.high == pytest.approx(high)


# ------------------------------------------------------------------------------- where it broke


def test_broken_samples_are_named() -> None:
    tally = tallied(question_of("classification"), *outputs_of("classification", broken=True))
    result, why = divergence_of(tally)
    assert result.outputs["y"].nonfinite_compressed == 1
    assert result.outputs["y"].nonfinite_original == 1
    assert result.outputs["y"].max_abs_error is None
    assert "2 of 320 elements" in why['divergence.outputs["y"].cosine']
    assert "first in sample 17" in why['divergence.outputs["y"].cosine']
    assert result.kl is None
    assert "2 of 40 samples" in why["divergence.kl"]


# --------------------------------------------------------------------------- language models


def test_the_next_token() -> None:
    """By hand: the row at t is about the label at t + 1, the last row about nothing."""
    original, compressed, labels = outputs_of("causal-lm")
    tally = tallied(question_of("causal-lm"), original, compressed, labels)
    result, _ = divergence_of(tally)
    q, p = (special.softmax(one["y"].astype(float), axis=-1) for one in (original, compressed))
    kl, losses, agree, sums = [], [], 0, []
    for sample in range(SAMPLES):
        here = []
        for t in range(4):
            if labels[sample, t + 1] != -100:
                here.append(stats.entropy(q[sample, t], p[sample, t]))
                losses.append(-math.log(q[sample, t, labels[sample, t + 1]]))
                agree += q[sample, t].argmax() == p[sample, t].argmax()
        kl += here
        sums.append((sum(here), len(here)))
    assert result.per == "token"
    assert result.samples == SAMPLES
    assert result.kl is not None
    assert result.kl.mean.value == pytest.approx(np.mean(kl), rel=1e-6)
    # The ratio estimator over sequences (Cochran 1977, 6.4), not n times as many tokens.
    totals, sizes = np.array(sums).T
    residuals = totals - np.mean(kl) * sizes
    error = math.sqrt(SAMPLES / (SAMPLES - 1) * np.sum(residuals**2)) / sizes.sum()
    margin = stats.t.ppf(0.975, SAMPLES - 1) * error
    assert result.kl.mean.low == pytest.approx(np.mean(kl) - margin, rel=1e-6)
    assert result.top1_agreement is not None
    assert result.top1_agreement.value == pytest.approx(agree / len(kl))
    accuracy, _ = tally.accuracy()
    assert accuracy is not None
    assert accuracy.perplexity is not None
    assert accuracy.perplexity.original.value == pytest.approx(math.exp(np.mean(losses)))


def test_without_labels_every_position_counts() -> None:
    original, compressed, _ = outputs_of("causal-lm")
    tally = tallied(Question(task="causal-lm", output="y"), original, compressed)
    result, _ = divergence_of(tally)
    q, p = (special.softmax(one["y"].astype(float), axis=-1) for one in (original, compressed))
    assert result.kl is not None
    assert result.kl.mean.value == pytest.approx(stats.entropy(q, p, axis=-1).mean(), rel=1e-6)
    assert result.scores == ScoreKinds(original="logits", compressed="logits")


def test_sequences_of_different_lengths() -> None:
    original, compressed, labels = outputs_of("causal-lm")
    tally = tallied(question_of("causal-lm"), original, compressed, labels)
    short = ({name: one[:, :3] for name, one in two.items()} for two in (original, compressed))
    (batch,) = batches(*short, labels[:, :3])
    rows = tally.classes.rows if tally.classes else 0
    tally.update(batch)
    assert tally.classes is not None
    assert tally.classes.rows == rows + np.count_nonzero(labels[:, 1:3] != -100)


@pytest.mark.parametrize("labels", [np.zeros(SAMPLES, int), np.zeros((SAMPLES, 6), int)])
def test_labels_that_are_no_tokens(labels: NDArray[Any]) -> None:
    original, compressed, _ = outputs_of("causal-lm")
    with pytest.raises(RequestError, match="labels") as caught:
        tallied(question_of("causal-lm"), original, compressed, labels)
    assert caught.value.code == "labels-do-not-fit"


def test_a_token_that_is_not_in_the_vocabulary() -> None:
    original, compressed, labels = outputs_of("causal-lm")
    labels[3, 3] = 11
    with pytest.raises(RequestError) as caught:
        tallied(question_of("causal-lm"), original, compressed, labels)
    assert caught.value.code == "labels-out-of-range"


def test_a_language_model_without_a_row_for_each_token() -> None:
    a, b, _ = outputs_of("classification")
    result, why = divergence_of(tallied(Question(task="causal-lm"), a["y"], b["y"]))
    assert result.kl is None
    assert "(samples, length, vocabulary)" in why["divergence.kl"]


# -------------------------------------------------------------------- in front of the softmax


def tapped_outputs() -> tuple[dict[str, Any], dict[str, Any], Any, Any]:
    """Softmaxes that underflow, and the logits in front of them."""
    a, b, _ = outputs_of("classification")
    a, b = a["y"] * 100, b["y"] * 100
    q, p = special.softmax(a, axis=1), special.softmax(b, axis=1)
    assert (q == 0).any()
    return {"probs": q, "z": a}, {"probs": p, "z_quantized": b}, a, b


TAPS = Taps(logits={"probs": "z"}), Taps(logits={"probs": "z_quantized"})


def test_scores_are_read_in_front_of_a_softmax() -> None:
    original, compressed, a, b = tapped_outputs()
    result, _ = divergence_of(tallied(Question(taps=TAPS), original, compressed))
    expected, _ = divergence_of(tallied(Question(task="classification"), a, b))
    assert result.kl == expected.kl
    assert result.floored == 0
    assert list(result.outputs) == ["probs"]  # what is tapped is no output
    assert result.scores == ScoreKinds(
        original="logits before the softmax", compressed="logits before the softmax"
    )
    plain = {"probs": original["probs"]}, {"probs": compressed["probs"]}
    without, _ = divergence_of(tallied(Question(), *plain))
    assert without.floored > 0
    assert without.scores == ScoreKinds(original="probabilities", compressed="probabilities")


def test_one_model_alone_has_a_softmax() -> None:
    original, _, a, b = tapped_outputs()
    question = Question(taps=(TAPS[0], Taps()), task="classification")
    result, _ = divergence_of(tallied(question, original, {"probs": b}))
    expected, _ = divergence_of(tallied(Question(task="classification"), a, b))
    assert result.kl == expected.kl
    assert result.scores == ScoreKinds(original="logits before the softmax", compressed="logits")


def test_logits_that_the_model_gives_anyway_are_an_output() -> None:
    original, *_ = tapped_outputs()
    taps = Taps(logits={"probs": "z"}, outputs=("probs", "z"))
    result, _ = divergence_of(tallied(Question(taps=(taps, taps)), original, original))
    assert set(result.outputs) == {"probs", "z"}
    assert result.output == "probs"
    assert result.floored == 0


def test_taps_of_renamed_outputs() -> None:
    original, compressed, a, b = tapped_outputs()
    question = Question(
        taps=TAPS,
        renamings=(Renaming("original", {"scores": "probs"}), Renaming("compressed", {})),
        mapping={"scores": "probs"},
        output="scores",
    )
    result, _ = divergence_of(tallied(question, original, compressed))
    expected, _ = divergence_of(tallied(Question(task="classification"), a, b))
    assert result.kl == expected.kl


# ---------------------------------------------------------------------------- the noise floor


def test_the_original_against_itself() -> None:
    original, compressed, a, _ = tapped_outputs()
    whole = tallied(Question(taps=TAPS), original, compressed)
    floor = EvaluationTally(whole.recipe.of_original_alone())
    again = {"probs": original["probs"], "z": original["z"] + np.float32(1e-3) * a[:, ::-1]}
    for batch in batches(original, again):
        floor.update(batch)
    result, _ = divergence_of(whole, floor)
    expected, _ = divergence_of(tallied(Question(task="classification"), a, again["z"]))
    assert result.kl is not None
    assert expected.kl is not None
    assert result.kl.noise_floor == expected.kl.mean.value


# ---------------------------------------------------------------------------- what is decided


def test_a_recipe_travels() -> None:
    original, compressed, *_ = tapped_outputs()
    recipe = tallied(Question(taps=TAPS), original, compressed).recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe) == recipe


@pytest.mark.parametrize("size", [1, 3, 64, 100])
@pytest.mark.parametrize("likely", ["logits", "probabilities"])
def test_the_first_64_samples_decide(size: int, likely: str) -> None:
    rows = np.random.default_rng(0).normal(0, 3, (100, 6))
    rows = special.softmax(rows, axis=1)
    rows[63 if likely == "logits" else 64] = 3.0
    tally = tallied(Question(task="classification"), rows, rows, size=size)
    assert tally.samples == 100
    assert tally.recipe.scores is not None
    assert tally.recipe.scores.kinds == (likely, likely)


def test_no_more_is_held_back_than_needed() -> None:
    scout = Scout(Question(task="causal-lm"))
    rows = special.softmax(np.random.default_rng(0).normal(size=(9, 100, 7)), axis=-1)
    for place, batch in enumerate(batches(rows, rows, size=1)):
        scout.update(batch)
        assert scout.settled == (place >= 2)  # 256 rows
    assert scout.finish().samples == 9


@pytest.mark.parametrize(
    ("task", "labels", "code"),
    [
        ("classification", np.zeros(SAMPLES, int), "no-class-output"),
        ("causal-lm", np.zeros((SAMPLES, 2), int), "no-token-output"),
        ("regression", np.zeros(SAMPLES), "no-regression-output"),
    ],
)
def test_what_a_task_needs_and_no_single_output_has(
    task: Any, labels: NDArray[Any], code: str
) -> None:
    boxes = np.zeros((SAMPLES, 2, 3, 4))
    outputs = {"boxes": boxes, "masks": boxes}
    with pytest.raises(RequestError) as caught:
        tallied(Question(task=task, graded=True), outputs, outputs, labels)
    assert caught.value.code == code
    assert "--model-output" in caught.value.hint
    assert "'boxes'" in caught.value.hint
    assert "'masks'" in caught.value.hint


def test_outputs_that_can_hold_what_is_missing_are_named() -> None:
    scores = np.eye(3, dtype=np.float32)[np.arange(SAMPLES) % 3]
    outputs = {"boxes": np.zeros((SAMPLES, 2, 3, 4)), "first": scores, "second": scores}
    labels = np.zeros(SAMPLES, int)
    with pytest.raises(RequestError) as caught:
        tallied(Question(task="classification", graded=True), outputs, outputs, labels)
    assert "with --model-output: 'first', 'second'" in caught.value.hint
    _, why = divergence_of(tallied(Question(task="embedding"), outputs, outputs))
    assert why["divergence.embeddings"].endswith("'boxes', 'first', 'second'")
    assert why["divergence.kl"].endswith("'boxes', 'first', 'second'")


def test_vectors_of_other_lengths() -> None:
    a, b, _ = outputs_of("embedding")
    result, why = divergence_of(tallied(Question(task="embedding"), a["y"], b["y"][:, :5]))
    assert result.embeddings is not None
    assert result.outputs["logits"].cosine is None
    assert "different lengths" in why['divergence.outputs["logits"].cosine']
    same, _ = divergence_of(tallied(Question(task="embedding"), a["y"], b["y"]))
    assert same.outputs["logits"].cosine is not None
    several, why = divergence_of(tallied(Question(task="embedding"), a, b))
    assert several.embeddings is None
    assert "--model-output" in why["divergence.embeddings"]
