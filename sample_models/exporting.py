"""A trained network as ONNX, ONNX with external data, torch.export archive and safetensors."""

import warnings
from pathlib import Path

import onnx
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

OPSET = 17
# Large enough to leave shapes and scalars inside the graph, where shape inference reads them.
EXTERNAL_THRESHOLD_BYTES = 128


def export_onnx(network: nn.Module, path: Path, example: Tensor | None = None) -> None:
    """Write the network with its BatchNormalization nodes and the state dict's names.

    Only the TorchScript exporter does both: PRESERVE and no constant folding keep it from
    folding BatchNorm into the convolutions. The network has to be in eval mode. ``example`` is an
    input of two samples where that is not two digits.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (_example() if example is None else example,),
            path,
            dynamo=False,
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        )
    onnx.checker.check_model(path, full_check=True)


def export_external(source: Path, path: Path) -> None:
    """Write the same model with its weights in a second file beside it."""
    weights_path = path.with_name(path.name + ".data")
    weights_path.unlink(missing_ok=True)  # onnx appends to a file that is there
    onnx.save_model(
        onnx.load(source),
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=weights_path.name,
        size_threshold=EXTERNAL_THRESHOLD_BYTES,
    )
    onnx.checker.check_model(path, full_check=True)


def export_program(network: nn.Module, path: Path) -> None:
    """Write a torch.export archive with a dynamic batch."""
    batch = torch.export.Dim("N")
    program = torch.export.export(network, (_example(),), dynamic_shapes={"image": {0: batch}})
    for node in program.graph.nodes:
        # Where this checkout lies on the builder's disk is nobody's business.
        node.meta.pop("stack_trace", None)
    torch.export.save(program, path)


def export_safetensors(network: nn.Module, path: Path) -> None:
    """Write the state dict."""
    save_file(network.state_dict(), path)


def _example() -> Tensor:
    # Two images: torch.export would take a batch of one for a constant.
    return torch.zeros(2, 1, 8, 8)
