"""What a driver has seen of a run, and how two of them are compared."""

from dataclasses import dataclass, field
from typing import Any

from hybridmpi.core.messages import Accumulate, Discard, Instruction, Push, Step
from hybridmpi.engines.server import Server

Told = list[tuple[float, Instruction]]


@dataclass
class Record:
    """A run, as a driver has seen it.

    Attributes:
        told: The instructions of the core, each with its time in seconds.
        final: The bytes of the final parameters.
    """

    told: Told = field(default_factory=list)
    final: bytes = b""

    def exactly(self) -> list[str]:
        """Return the instructions in full: numbers are equal here if their bits are."""
        return [f"{time_s!r} {_comparable(instruction)!r}" for time_s, instruction in self.told]


class RecordingServer(Server):
    """A server that notes what it carries out."""

    def __init__(self, record: Record, *parts: Any, **settings: Any) -> None:
        super().__init__(*parts, **settings)
        self._record = record

    def carry_out(self, instructions: Any, now_s: float) -> None:
        self._record.told += [(now_s, instruction) for instruction in instructions]
        super().carry_out(instructions, now_s)


def _comparable(instruction: Instruction) -> Instruction:
    """Leave out rows and measured times; and of a late push the loss, which nobody computes."""
    match instruction:
        case Discard(push, "late"):
            return Discard(_arrived(push)._replace(loss=0.0, is_finite=True), "late")
        case Discard() | Accumulate():
            return instruction._replace(push=_arrived(instruction.push))
        case Step():
            return instruction._replace(pushes=tuple(map(_arrived, instruction.pushes)))
    return instruction


def _arrived(push: Push) -> Push:
    return push._replace(row=0, compute_s=0.0, wait_s=0.0)
