"""Global settings, which a user's code may change, and which ours relies on."""

import random
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import nn

from hybridmpi.errors import UserError


class _TorchSettings(NamedTuple):
    """Settings of torch's that hold for the whole process, or for this thread."""

    dtype: torch.dtype
    device: torch.device
    num_threads: int
    is_grad_enabled: bool

    @classmethod
    def now(cls) -> Self:
        """Return them; a tenth of the time of asking for the default device by its name."""
        default = torch.empty(0)
        return cls(default.dtype, default.device, torch.get_num_threads(), torch.is_grad_enabled())

    def restore(self, changed: "_TorchSettings") -> None:
        """Set those that differ from `changed`, the present ones."""
        if changed.dtype != self.dtype:
            torch.set_default_dtype(self.dtype)
        if changed.device != self.device:
            # None is torch's own default; naming the processor instead would slow each call down.
            torch.set_default_device(None if self.device.type == "cpu" else self.device)
        if changed.num_threads != self.num_threads:
            torch.set_num_threads(self.num_threads)
        if changed.is_grad_enabled != self.is_grad_enabled:
            torch.set_grad_enabled(self.is_grad_enabled)


@contextmanager
def torch_settings_kept() -> Iterator[None]:
    """Afterwards torch's default type and device, its threads and grad mode are as before."""
    before = _TorchSettings.now()
    try:
        yield
    finally:
        if (after := _TorchSettings.now()) != before:
            before.restore(after)


def keep_torch_settings(model: nn.Module) -> Callable[[], None]:
    """Have settings put back after each forward pass; return what ends that."""
    kept: list[_TorchSettings] = []

    def before(_module: nn.Module, _inputs: object) -> None:
        kept.append(_TorchSettings.now())

    def after(_module: nn.Module, _inputs: object, _output: object) -> None:
        then = kept.pop()
        if (now := _TorchSettings.now()) != then:
            then.restore(now)

    handles = (model.register_forward_pre_hook(before), model.register_forward_hook(after))

    def end() -> None:
        for handle in handles:
            handle.remove()

    return end


@contextmanager
def surroundings_kept(what: str) -> Iterator[None]:
    """Likewise, and the current folder and numpy's handling of errors: around imports and calls.

    Args:
        what: Whose code it is, for messages.

    Raises:
        UserError: If the code leaves torch in inference mode, which only itself can end.
    """
    was_inference = torch.is_inference_mode_enabled()
    with torch_settings_kept(), np.errstate(), chdir("."):
        yield
    if torch.is_inference_mode_enabled() and not was_inference:
        raise UserError(
            f"{what} leaves torch in inference mode, in which nothing can be trained; write "
            "'with torch.inference_mode():' around what needs it"
        )


@contextmanager
def generators_kept() -> Iterator[None]:
    """Afterwards the global generators of torch (on the processor), numpy, Python are as before."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):  # the accelerators' are seeded before each use
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
