"""What a call leaves as it found it, and how it is interrupted."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hybridmpi.learning.settings import generators_kept, surroundings_kept


@contextmanager
def caller_undisturbed() -> Iterator[None]:
    """Keep torch's settings and threads, random generators, current folder as the caller has them.

    Within the block torch's settings are its own, as in a process of its own.
    """
    import torch

    with surroundings_kept("the call"), generators_kept(), torch.enable_grad():
        torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            torch.set_default_device(None)
        yield


@contextmanager
def interruptible() -> Iterator[Callable[[], str]]:
    """Yield what tells whether Ctrl-C was pressed; KeyboardInterrupt is raised after the block.

    So a run ends in order, and its file can be read. A second Ctrl-C doesn't wait. Outside the main
    thread, where Python allows no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: ""
        return
    pressed: list[str] = []

    def note(number: int, _: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(signal.Signals(number).name)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed[0] if pressed else ""
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
