"""Invented ledgers; all figures are chosen so that they add up by hand."""

from collections.abc import Sequence

import msgspec
from canned import ENVIRONMENT, HEAD

from compaudit.results import (
    InspectedModel,
    Inspection,
    LayerSide,
    Macs,
    Skipped,
    Sparsity,
    TensorResult,
)


def ledger(path: str = "small.onnx") -> InspectedModel:
    """1,200 parameters in 2,500 bytes, 810 of them zero; 2,556 bytes of tensors, 444 of graph.

    One weight in int8, one tied, one stored twice, an operator that is not counted.
    """
    structure = Sparsity(
        zeros=810,
        structure="unstructured",
        n=None,
        m=None,
        zero_output_channels=0,
        zero_input_channels=0,
        block=None,
        usable="smaller once compressed; no common runtime is faster",
    )
    tensors = [
        tensor("stem.weight", "weight", [10, 10], 400, layer="stem", op="Conv"),
        tensor(
            "body.weight",
            "weight",
            [100, 9],
            900,
            layer="body",
            op="MatMul",
            dtype="int8",
            nonzeros=90,
            scheme="per_channel",
            symmetric=True,
            sparsity_structure=structure,
        ),
        tensor("body.scale", "quantization", [100], 400, layer="body", op="MatMul"),
        tensor("body.bias", "bias", [100], 400, layer="body", op="Add"),
        tensor("head.weight", "weight", [10, 10], 0, layer="head", op="Gemm", tied_to=True),
        tensor("copy.weight", "weight", [10, 10], 400, layer="copy", op="Gemm", twice=True),
        tensor("stem.mean", "buffer", [10], 40, layer="stem", op="BatchNormalization"),
        tensor("axes", "constant", [2], 16, dtype="int64", entropy_bits=1.0),
    ]
    layers = [
        layer("stem", "Conv", 100, 100, 400, 4_900, ["stem.weight", "stem.mean"]),
        layer("body", "MatMul", 1_000, 190, 1_700, 900, ["body.weight"], int8=900),
        layer("head", "Gemm", 0, 0, 0, 100, ["head.weight"]),
        layer("copy", "Gemm", 100, 100, 400, 100, ["copy.weight"]),
    ]
    return InspectedModel(
        path=path,
        format="onnx",
        sha256="0" * 64,
        parameters=1_200,
        nonzero_parameters=390,
        sparsity=0.675,
        weight_bytes=2_500,
        file_bytes=3_000,
        graph_bytes=444,
        entropy_bytes=1_250,
        entropy_bits_per_weight=25 / 3,
        bits_per_weight=50 / 3,
        elements_by_role={"weight": 1_100, "bias": 100, "quantization": 100}
        | {"buffer": 10, "constant": 2},
        bytes_by_role={"weight": 1_700, "bias": 400, "quantization": 400}
        | {"buffer": 40, "constant": 16},
        precision={"float32": 300, "int8": 900},
        computed_precision={"float32": 1_200},
        schemes={"none": 300, "per_channel": 900},
        macs=Macs(total=6_000, nonzero=5_190, coverage=0.9, uncounted_ops=["NonZero", "Resize"]),
        load_s=None,
        first_inference_s=None,
        peak_memory_bytes=None,
        resident_anonymous_bytes=None,
        resident_file_bytes=None,
        peak_device_memory_bytes=None,
        latency=None,
        tensors=tensors,
        layers=layers,
    )


def uncounted(path: str = "weights.safetensors") -> InspectedModel:
    """The same tensors without a graph: no operators, no MACs, no entropy."""
    model = ledger(path)
    nameless = [msgspec.structs.replace(layer, op="", macs=None) for layer in model.layers]
    return msgspec.structs.replace(
        model,
        format="safetensors",
        macs=None,
        entropy_bytes=None,
        entropy_bits_per_weight=None,
        computed_precision={"unknown": 1_200},
        layers=nameless,
    )


def deep(path: str = "deep.onnx", blocks: int = 249) -> InspectedModel:
    """Blocks of four layers with 1,000 float32 parameters in all, below an embedding."""
    layers = [layer("net.embed", "Gather", 9_000, 9_000, 36_000, 0, [])]
    for block in range(blocks):
        for name, count in (("q", 100), ("k", 100), ("up", 500), ("down", 300)):
            part = "attention" if name in "qk" else "mlp"
            path_ = f"net.blocks.{block}.{part}.{name}"
            layers.append(layer(path_, "MatMul", count, count, 4 * count, count, []))
    tensors = [
        tensor(f"{one.name}.weight", "weight", [one.parameters], one.weight_bytes, layer=one.name)
        for one in layers
    ]
    count = 9_000 + 1_000 * blocks
    return msgspec.structs.replace(
        ledger(path),
        parameters=count,
        nonzero_parameters=count,
        sparsity=0.0,
        weight_bytes=4 * count,
        file_bytes=4 * count + 10_000,
        graph_bytes=10_000,
        entropy_bytes=3 * count,
        entropy_bits_per_weight=24.0,
        bits_per_weight=32.0,
        elements_by_role={"weight": count},
        bytes_by_role={"weight": 4 * count},
        precision={"float32": count},
        computed_precision={"float32": count},
        schemes={"none": count},
        macs=Macs(total=1_000 * blocks, nonzero=1_000 * blocks, coverage=1.0, uncounted_ops=[]),
        tensors=tensors,
        layers=layers,
    )


def inspection(*models: InspectedModel, skipped: Sequence[Skipped] = ()) -> Inspection:
    """The document of these ledgers."""
    return Inspection(**HEAD, models=list(models), skipped=[*skipped], environment=ENVIRONMENT)


def layer(
    name: str,
    op: str,
    parameters: int,
    nonzero: int,
    size: int,
    macs: int,
    tensors: list[str],
    int8: int = 0,
) -> LayerSide:
    precision = {"float32": parameters - int8} | ({"int8": int8} if int8 else {})
    return LayerSide(
        name=name,
        op=op,
        parameters=parameters,
        nonzero_parameters=nonzero,
        weight_bytes=size,
        bits_per_weight=8 * size / parameters if parameters else None,
        macs=macs,
        precision=precision,
        tensors=tensors,
    )


def tensor(
    name: str,
    role: str,
    shape: list[int],
    size: int,
    *,
    tied_to: bool = False,
    twice: bool = False,
    **others: object,
) -> TensorResult:
    elements = 1
    for side in shape:
        elements *= side
    dtype = str(others.get("dtype", "float32"))
    values = {
        "name": name,
        "role": role,
        "dtype": dtype,
        "shape": shape,
        "logical_elements": elements,
        "stored_elements": elements,
        "bits": int(dtype.strip("intfloa")),
        "bytes": size,
        "nonzeros": elements,
        "entropy_bits": 6.0,
        "layer": None,
        "op": None,
        "computed_dtype": "float32",
        "scheme": None,
        "block": None,
        "symmetric": None,
        "sparsity_structure": None,
        "tied_to": "stem.weight" if tied_to else None,
        "duplicate_of": "stem.weight" if twice else None,
        "location": "file",
        "note": "",
    }
    return TensorResult(**(values | others))
