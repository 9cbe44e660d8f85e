"""A worker's side of the protocol: it computes one batch after the other, as it is released."""

from typing import NamedTuple

from hybridmpi.core.messages import Push


class Compute(NamedTuple):
    """Compute the gradient of this batch at this version."""

    batch: int
    version: int


class Worker:
    """Numbers the batches of one worker.

    A release while it computes cancels the batch at hand: its number is used up, and the next
    one begins on the new version.
    """

    def __init__(self, number: int, first_batch: int = 0) -> None:
        self.number = number
        self._batch = first_batch - 1
        self._version = -1

    def release(self, version: int) -> Compute:
        """Begin the next batch on the parameters of `version`."""
        self._batch += 1
        self._version = version
        return Compute(self._batch, version)

    def push(
        self,
        *,
        loss: float,
        samples: int,
        compute_s: float = 0.0,
        wait_s: float = 0.0,
        is_finite: bool = True,
        assignment: int = 0,
        row: int = -1,
    ) -> Push:
        """Return the push of the batch that has just been computed."""
        return Push(
            worker=self.number,
            batch=self._batch,
            version=self._version,
            row=row,
            loss=loss,
            samples=samples,
            compute_s=compute_s,
            wait_s=wait_s,
            is_finite=is_finite,
            assignment=assignment,
        )
