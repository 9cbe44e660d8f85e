from typing import Any

import pytest
import torch

from hybridmpi.checkpoints.file import State
from hybridmpi.engines.checkpoint_facts import check_ranks, check_server

SIZE = 3


def state(**core: Any) -> State:
    """Return a server's state of 2 workers, with a gradient in its buffer that worker 3 pushed."""
    push = [3, 4, 1, 0, 2.0, 16, 0.1, 0.0, True, 0]
    buffer = {"pushes": [push], "staleness": [0], "weights": [1.0]}
    counts = {"version": 1, "gradients": 9, "samples": 144}
    workers = {"waiting": [1], "computing": {"2": 1}}
    return State(
        {"parameters": torch.zeros(SIZE)},
        {
            "core": counts | buffer | workers | core,
            "recorder": {
                "non_finite_in_a_row": 0,
                "discarded": 0,
                "next_batch": [[1, 2], [2, 2], [3, 5]],
                "rows": {"gradients": 9, "steps": 1, "events": 0},
            },
            "snapshots": {"points": 0, "taken": []},
            "stepped_samples": 128,
        },
    )


def test_gradients_of_workers_that_are_gone_count() -> None:
    facts = check_server(state(), SIZE, num_workers=2, had_others=True)
    assert [push.worker for push in facts.core.pushes] == [3]


def test_unknown_workers_are_refused_where_there_were_never_others() -> None:
    with pytest.raises(ValueError, match=r"core\.pushes"):
        check_server(state(), SIZE, num_workers=2)


@pytest.mark.parametrize("workers", [{"waiting": [3]}, {"computing": {"3": 1}}])
def test_workers_that_are_gone_are_not_active(workers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the active workers are"):
        check_server(state(**workers), SIZE, num_workers=2, had_others=True)


RANKS = {"num_workers": 3, "time_s": 1.0, "bytes_sent": 8, "absent": [2], "losses": [2, 3, -3]}


def test_losses_and_returns_are_taken() -> None:
    assert check_ranks(RANKS | {"shared_out_anew": True}).losses == [2, 3, -3]


@pytest.mark.parametrize(
    "changes",
    [
        {"num_workers": 0},
        {"num_workers": 2**40},
        {"time_s": -1.0},
        {"bytes_sent": "many"},
        {"absent": [4]},
        {"losses": [4]},
        {"losses": [0]},
        {"losses": [1, 2, 3]},  # nobody would be left
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_ranks(RANKS | changes)
