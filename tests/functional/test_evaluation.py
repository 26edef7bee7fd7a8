"""One audit, evaluated in every way there is: its figures are the same, however it was run."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import scipy.special

from compaudit.audit import compare
from compaudit.config import Config
from compaudit.engines.sources import Live
from compaudit.execution.crew import Crew

MODELS = Path(__file__).parents[2] / "sample_models"
SAMPLES = 150
BATCHES = 3  # of 64


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, what: str, share: float | None = None) -> None:
        """Not looked at."""

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many batches each model ran."""
    counted: Counter[str] = Counter()
    genuine = Live.begin

    def begin(self: Live, start: int, stop: int, at_once: int) -> Any:
        counted[Path(self._worker.model).stem] += 1
        return genuine(self, start, stop, at_once)

    monkeypatch.setattr(Live, "begin", begin)
    return counted


def figures(asked: Counter[str], **changes: Any) -> tuple[Any, dict[str, int], list[str]]:
    """Divergence and accuracy, how many batches each model ran, and the notes."""
    asked.clear()
    progress = Notes()
    report = compare(
        Config(
            original=str(MODELS / "digits.onnx"),
            compressed=str(MODELS / "digits_int8.onnx"),
            data=str(MODELS / "digits_test.npz"),
            limit=SAMPLES,
            measurements=("divergence", "accuracy"),
            threads=1,
            **changes,
        ),
        progress,
    )
    assert report.error is None
    assert report.divergence is not None
    assert report.accuracy is not None
    assert report.divergence.samples == SAMPLES
    parts = msgspec.to_builtins((report.divergence, report.accuracy))
    return parts, dict(asked), progress.notes


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every figure by its path."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, one in items for k, v in flat(one, f"{path}.{key}").items()}
    return {path: value}


@pytest.mark.slow
def test_every_way_gives_the_same_figures(
    asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, batches, notes = figures(asked)
    # The noise floor takes the first 128 samples once more, without optimisations; what the
    # original gave for them was just kept.
    assert batches == {"digits": BATCHES + 2, "digits_int8": BATCHES}
    assert notes == []
    again, batches, notes = figures(asked)
    assert again == expected
    assert batches == {"digits_int8": BATCHES}
    assert notes == []

    several, batches, _ = figures(asked, workers=2, cache=False)
    # The same batches; sums of several parts round differently.
    assert flat(several).keys() == flat(expected).keys()
    for path, value in flat(expected).items():
        about = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        assert flat(several)[path] == about, path
    # One more, to find out what the outputs mean before the parts are told apart.
    assert batches["digits_int8"] == BATCHES + 1

    monkeypatch.setattr(Crew, "together_bytes", lambda self: 10**18)
    apart, batches, notes = figures(asked, cache=False)
    assert apart == expected
    assert batches == {"digits": BATCHES + 2, "digits_int8": BATCHES}
    assert any("run one after the other" in note for note in notes)


def test_images_that_cannot_be_read_are_left_out_and_told(
    asked: Counter[str], tmp_path: Path
) -> None:
    """Fed as files, three of them broken, the models give what they give for the other arrays."""
    image = pytest.importorskip("PIL.Image")
    with np.load(MODELS / "digits_test.npz") as data:
        images, labels = data["image"][:60], data["labels"][:60]
    # As image folders are read: by class, then by name.
    order = np.argsort(labels, kind="stable")
    images, labels = images[order], labels[order]
    folder = tmp_path / "images"
    for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        # The pixels are sixteenths.
        values = np.rint(pixels[0] * 16).astype(np.uint8)
        image.fromarray(values).save(folder / str(label) / f"{index:03}.png")
    broken = [0, 17, 59]
    for index in broken:
        file = folder / str(labels[index]) / f"{index:03}.png"
        file.write_bytes(file.read_bytes()[:40])
    settings = tmp_path / "pixels.toml"
    settings.write_text('channels = "L"\nscale = 0.0625\n')
    kept = np.delete(np.arange(60), broken)
    np.savez(tmp_path / "arrays.npz", image=images[kept], labels=labels[kept])

    def report(**changes: Any) -> Any:
        return compare(
            Config(
                original=str(MODELS / "digits.onnx"),
                compressed=str(MODELS / "digits_int8.onnx"),
                measurements=("divergence", "accuracy"),
                threads=1,
                **changes,
            )
        )

    expected = report(data=str(tmp_path / "arrays.npz"))
    for _ in range(2):  # the second time from the cache
        asked.clear()
        found = report(data=str(folder), preprocess=str(settings), batch_size=7)
        assert found.error is None
        assert found.data.skipped_samples == 3
        assert [one.index for one in found.data.skipped] == broken
        assert found.divergence.samples == 57
        assert found.accuracy.samples == 57
        assert found.accuracy.top1 == expected.accuracy.top1
        assert found.divergence.kl.mean.value == pytest.approx(
            expected.divergence.kl.mean.value, rel=1e-4
        )
    assert "digits" not in asked


def test_class_scores_are_read_in_front_of_a_softmax_that_underflows(tmp_path: Path) -> None:
    # Logits a hundred times as far apart: float32 gives exact zeros for most classes.
    scores = {}
    images = np.load(MODELS / "digits_test.npz")["image"][:200]
    for name in ("digits", "digits_int8"):
        model = onnx.load(MODELS / f"{name}.onnx")
        logits = model.graph.output[0].name
        by = onnx.numpy_helper.from_array(np.float32(100), "by")
        model.graph.initializer.append(by)
        model.graph.node.extend(
            [
                onnx.helper.make_node("Mul", [logits, "by"], ["scaled"]),
                onnx.helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=-1),
            ]
        )
        probabilities = onnx.helper.make_tensor_value_info(
            "probabilities", onnx.TensorProto.FLOAT, ["n", 10]
        )
        del model.graph.output[:]
        model.graph.output.append(probabilities)
        onnx.save(model, tmp_path / f"{name}.onnx")
        session = onnxruntime.InferenceSession(str(MODELS / f"{name}.onnx"))
        given = session.get_inputs()[0].name
        scores[name] = session.run(None, {given: images})[0].astype(np.float64) * 100
    np.savez(tmp_path / "images.npz", image=images)
    report = compare(
        Config(
            original=str(tmp_path / "digits.onnx"),
            compressed=str(tmp_path / "digits_int8.onnx"),
            data=str(tmp_path / "images.npz"),
            measurements=("divergence",),
            threads=1,
        )
    )
    log_q, log_p = (scipy.special.log_softmax(one, axis=1) for one in scores.values())
    expected = (np.exp(log_q) * (log_q - log_p)).sum(axis=1)
    assert (np.exp(log_q).astype(np.float32) == 0).any(), "nothing underflows"
    assert report.divergence is not None
    assert report.divergence.scores.original == "logits before the softmax"
    assert report.divergence.scores.compressed == "logits before the softmax"
    assert report.divergence.floored == 0
    assert list(report.divergence.outputs) == ["probabilities"]
    assert report.divergence.kl.mean.value == pytest.approx(expected.mean(), rel=1e-3)
    assert report.divergence.kl.max == pytest.approx(expected.max(), rel=1e-3)
