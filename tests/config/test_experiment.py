"""Experiment files: what is read from them, and how mistakes are told."""

from pathlib import Path

import pytest

from hybridmpi.config.experiment import Experiment, label, load_experiment
from hybridmpi.errors import UserError

START = 'job = "job.toml"\nseeds = 2\n'
VARIANTS = '[variants]\nasync.method.preset = "async"\nsync.method.preset = "sync"\n'
DECISION = '[decision]\nreference = "async"\n'


def load(tmp_path: Path, text: str) -> Experiment:
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    return load_experiment(path)


def message(tmp_path: Path, text: str) -> str:
    """Return what is said of an experiment, without the file's name."""
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    return str(caught.value).removeprefix(f"{tmp_path / 'experiment.toml'}: ")


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    experiment = load(tmp_path, START + VARIANTS + DECISION)
    assert experiment.job == tmp_path / "job.toml"
    assert experiment.seeds == (0, 1)
    assert experiment.engine == "simulate"
    assert experiment.compared == ("sync",)
    assert (experiment.decision.outcome, experiment.decision.margin) == (None, None)


def test_axes_have_dotted_names_however_they_are_written(tmp_path: Path) -> None:
    axes = "[axes]\ndata.batch_size = [32, 64]\n'optimizer.learning_rate' = [0.1]\n"
    experiment = load(tmp_path, START + VARIANTS + axes + DECISION)
    assert experiment.axes == {"data.batch_size": (32, 64), "optimizer.learning_rate": (0.1,)}


def test_value_that_is_a_table_is_named_by_its_fields() -> None:
    assert label({"fraction": 0.5, "max_s": 1}) == "fraction=0.5, max_s=1"
    assert label([1, [2, 3]]) == "1, 2, 3"


def test_every_wrong_field_is_named(tmp_path: Path) -> None:
    told = message(tmp_path, "seds = 3\nseeds = 0\n" + VARIANTS + DECISION).splitlines()
    assert told[0].startswith("job: missing (the base job")
    assert "seeds: must be 1 to 1,000,000 or a list, not 0" in told[1]
    assert told[2].endswith("seds: unknown field; did you mean 'seeds' or 'tune_seeds' or 'axes'?")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[decision]\nreference = "asink"', "names the variant 'asink'; did you mean 'async'?"),
        (DECISION + 'variants = ["async"]', "holds the reference, 'async', which is not compared"),
        (DECISION + "level = 1", "decision.level: must be less than 1"),
        (DECISION + "targets = { test_loss = 1 }", "decision.targets"),
        (DECISION + "[axes]\nrun.seed = [1]", "run.seed cannot be varied; give the experiment's"),
        (DECISION + "[axes]\ndata.batch_size = [8, 8]", "data.batch_size holds 8 twice"),
        (DECISION + "[axes]\ndata.batch_size = []", "axes.data.batch_size: needs at least 1"),
        (
            DECISION + '[axes]\nmethod.preset = ["async"]',
            "variant 'async' sets method.preset, which is an axis, too; keep one of them",
        ),
    ],
)
def test_mistake_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert told in message(tmp_path, START + VARIANTS + text)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('engine = "mpi"', "`ranks` goes with engine 'mpi', which needs it"),
        ("ranks = 5", "`ranks` goes with engine 'mpi'"),
        ("validation = 0.2", "`validation` goes with `tune`, which names an axis"),
        ('tune = "data.batch"', "must name an axis; did you mean 'data.batch_size' or"),
        ('tune = "data.shards"', "needs an axis of numbers, but data.shards has other values"),
    ],
)
def test_mistake_about_engine_or_tuning_is_told(tmp_path: Path, line: str, told: str) -> None:
    axes = '[axes]\ndata.batch_size = [8, 16]\ndata.shards = ["stride", "contiguous"]\n'
    assert told in message(tmp_path, START + line + "\n" + VARIANTS + axes + DECISION)


def test_seed_that_tunes_does_not_decide(tmp_path: Path) -> None:
    start = 'job = "job.toml"\ntune = "data.batch_size"\nseeds = [0, 1_000_000]\n'
    axes = "[axes]\ndata.batch_size = [8, 16]\n"
    assert "seeds from 1,000,000 on are for tuning" in message(
        tmp_path, start + VARIANTS + axes + DECISION
    )


def test_missing_file_is_told_as_an_experiment(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the experiment file .* cannot be read: No such file"):
        load_experiment(tmp_path / "none.toml")
