"""Plays a scenario with the simulator, whose compute and message times are those of the script."""

from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from record import Record, RecordingServer
from scenarios import Scenario
from script import Departure

from hybridmpi.engines.simulate import simulate
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.engines.simulate.times import NS

_NEVER_S = 1e9


def play(scenario: Scenario, path: Path) -> Record:
    """Play a scenario to its end, and write the run file."""
    record, times = Record(), ScriptedTimes(scenario)
    section = {**scenario.sections.get("simulate", {}), **_trace(scenario, path)}
    simulation = Simulation(scenario.job(simulate=section), times=lambda _: times)
    times.simulation = simulation

    def interrupted() -> str:
        return "signal" if simulation.cluster.now_ns >= scenario.script.signal_s * NS else ""

    with (
        patch.object(simulate, "Server", partial(RecordingServer, record)),
        patch.object(simulate, "_HOUSEKEEPING_S", 0.0),  # a signal is noticed after each event
    ):
        simulation.run(path, interrupted=interrupted)
    record.final = simulation.end.parameters.numpy().tobytes()
    return record


class ScriptedTimes:
    """A batch takes until the worker's next push leaves, and the push until it is taken."""

    def __init__(self, scenario: Scenario) -> None:
        self.simulation: Simulation
        self._script = scenario.script
        self._departures: dict[tuple[int, int], Departure] = {}  # by worker and batch

    def compute_ns(self, worker: int, batch: int, samples: int) -> int:
        del samples
        now_ns = self.simulation.cluster.now_ns
        departures = (d for d in self._script.departures(worker) if d.sent_s * NS > now_ns)
        departure = next(departures, Departure(_NEVER_S, _NEVER_S))
        self._departures[worker, batch] = departure
        return round(departure.sent_s * NS) - now_ns

    def delay_ns(self, worker: int, batch: int) -> int:
        del worker, batch
        return 0

    def down_ns(self, worker: int, batch: int) -> int:
        del worker, batch
        return 0

    def up_ns(self, worker: int, batch: int) -> int:
        departure = self._departures[worker, batch]
        return round(min(departure.reached_s - departure.sent_s, _NEVER_S) * NS)


def _trace(scenario: Scenario, path: Path) -> dict[str, Any]:
    """Write who is lost and who joins, as the simulator reads it; return its setting."""
    changes = scenario.script.changes
    if not changes:
        return {}
    events = {"lose": "leave", "join": "join"}
    lines = [f"{change.time_s},{change.worker},{events[change.kind]}" for change in changes]
    trace = path.with_suffix(".csv")
    trace.write_text("\n".join(["time_s,worker,event", *lines]))
    return {"trace": str(trace)}
