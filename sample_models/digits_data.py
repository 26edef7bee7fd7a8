"""The scikit-learn digits, split once into two halves that never mix."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from digits_net import SEED
from numpy.typing import NDArray
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
from torch import Tensor

TEST_IMAGES = 899


@dataclass(frozen=True)
class Images:
    """``image``: float32 [N, 1, 8, 8] in [0, 1]; ``labels``: int64 [N]."""

    image: Tensor
    labels: Tensor


def load_halves() -> tuple[Images, Images]:
    """Return the training half (898 images) and the test half (899), stratified by digit."""
    digits = load_digits()
    image = (digits.images / 16.0).astype(np.float32)[:, None]
    train_image, test_image, train_labels, test_labels = train_test_split(
        image,
        digits.target.astype(np.int64),
        test_size=TEST_IMAGES,
        stratify=digits.target,
        random_state=SEED,
    )
    return _images(train_image, train_labels), _images(test_image, test_labels)


def save_images(images: Images, path: Path) -> None:
    """Write the arrays ``image`` and ``labels`` to a compressed npz without pickles."""
    np.savez_compressed(path, image=images.image.numpy(), labels=images.labels.numpy())


def _images(image: NDArray[np.float32], labels: NDArray[np.int64]) -> Images:
    return Images(torch.from_numpy(image), torch.from_numpy(labels))
