"""A worker's accelerator: parameters go there and gradients come back on a stream of their own."""

import torch
from torch import Tensor

from hybridmpi.errors import UserError


def choose_device(asked: str, number: int) -> torch.device:
    """Return the device to compute on.

    Args:
        asked: "cpu", "cuda" (ROCm too), or "auto": cuda where there is one.
        number: Of this process among those of its node that compute; they take turns with devices.

    Raises:
        UserError: If cuda was asked for, and there is none.
    """
    count = 0 if asked == "cpu" else torch.cuda.device_count()
    if count:
        return torch.device("cuda", number % count)
    if asked == "cuda":
        raise UserError(
            "run.device is 'cuda', but torch sees no GPU here; see `hybridmpi doctor`, or take "
            "'cpu' or 'auto'"
        )
    return torch.device("cpu")


class Accelerator:
    """Vectors on an accelerator, and their copies there and back.

    The host's memory is locked where CUDA lets us, so that copies need no help of the processor.

    Attributes:
        parameters: The parameters there, shape [size].
        push: A gradient and, behind it, the buffers there; shape [size].
    """

    def __init__(self, device: torch.device, size: int) -> None:
        """Allocate vectors of `size` elements; `device` becomes the current one."""
        self._module = torch.get_device_module(device)
        self._module.set_device(device)
        self._copies = self._module.Stream()
        self._is_cuda = device.type == "cuda"
        self._locked: dict[int, bool] = {}  # by the address of host memory, whether it could be
        self.parameters = torch.zeros(size, device=device)
        self.push = torch.zeros(size, device=device)

    def send(self, parameters: Tensor) -> None:
        """Begin to copy parameters there, shape [size]; what is computed next waits for them."""
        self._lock(parameters)
        with self._module.stream(self._copies):
            self.parameters.copy_(parameters, non_blocking=True)
        self._module.current_stream().wait_stream(self._copies)

    def fetch(self, push: Tensor) -> None:
        """Begin to copy `self.push` into `push`, shape [size], once it is computed."""
        self._lock(push)
        self._copies.wait_stream(self._module.current_stream())
        with self._module.stream(self._copies):
            push.copy_(self.push, non_blocking=True)

    def wait(self) -> None:
        """Wait until nothing is being computed or copied."""
        self._module.synchronize()

    def close(self) -> None:
        """Unlock the host's memory, before it is freed."""
        self.wait()
        for address, is_locked in self._locked.items():
            if is_locked:
                torch.cuda.cudart().cudaHostUnregister(address)  # type: ignore[no-untyped-call]
        self._locked.clear()

    def _lock(self, vector: Tensor) -> None:
        """Lock all of the memory that a vector of the host lies in, once."""
        memory = vector.untyped_storage()
        if self._is_cuda and memory.data_ptr() not in self._locked:
            register = torch.cuda.cudart().cudaHostRegister  # type: ignore[no-untyped-call]
            answer = register(memory.data_ptr(), memory.nbytes(), 0)
            self._locked[memory.data_ptr()] = int(answer) == 0
