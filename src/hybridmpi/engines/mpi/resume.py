"""How a run under MPI goes on from a checkpoint.

The gradients that were being computed, or on their way, are lost with their workers: these compute
the same batches again, at the version then in force.
"""

from dataclasses import replace

from torch import Tensor

from hybridmpi.checkpoints.file import State, as_damage
from hybridmpi.core.server import Limits, Method, ParameterServer
from hybridmpi.engines.server import server_state
from hybridmpi.errors import UserError


def resumed_core(
    method: Method, limits: Limits, state: State, num_workers: int
) -> tuple[ParameterServer, tuple[int, ...]]:
    """Return a core that goes on with workers 1..N, and those of them that are to be released.

    The others wait for the step that contains their gradients. All are put down as waiting.

    Raises:
        UserError: If the checkpoint is damaged.
    """
    with as_damage():
        then = server_state(state.facts["core"])
        waiting = tuple(worker for worker in then.waiting if worker <= num_workers)
        free = tuple(worker for worker in range(1, num_workers + 1) if worker not in waiting)
        now = replace(then, waiting=waiting + free, computing={})
        return ParameterServer.resumed(method, limits, now), free


def put_parameters(state: State, vector: Tensor) -> None:
    """Write a checkpoint's parameters into a vector, shape [size].

    Raises:
        UserError: If the checkpoint is damaged, or its model has another size.
    """
    with as_damage():
        parameters = state.tensors["parameters"]
        if parameters.shape != vector.shape:
            raise UserError(
                f"the checkpoint holds {len(parameters)} parameters and buffers, but the model has "
                f"{len(vector)} here; give it the same model and data"
            )
        vector.copy_(parameters)
