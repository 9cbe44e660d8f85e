"""Global settings, which a user's code may change, and which ours relies on."""

import random
from collections.abc import Iterator
from contextlib import chdir, contextmanager

import numpy as np
import torch

from hybridmpi.errors import UserError


@contextmanager
def torch_settings_kept() -> Iterator[None]:
    """Afterwards torch's default type and device, its threads and grad mode are as before."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    num_threads, is_grad_enabled = torch.get_num_threads(), torch.is_grad_enabled()
    try:
        yield
    finally:
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            # None is torch's own default; naming the processor instead would slow each call down.
            torch.set_default_device(None if device.type == "cpu" else device)
        if torch.get_num_threads() != num_threads:
            torch.set_num_threads(num_threads)
        if torch.is_grad_enabled() != is_grad_enabled:
            torch.set_grad_enabled(is_grad_enabled)


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
