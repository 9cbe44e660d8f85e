"""The [simulate] section and the damping rules: what is read, and how mistakes are told."""

from pathlib import Path

import pytest

from hybridmpi.config import Job, load_job
from hybridmpi.errors import UserError

JOB = """
run = { time_limit_s = 20 }
method = { preset = "async" }
simulate = { workers = 4, learning = false }
"""


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    return path


def damping(job: Job) -> list[float]:
    return [job.as_protocol().stale.damping(staleness) for staleness in (0, 1, 3)]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["workers=0"], ".workers: must be greater than or equal to 1, not 0"),
        (["wrokers=3"], ".wrokers: unknown field; did you mean 'workers'"),
        (["compute_per_sample_s=0"], ": a gradient takes no time; set compute_fixed_s or compute_"),
        (["compute_per_sample_s=-1"], ".compute_per_sample_s: must be greater than or equal to 0"),
        (["compute_fixed_s=nan"], ".compute_fixed_s: must be finite, not nan"),
        (["compute_fixed_s=inf"], ".compute_fixed_s: must be finite, not inf"),
        (["compute_fixed_s=1e300"], ".compute_fixed_s: must be less than 1000000000, not 1e+300"),
        (["compute_per_sample_s=1e9"], ".compute_per_sample_s: must be less than 1000000000, not"),
        (["latency_s=[1e300]"], ".latency_s.0: must be less than 1000000000, not 1e+300"),
        (["resend_s=1e300"], ".resend_s: must be less than 1000000000, not 1e+300"),
        (["server_per_step_s=1e300"], ".server_per_step_s: must be less than 1000000000, not 1e"),
        (["server_per_gradient_s=1e300"], ".server_per_gradient_s: must be less than 1000000000"),
        (["slowness=[1e300]"], ".slowness.0: must be less than 1000000000, not 1e+300"),
        (["bandwidth_bytes_per_s=[1e-300]"], ".bandwidth_bytes_per_s.0: must be greater than or"),
        (["message_bytes=1000000000001"], ".message_bytes: must be less than or equal to 10000000"),
        (["workers=1000001"], ".workers: must be less than or equal to 1000000, not 1000001"),
        (["jitter={distribution='lognormal',sigma=1e200}"], ".jitter.sigma: must be less than 10"),
        (["jitter={distribution='empirical',factors=[1e300]}"], ".jitter.factors.0: must be less"),
        (["latency_s=[0.1, -0.1]"], ".latency_s.1: must be greater than or equal to 0, not -0.1"),
        (["latency_s=0.1"], ".latency_s: must be a list in square brackets, not 0.1"),
        (["resend_s=-1"], ".resend_s: must be greater than or equal to 0, not -1"),
        (["server_per_step_s=-1"], ".server_per_step_s: must be greater than or equal to 0"),
        (["server_per_gradient_s=nan"], ".server_per_gradient_s: must be finite, not nan"),
        (["slowness=[0]"], ".slowness.0: must be greater than 0, not 0"),
        (["slowness=[]"], ": `slowness` is an empty list; give at least one value"),
        (["latency_s=[]"], ": `latency_s` is an empty list; give at least one value"),
        (["loss=[]"], ": `loss` is an empty list; give at least one value"),
        (["loss=[1]"], ".loss.0: must be less than 1, not 1"),
        (["loss=[nan]"], ".loss.0: must be less than 1, not nan"),
        (["loss=[-0.1]"], ".loss.0: must be greater than or equal to 0, not -0.1"),
        (
            ["bandwidth_bytes_per_s=[0]"],
            ".bandwidth_bytes_per_s.0: must be greater than or equal t",
        ),
        (["bandwidth_bytes_per_s=[1e6]"], ": without a model (learning = false) the size of a mes"),
        (["message_bytes=0"], ".message_bytes: must be greater than or equal to 1, not 0"),
        (["workers_per_host=0"], ".workers_per_host: must be greater than or equal to 1, not 0"),
        (["cores_per_host=0"], ".cores_per_host: must be greater than or equal to 1, not 0"),
        (["jitter.distribution=normal"], ".jitter.distribution: must be 'constant', 'lognormal',"),
        (["jitter.distribution=lognormal"], ".jitter: jitter 'lognormal' needs `sigma`"),
        (["jitter.distribution=pareto"], ".jitter: jitter 'pareto' needs `shape`"),
        (["jitter.distribution=empirical"], ".jitter: jitter 'empirical' needs `factors`"),
        (["jitter.sigma=1"], ".jitter: jitter 'constant' does not take `sigma`"),
        (["jitter.shape=2"], ".jitter: jitter 'constant' does not take `shape`"),
        (
            ["jitter.distribution=lognormal", "jitter.sigma=0"],
            ".jitter.sigma: must be greater than 0, not 0",
        ),
        (
            ["jitter.distribution=exponential", "jitter.factors=[1]"],
            ".jitter: jitter 'exponential' does not take `factors`",
        ),
        (
            ["jitter.distribution=pareto", "jitter.shape=1"],
            ".jitter.shape: must be greater than 1, not 1",
        ),
        (
            ["jitter.distribution=pareto", "jitter.shape=3", "jitter.sigma=1"],
            ".jitter: jitter 'pareto' does not take `sigma`",
        ),
        (
            ["jitter.distribution=empirical", "jitter.factors=[]"],
            ".jitter: jitter 'empirical' needs `factors`",
        ),
        (
            ["jitter.distribution=empirical", "jitter.factors=[1, -2]"],
            ".jitter.factors.1: must be greater than 0, not -2",
        ),
    ],
)
def test_mistake_is_told_with_what_is_allowed(
    job_file: Path, settings: list[str], told: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_job(job_file, [f"simulate.{setting}" for setting in settings])
    assert str(caught.value).startswith(f"{job_file}: simulate{told}")


@pytest.mark.parametrize("field", ["delays.min_s", "delays.max_s", "run.straggler_limit_s"])
def test_seconds_without_sense_are_refused_everywhere(job_file: Path, field: str) -> None:
    with pytest.raises(UserError, match=rf"{field}: must be less than 1000000000, not 1e\+300"):
        load_job(job_file, [f"{field}=1e300"])


def test_fixed_or_per_sample_time_is_enough(job_file: Path) -> None:
    job = load_job(job_file, ["simulate.compute_fixed_s=1", "simulate.compute_per_sample_s=0"])
    assert job.simulate.compute_fixed_s == 1


@pytest.mark.parametrize("setting", ["message_bytes=1000", "learning=true"])
def test_bandwidth_goes_with_a_known_size(job_file: Path, setting: str) -> None:
    settings = [f"simulate.{setting}", "simulate.bandwidth_bytes_per_s=[1e6]"]
    assert load_job(job_file, settings).simulate.bandwidth_bytes_per_s == (1e6,)


@pytest.mark.parametrize(
    ("stale", "factors"),
    [
        ("accept", [1, 1, 1]),
        ("inverse", [1, 1, 1 / 3]),
        ("inverse-sqrt", [1, 2**-0.5, 1 / 2]),
        ("{rule = 'inverse'}", [1, 1, 1 / 3]),
        ("{rule = 'power', exponent = 0.5}", [1, 2**-0.5, 1 / 2]),
        ("{rule = 'power', exponent = 2}", [1, 1 / 4, 1 / 16]),
    ],
)
def test_damping_rule_is_read(job_file: Path, stale: str, factors: list[float]) -> None:
    assert damping(load_job(job_file, [f"method.stale={stale}"])) == pytest.approx(factors)


@pytest.mark.parametrize(
    ("stale", "told"),
    [
        ("power", ": `exponent` goes with rule 'power', which needs it, and no other"),
        ("{rule = 'inverse', exponent = 1}", ": `exponent` goes with rule 'power', which needs"),
        ("{rule = 'power', exponent = 1, limit = 3}", ": `limit` goes with rule 'discard', which"),
        ("{rule = 'power', exponent = 0}", ".exponent: must be greater than 0, not 0"),
        ("{rule = 'power', exponent = nan}", ".exponent: must be finite, not nan"),
        ("invers", ".rule: must be 'accept', 'discard', 'cancel', 'inverse', 'inverse-sqrt' or"),
    ],
)
def test_misplaced_parameter_of_a_rule_is_refused(job_file: Path, stale: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        load_job(job_file, [f"method.stale={stale}"])
    assert str(caught.value).startswith(f"{job_file}: method.stale{told}")
