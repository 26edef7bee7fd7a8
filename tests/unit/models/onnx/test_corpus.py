"""Models that nobody here wrote: every one becomes a Model whose bytes add up."""

from pathlib import Path

import onnx
import pytest

from compaudit.models.base import Role

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
LIGHT = DATA / "light"


def test_every_model_of_the_onnx_package(kit) -> None:
    paths = sorted(DATA.rglob("*.onnx"))
    if not paths:
        pytest.skip("this onnx ships no models")
    for path in paths:
        model = kit.read(path)
        kit.check_bytes(model)
        assert len({tensor.name for tensor in model.tensors}) == len(model.tensors)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("light_bvlc_alexnet", 60_965_224),  # Caffe's AlexNet
        ("light_vgg19", 143_667_240),
        ("light_resnet50", 25_557_032),
        ("light_squeezenet", 1_235_496),  # version 1.1
        # Caffe's DenseNet writes scale and shift as nodes of their own, beside BatchNormalization's
        # scale and shift: twice 41,824 more than torchvision's 7,978,856
        ("light_densenet121", 7_978_856 + 2 * 41_824),
    ],
)
def test_published_parameter_counts(kit, name, published) -> None:
    path = LIGHT / f"{name}.onnx"
    if not path.exists():
        pytest.skip("this onnx does not ship it")
    parameters = sum(
        tensor.logical_elements
        for tensor in kit.read(path).tensors
        if tensor.role in (Role.WEIGHT, Role.BIAS)
    )
    assert parameters == published
