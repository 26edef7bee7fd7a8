"""The way of an inference from main memory to a device and back.

Every call copies the inputs there and the outputs back, and ends when they are there. The places on
both sides are made once, as a program made for speed would do: what is timed is the inference, and
not the reservation of memory.

Imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from compaudit.models.torch.outputs import tensors_in

__all__ = ["Transfer"]


class Transfer:
    """Carries given inputs to a device, and outputs back.

    Args:
        sources: the inputs in main memory, by name.
        device: where they go, ``cuda`` or ``mps``.
        synchronise: waits until that device is done.

    Attributes:
        inputs: where the inputs arrive, by name: the same tensors at every call.
    """

    def __init__(
        self,
        sources: Mapping[str, torch.Tensor],
        device: torch.device,
        synchronise: Callable[[], object],
    ) -> None:
        # Only between pinned memory and the device does CUDA copy while the host goes on.
        self._pinned = device.type == "cuda"
        self._synchronise = synchronise
        self.inputs = {name: tensor.to(device) for name, tensor in sources.items()}
        self._ways = [
            (self.inputs[name], tensor.pin_memory() if self._pinned else tensor)
            for name, tensor in sources.items()
        ]
        self._places: list[torch.Tensor | None] = []

    def to_device(self) -> None:
        """Begin to copy the inputs; what is called on the device next waits for them."""
        for arrival, origin in self._ways:
            arrival.copy_(origin, non_blocking=self._pinned)

    def to_host(self, result: object) -> list[torch.Tensor]:
        """The tensors of a result in main memory, once they are there and the device is done.

        The next call writes over them.
        """
        tensors = tensors_in(result)
        while len(self._places) < len(tensors):
            self._places.append(None)
        arrived = [self._fetch(number, tensor) for number, tensor in enumerate(tensors)]
        self._synchronise()
        return arrived

    def _fetch(self, number: int, tensor: torch.Tensor) -> torch.Tensor:
        """Begin to copy the output of that number."""
        if not _is_plain(tensor):
            return tensor.cpu()
        place = self._places[number]
        if place is None or place.shape != tensor.shape or place.dtype != tensor.dtype:
            place = torch.empty_like(tensor, device="cpu", pin_memory=self._pinned)
            self._places[number] = place
        return place.copy_(tensor, non_blocking=self._pinned)


def _is_plain(tensor: torch.Tensor) -> bool:
    """Numbers one after the other, and not sparse, quantised, nested or wrapped."""
    strided = type(tensor) is torch.Tensor and tensor.layout == torch.strided
    return strided and not tensor.is_quantized and not tensor.is_nested
