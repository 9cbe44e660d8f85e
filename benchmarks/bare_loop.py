"""A bare torch loop that tells how much memory it takes, beside as many others.

    mpirun -n 26 python benchmarks/bare_loop.py NETWORK FOLDER 26

NETWORK is JSON: name, input_shape, num_classes, batch_size. In FOLDER the processes see each other:
all train until each of them has measured.
"""

import json
import os
import sys
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from hybridmpi.learning.problems.images import build_model
from pss import MEASURED_GRADIENT, pss_mib

LEARNING_RATE = 1e-4


def main() -> None:
    """Train, measure, and train on until all have measured."""
    network, folder, processes = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    loop = Loop(**network)
    for _ in range(MEASURED_GRADIENT):
        loop.step()
    loop.step_until_all(folder, "trains", processes)
    print(json.dumps({"mib": pss_mib()}), flush=True)
    loop.step_until_all(folder, "has-measured", processes)


class Loop:
    """Plain SGD on one random batch."""

    def __init__(
        self, name: str, input_shape: tuple[int, int, int], num_classes: int, batch_size: int
    ) -> None:
        self._model = build_model(name, input_shape=input_shape, num_classes=num_classes, seed=0)
        self._inputs = torch.randn(batch_size, *input_shape)
        self._labels = torch.arange(batch_size) % num_classes

    def step(self) -> None:
        """Compute a gradient and step."""
        cross_entropy(self._model(self._inputs), self._labels).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in self._model.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=LEARNING_RATE)
                parameter.grad.zero_()

    def step_until_all(self, folder: Path, state: str, processes: int) -> None:
        """Go on until all processes have come to this state."""
        (folder / f"{state}-{os.getpid()}").touch()
        while len(list(folder.glob(f"{state}-*"))) < processes:
            self.step()


if __name__ == "__main__":
    main()
