"""What happens to a push that is stale: computed at an older version than the server's."""

from collections.abc import Callable
from dataclasses import dataclass, field

Damping = Callable[[int], float]


def undamped(staleness: int) -> float:
    """Return 1 at every staleness."""
    del staleness
    return 1.0


@dataclass(frozen=True, slots=True)
class StalenessRule:
    """How the server treats stale pushes.

    Attributes:
        discard_from: The smallest staleness that is discarded; None accepts all. 1 discards every
            stale push (m-sync; Rennala: Tyurin and Richtarik 2023, arXiv 2305.12387, algorithm 1);
            R is Ringmaster ASGD's delay threshold (Maranjyan, Tyurin and Richtarik 2025,
            arXiv 2501.16168, algorithm 1).
        cancel: A step makes every worker that still computes on an older version abandon its
            batch and start on the new one (K-sync: Dutta et al. 2018, arXiv 1803.01113).
        damping: The factor of a gradient as a function of its staleness, 1 at staleness 0.
    """

    discard_from: int | None = None
    cancel: bool = False
    damping: Damping = field(default=undamped)

    def is_discarded(self, staleness: int) -> bool:
        """Say whether a push of this staleness is thrown away when it arrives."""
        return self.discard_from is not None and staleness >= self.discard_from


ACCEPT = StalenessRule()
CANCEL = StalenessRule(cancel=True)


def discard_from(limit: int) -> StalenessRule:
    """Discard pushes whose staleness is `limit` or more."""
    return StalenessRule(discard_from=limit)


def damp_inverse() -> StalenessRule:
    """Weigh a gradient by 1/tau, tau its staleness; one that is not stale weighs 1.

    Source: staleness-aware asynchronous SGD (Zhang, Gupta, Lian and Liu 2016, arXiv 1511.05950),
    which divides the learning rate of each gradient by its staleness.
    """
    return StalenessRule(damping=lambda staleness: 1.0 / max(1, staleness))


def damp_inverse_sqrt() -> StalenessRule:
    """Weigh a gradient by 1 / sqrt(1 + tau), tau its staleness.

    Source: FedBuff (Nguyen et al. 2022, arXiv 2106.06639), which scales stale updates so.
    """
    return damp_power(0.5)


def damp_power(exponent: float) -> StalenessRule:
    """Weigh a gradient by (1 + tau)^-exponent, tau its staleness.

    Source: FedAsync's polynomial staleness function (Xie, Koyejo and Gupta 2019, arXiv 1903.03934).
    """
    return StalenessRule(damping=lambda staleness: float((1 + staleness) ** -exponent))
