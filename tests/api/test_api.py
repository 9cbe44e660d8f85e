"""hybridmpi from Python: results as objects, and the caller's process as it was."""

import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hybridmpi
from hybridmpi.api.surroundings import interruptible
from hybridmpi.learning.models import ImageModel

JOB: dict[str, Any] = {
    "run": {"gradient_limit": 40, "time_limit_s": 30, "output": "run.h5"},
    "method": {"preset": "async"},
    "data": {"dataset": "digits", "batch_size": 32},
    "model": {"name": "lenet"},
    "evaluation": {"every_s": 2},
    "simulate": {"workers": 3, "compute_per_sample_s": 0.01},
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_job_is_a_file_a_dict_or_a_job() -> None:
    Path("job.toml").write_text(
        '[run]\ntime_limit_s = 3\n[method]\npreset = "sync"\n[data]\ndataset = "digits"\n'
    )
    of_file = hybridmpi.load_job("job.toml")
    tree = {"run": {"time_limit_s": 3}, "method": {"preset": "sync"}, "data": {"dataset": "digits"}}
    assert of_file == hybridmpi.load_job(tree) == hybridmpi.load_job(of_file)


def test_settings_replace_fields() -> None:
    job = hybridmpi.load_job(
        JOB, run={"seed": 3}, method={"preset": "sync"}, **{"optimizer.learning_rate": 0.5}
    )
    assert (job.run.seed, job.run.gradient_limit) == (3, 40)
    assert (job.method.preset, job.optimizer.learning_rate) == ("sync", 0.5)
    assert hybridmpi.load_job(job, simulate=job.simulate) == job
    assert JOB["run"].keys() == {"gradient_limit", "time_limit_s", "output"}


def test_wrong_fields_are_named() -> None:
    with pytest.raises(hybridmpi.UserError, match=r"did you mean 'seed'"):
        hybridmpi.load_job(JOB, run={"sed": 3})


def test_simulated_run_is_returned_replayed_and_asked_what_if() -> None:
    run = hybridmpi.simulate(JOB)
    assert isinstance(run, hybridmpi.Run)
    assert (run.status, len(run.gradients)) == ("complete", 40)
    verdict = hybridmpi.replay(run)
    assert (verdict.is_match, verdict.equal_losses) == (True, 40)
    other = hybridmpi.what_if("run.h5", method={"preset": "sync"})
    assert other.path == Path("run-what-if.h5")
    assert set(other.steps.gradients) == {3}


def test_run_file_is_replaced_only_where_asked_for() -> None:
    hybridmpi.simulate(JOB)
    with pytest.raises(hybridmpi.UserError, match=r"'run\.h5' exists already"):
        hybridmpi.simulate(JOB)
    assert hybridmpi.simulate(JOB, force=True, run={"seed": 1}).config["run"]["seed"] == 1


def test_run_in_hand() -> None:
    run = hybridmpi.simulate(JOB)
    assert len(run.plot().axes) >= 4
    assert "40 gradients" in repr(run)
    assert "complete" in run._repr_html_()
    model = ImageModel("lenet", (1, 8, 8), 10)()
    run.load_into(model)
    assert run.final is not None
    flat = torch.cat([values.flatten() for values in model.state_dict().values()])
    assert torch.equal(flat, torch.from_numpy(run.final))
    with pytest.raises(hybridmpi.UserError, match=r"don't fit Linear"):
        run.load_into(torch.nn.Linear(2, 3))


def surroundings() -> list[Any]:
    random_states = [
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    ]
    settings = [torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()]
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return [*random_states, *settings, *handlers, os.getcwd()]


def test_callers_process_is_left_as_it_was() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            before = surroundings()
            run = hybridmpi.simulate(JOB)
            hybridmpi.replay(run)
            assert surroundings() == before
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(torch.float32)
    again = hybridmpi.simulate(JOB, run={"output": "again.h5"})
    assert run.final is not None
    assert again.final is not None
    assert run.final.tobytes() == again.final.tobytes()


def test_interrupt_ends_the_run_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from hybridmpi.engines.simulate.simulate import Simulation

    run = Simulation.run

    def interrupted(*given: Any, **named: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return run(*given, **named)

    monkeypatch.setattr(Simulation, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hybridmpi.simulate(JOB, run={"gradient_limit": 1_000_000, "time_limit_s": 1e6})
    assert hybridmpi.read_run("run.h5").status == "stopped"


def test_second_interrupt_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible() as interrupted:  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        assert interrupted() == "SIGINT"
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it waited")


def test_other_threads_may_simulate() -> None:
    runs: list[hybridmpi.Run] = []
    thread = threading.Thread(target=lambda: runs.append(hybridmpi.simulate(JOB)))
    thread.start()
    thread.join(60)
    assert runs[0].status == "complete"


def test_failed_run_is_an_error() -> None:
    with pytest.raises(hybridmpi.RunFailed, match="NaN or infinity"):
        hybridmpi.simulate(JOB, optimizer={"learning_rate": 1e38})
    assert hybridmpi.read_run("run.h5").status == "failed"


def test_experiment_is_compared_and_reported() -> None:
    Path("job.toml").write_text(
        '[run]\ntime_limit_s = 4\n[method]\npreset = "async"\n[data]\ndataset = "digits"\n'
        "[evaluation]\nevery_s = 1\n[simulate]\nworkers = 2\n"
    )
    Path("experiment.toml").write_text(
        'job = "job.toml"\nseeds = 2\n[variants.a]\n[variants.b]\nmethod.preset = "sync"\n'
        '[decision]\nreference = "a"\n'
    )
    comparison = hybridmpi.compare(
        "experiment.toml", "out", processes=1, simulate={"compute_fixed_s": 0.2}
    )
    assert len(comparison.of("complete")) == 4
    page = hybridmpi.report("out")
    assert page == Path("out/report.html")
    assert "</html>" in page.read_text()


def test_names_are_those_that_the_package_declares() -> None:
    for name in hybridmpi.__all__:
        assert getattr(hybridmpi, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = hybridmpi.simulat  # type: ignore[attr-defined]


def line(slope: float) -> hybridmpi.Problem:
    """Return a problem with functions that no other process could import."""
    inputs = torch.linspace(-1, 1, 960)[:, None]
    samples = {"x": inputs, "y": slope * inputs}

    def loss(model: torch.nn.Module, batch: Any) -> torch.Tensor:
        return ((model(batch["x"]) - batch["y"]) ** 2).mean()

    return hybridmpi.Problem(lambda: torch.nn.Linear(1, 1), samples, samples, loss)


def test_problem_is_an_object_of_the_script() -> None:
    job = {name: JOB[name] for name in ("run", "method", "evaluation", "simulate")}
    run = hybridmpi.simulate(job, line(3.0), optimizer={"learning_rate": 0.3})
    assert run.config["problem"]["name"] == "given"
    assert run.evaluations.test_loss.iloc[-1] < 0.1 * run.evaluations.test_loss.iloc[0]
    assert hybridmpi.replay(run, line(3.0)).is_match
    assert not hybridmpi.replay(run, line(2.0)).is_match
    with pytest.raises(hybridmpi.UserError, match=r"pass problem=\.\.\."):
        hybridmpi.replay(run)
    other = hybridmpi.what_if(run, line(3.0), method={"preset": "sync"})
    assert other.status == "complete"


def test_job_of_images_goes_with_no_problem_of_ones_own() -> None:
    with pytest.raises(hybridmpi.UserError, match=r"data\.dataset"):
        hybridmpi.simulate(JOB, line(1.0))
    images = hybridmpi.load_job(JOB)
    assert hybridmpi.simulate(images, line(1.0)).status == "complete"
