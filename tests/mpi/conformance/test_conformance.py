"""One script drives the core alone, the simulator and real ranks: the same answers and bits."""

import pickle
from functools import cache
from pathlib import Path
from typing import Any

import by_core
import by_simulator
import pytest
from record import Record
from scenarios import SCENARIOS, WORKERS, Place
from script import in_words

from hybridmpi import read_run
from hybridmpi.core.presets import PRESETS
from hybridmpi.engines.replay import replay

PLAYS_OF_RANKS = [
    (name, place) for name, scenario in SCENARIOS.items() for place in scenario.places
]


@pytest.fixture(scope="module")
def by_ranks(ranks_of_module: Any) -> tuple[dict[tuple[str, Place], Record], Path]:
    """Return the record of each play on real ranks, and the folder of their run files."""
    script = str(Path(__file__).parent / "by_ranks.py")
    ended = ranks_of_module.mpirun(WORKERS + 1, "-m", "mpi4py", script)
    assert ended.exit_code == 0, ended
    folder = ranks_of_module.folder
    return pickle.loads((folder / "records.pickle").read_bytes()), folder


@cache
def by_core_alone(name: str) -> Record:
    return by_core.play(SCENARIOS[name])


def assert_same(record: Record, expected: Record) -> None:
    assert record.exactly() == expected.exactly()
    assert record.final == expected.final


@pytest.mark.parametrize("name", SCENARIOS)
def test_core_answers_as_worked_out_by_hand(name: str) -> None:
    answers = SCENARIOS[name].script.answers
    assert in_words(by_core_alone(name).told, len(answers)) == answers


@pytest.mark.parametrize("name", SCENARIOS)
def test_simulator_gives_the_answers_and_bits_of_the_core(name: str, tmp_path: Path) -> None:
    assert_same(by_simulator.play(SCENARIOS[name], tmp_path / "run.h5"), by_core_alone(name))


@pytest.mark.parametrize(("name", "place"), PLAYS_OF_RANKS)
def test_ranks_give_the_answers_and_bits_of_the_core(
    by_ranks: Any, name: str, place: Place
) -> None:
    records, _ = by_ranks
    assert_same(records[name, place], by_core_alone(name))


@pytest.mark.parametrize(("name", "place"), PLAYS_OF_RANKS)
def test_replay_of_the_ranks_has_their_bits(by_ranks: Any, name: str, place: Place) -> None:
    run = read_run(by_ranks[1] / f"{name}-{place.transport}-{place.num_nodes}.h5")
    verdict = replay(run, SCENARIOS[name].job())
    assert verdict.first_difference == ""


def test_every_preset_has_a_scenario() -> None:
    assert {scenario.method["preset"] for scenario in SCENARIOS.values()} == set(PRESETS)
