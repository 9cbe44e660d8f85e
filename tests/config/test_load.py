"""Job files and --set: what is read from them, and how mistakes are told."""

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridmpi.config import load_job
from hybridmpi.config.job import MethodSection
from hybridmpi.config.load import change_job, parse_job
from hybridmpi.config.schedules import SCHEDULES
from hybridmpi.core.presets import PRESETS
from hybridmpi.core.schedule import Progress
from hybridmpi.core.threshold import threshold
from hybridmpi.errors import UserError

JOB = """
[run]
time_limit_s = 20

[method]
preset = "hybrid"
threshold = { schedule = "step", initial = 1, increment = 2, every = "3/lr" }

[optimizer]
learning_rate = 0.05
"""


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    return path


def message(path: Path, *sets: str) -> str:
    """Return what is said of a job, without the file's name."""
    with pytest.raises(UserError) as caught:
        load_job(path, sets)
    return str(caught.value).removeprefix(f"{path}: ")


def test_fields_are_replaced_in_order(job_file: Path) -> None:
    job = load_job(job_file, ["run.seed=3", "run.seed = 4", "optimizer.momentum=0.9"])
    assert job.run.seed == 4
    assert job.optimizer.options == {"momentum": 0.9}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("run.output=runs/a.h5", "runs/a.h5"),
        ("run.output='runs/a.h5'", "runs/a.h5"),
        ("run.output=#1", "#1"),
        ("run.output=1\nrun = 2", "1\nrun = 2"),
        ("run.output=a=b", "a=b"),
    ],
)
def test_value_is_toml_or_a_bare_word(job_file: Path, setting: str, value: str) -> None:
    assert load_job(job_file, [setting]).run.output == value


def test_empty_value_takes_a_field_out(job_file: Path) -> None:
    job = load_job(job_file, ["run.time_limit_s=", "run.step_limit=5", "method.threshold.initial="])
    assert job.run.time_limit_s is None
    assert job.as_protocol().threshold(Progress(0, 0, 0.0)) == 1.0  # its default
    assert load_job(job_file, ["data.root="]).data.root is None  # it was not there


def test_another_schedule_drops_the_parameters_of_the_old_one(job_file: Path) -> None:
    job = load_job(job_file, ["method.threshold.schedule=linear", "method.threshold.slope=lr"])
    assert job.method.threshold is not None
    assert job.method.threshold.model_dump() == {
        "schedule": "linear",
        "unit": "gradients",
        "initial": 0.0,
        "slope": 0.05,
        "final": None,
    }


def test_the_same_schedule_keeps_its_parameters(job_file: Path) -> None:
    assert load_job(job_file, ["method.threshold.schedule=step"]) == load_job(job_file)


@pytest.mark.parametrize(
    ("expression", "every"),
    [("'3/lr'", 60.0), ("3/lr", 60.0), ("5 / lr", 100.0), ("lr", 0.05), ("2*lr", 0.1), ("7", 7.0)],
)
def test_expressions_stand_for_the_initial_learning_rate(
    job_file: Path, expression: str, every: float
) -> None:
    job = load_job(job_file, [f"method.threshold.every={expression}"])
    assert job.method.threshold is not None
    assert job.method.threshold.model_dump()["every"] == pytest.approx(every, rel=1e-15)


def test_expressions_take_the_first_value_of_a_learning_rate_schedule(job_file: Path) -> None:
    rate = "{schedule='exponential', initial=0.5, factor=0.1, every=100}"
    job = load_job(job_file, [f"optimizer.learning_rate={rate}"])
    assert job.method.threshold is not None
    assert job.method.threshold.model_dump()["every"] == 6.0


@pytest.mark.parametrize(
    ("name", "fixed", "after_push", "stale"),
    [  # the table of methods in the design
        ("sync", "workers", "wait", "accept"),
        ("async", 1.0, "wait", "accept"),
        ("hybrid", None, "wait", "accept"),
        ("reverse-hybrid", None, "wait", "accept"),
        ("k-async", None, "wait", "accept"),
        ("k-batch-async", None, "continue", "accept"),
        ("m-sync", None, "wait", 1),
        ("k-sync", None, "wait", "cancel"),
        ("rennala", None, "continue", 1),
        ("ringmaster", 1.0, "continue", 7),
    ],
)
def test_preset_fills_in_what_it_fixes(
    name: str, fixed: Any, after_push: str, stale: str | int
) -> None:
    given: dict[str, Any] = {"preset": name}
    if fixed is None:
        given["threshold"] = {"schedule": "constant", "value": 4}
    if name == "ringmaster":
        given["stale"] = {"rule": "discard", "limit": 7}
    method = MethodSection.model_validate(given)
    assert method.threshold is not None
    assert method.threshold.model_dump()["value"] == (fixed or 4)
    assert method.after_push == after_push
    assert method.stale is not None
    assert (method.stale.limit or method.stale.rule) == stale


def test_every_preset_is_in_the_table_above() -> None:
    assert len(PRESETS) == 10


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.constant])
def test_presets_with_a_constant_threshold_refuse_another_one(job_file: Path, name: str) -> None:
    assert message(job_file, f"method.preset={name}") == (
        f"method: preset '{name}' needs a threshold like {{ schedule = 'constant', value = 4 }}"
    )


def test_preset_that_fixes_the_threshold_overrules_the_jobs(job_file: Path) -> None:
    job = load_job(job_file, ["method.preset=async"])
    assert job.as_protocol().threshold(Progress(10**6, 0, 0.0)) == 1.0


def test_given_fields_overrule_the_preset(job_file: Path) -> None:
    job = load_job(job_file, ["method.after_push=continue", "method.stale=cancel"])
    assert job.method.after_push == "continue"
    assert job.method.cancels
    assert job.method.fields_of_preset == frozenset()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("run.sed=3", "run.sed: unknown field; did you mean 'seed'?"),
        ("run.step=3", "run.step: unknown field; did you mean 'step_limit' or 'seed'?"),
        ("rum.seed=3", "rum: unknown field; did you mean 'run'?"),
        ("a.b.c=3", "a: unknown field; allowed: checkpoint, data, delays, evaluation, faults, "),
        ("method.threshold.evry=3", "method.threshold.evry: unknown field; did you mean 'every'?"),
        ("method.preset=hybird", "method.preset: there is no preset 'hybird'; did you mean 'hybr"),
        ("method.preset=lr", "method.preset: there is no preset 'lr'; allowed: async, hybrid, "),
        (
            "method.threshold.schedule=stepp",
            "method.threshold: there is no schedule 'stepp'; did you mean 'step'?",
        ),
        (
            "method.threshold={value=3}",
            "method.threshold: needs a `schedule`; allowed: constant, exponential, join, linear, ",
        ),
        ("method.threshold.schedule=linear", "method.threshold.slope: missing (what is added per"),
        ("method.threshold=4", "method.threshold: must be a table, not 4"),
        ("method.threshold=", "method: preset 'hybrid' needs a threshold like { schedule = 'step'"),
        (
            "method.threshold.initial=0.5",
            "method.threshold: the threshold is 0.5, but must be at least 1; 1 is asynchronous",
        ),
        (
            "method.threshold={schedule='constant',value=0}",
            "method.threshold: the threshold is 0, but must be at least 1; 1 is asynchronous",
        ),
        (
            "method.threshold={schedule='constant',value=nan}",
            "method.threshold.value: must be finite, not nan",
        ),
        (
            "method.threshold={schedule='linear',initial=-1,slope=1}",
            "method.threshold: the threshold is -1, but must be at least 0",
        ),
        (
            "method.threshold={schedule='join',boundaries=[9],"
            "pieces=[{schedule='constant',value=3},{schedule='constant',value=0}]}",
            "method.threshold: the threshold is 0, but must be at least 1",
        ),
        (
            "method.threshold={schedule='join',boundaries=[9,9],"
            "pieces=[{schedule='constant',value=3},{schedule='constant',value=1}]}",
            "method.threshold: 2 pieces need 1 growing boundaries, not [9.0, 9.0]",
        ),
        (
            "method.threshold={schedule='join',boundaries=[9],pieces=[{schedule='constant'}]}",
            "method.threshold.pieces.0.value: missing (the value; ",
        ),
        (
            "method.threshold.every=0/lr",
            "method.threshold.every: must be greater than or equal to 0.000000001, not 0.0",
        ),
        ("method.aggregation=median", "method.aggregation: must be 'mean', 'sum' or 'sqrt', not "),
        ("method.stale=discard", "method.stale: `limit` goes with rule 'discard', which needs it"),
        ("method.preset=ringmaster", "method: preset 'ringmaster' needs the staleness from which"),
        ("faults.lost_shard=keep", "faults.lost_shard: must be 'redistribute' or 'drop', not "),
        ("faults.timeout_s=0", "faults.timeout_s: must be greater than 0, not 0"),
        ("delays.max_s=600", "the job: faults.timeout_s is 600, but a delayed worker may take "),
        ("optimizer.learning_rate=0", "optimizer.learning_rate: the learning rate is 0, but must"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate: the learning rate is -1, but mu"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate: the learning rate is nan, but "),
        ("optimizer.learning_rate=inf", "optimizer.learning_rate: the learning rate is inf, but "),
        ("optimizer.learning_rate=fast", "optimizer.learning_rate: must be a number, not 'fast'"),
        ("optimizer.learning_rate=true", "optimizer.learning_rate: must be a number, not True"),
        (
            "optimizer.learning_rate={schedule='stp'}",
            "optimizer.learning_rate: there is no schedule 'stp'; did you mean 'step'?",
        ),
        (
            "optimizer.learning_rate={schedule='constant',value=0}",
            "optimizer.learning_rate: the learning rate goes through [0.0], but must begin above 0",
        ),
        (
            "optimizer.learning_rate={schedule='step',every=9,final=0}",
            "optimizer.learning_rate: the learning rate goes through [0.0, 1.0], but must begin",
        ),
        (
            "optimizer.learning_rate={schedule='linear',initial=0.1,slope=-0.001}",
            "optimizer.learning_rate: the learning rate falls below 0; give `final`, where it st",
        ),
        ("delays.min_s=-1", "delays.min_s: must be greater than or equal to 0, not -1"),
        ("delays.max_s=-0.5", "delays.max_s: must be greater than or equal to 0, not -0.5"),
        ("delays.min_s=2", "delays: min_s is 2.0, but must not exceed max_s (0.0)"),
        ("delays.fraction=1.5", "delays.fraction: must be less than or equal to 1, not 1.5"),
        ("data.batch_size=0", "data.batch_size: must be greater than or equal to 1, not 0"),
        ("data.batch_size='8'", "data.batch_size: must be a whole number, not '8'"),
        ("data.validation=1", "data.validation: must be less than or equal to 0.9, not 1"),
        ("data.validation=-0.1", "data.validation: must be greater than or equal to 0, not -0.1"),
        ("data.validation='10 %'", "data.validation: must be a number, not '10 %'"),
        ("data.augmentation=flip", "data.augmentation: must be a list in square brackets, not 'f"),
        ("evaluation.every_s=0", "evaluation.every_s: must be greater than 0, not 0"),
        ("run.time_limit_s=", "run: the run has no end; set time_limit_s, gradient_limit, "),
        ("run.seed=1.5", "run.seed: must be a whole number, not 1.5"),
        ("run.seed=0x" + "f" * 5000, "run.seed: must be less than 9223372036854775808, not a num"),
        ("run.seed=" + "1" * 5000, "run.seed: must be a whole number, not '1111111"),
        ("run=3", "run: must be a table, not 3"),
        ("run.seed.x=1", "run.seed: must be a whole number"),
        ("run.time_limit_s.x=1", "--set run.time_limit_s.x=1: 'time_limit_s' is a value, not a t"),
        ("run.seed", "--set run.seed: must be section.field=value, e.g. --set run.seed=3"),
        ("=3", "--set =3: must be section.field=value, e.g. --set run.seed=3"),
        ("run..seed=3", "--set run..seed=3: must be section.field=value, e.g. --set run.seed=3"),
    ],
)
def test_mistake_is_told_with_what_is_allowed(job_file: Path, setting: str, told: str) -> None:
    said = message(job_file, setting)
    assert said.startswith(told)
    assert len(said.replace(str(job_file), "job.toml")) < 300


@pytest.mark.parametrize(
    "nonsense", ["3//lr", "1e400/lr", "lr*2", "3/", "lr/3", "-3/lr", "1.2.3/lr"]
)
def test_nonsense_is_no_expression(job_file: Path, nonsense: str) -> None:
    assert message(job_file, f"method.threshold.every='{nonsense}'") == (
        "method.threshold.every: must be a number, or '3/lr', 'lr' or '2*lr', where lr is the "
        f"initial learning rate, not '{nonsense}'"
    )


def test_overflowing_expression_is_not_finite(job_file: Path) -> None:
    assert "method.threshold.every: must be finite, not inf" in message(
        job_file, f"method.threshold.every='1{'0' * 400}/lr'"
    )


def test_all_mistakes_are_told_at_once(job_file: Path) -> None:
    said = message(job_file, "run.sed=1", "optimizer.learning_rate=0").splitlines()
    assert [line.split(": ")[-2].split(".")[-1] for line in said] == ["sed", "learning_rate"]


@pytest.mark.parametrize("text", ["", "[method]\npreset = 'sync'"])
def test_job_without_end_is_refused(job_file: Path, text: str) -> None:
    job_file.write_text(text)
    assert message(job_file).startswith("run: missing (when the run ends; set at least run.time_")


def test_job_without_method_is_refused(job_file: Path) -> None:
    job_file.write_text("run.time_limit_s = 1")
    assert message(job_file).startswith("method: preset 'hybrid' needs a threshold like")


@pytest.mark.parametrize("content", [b"run = ", b"a = 1" + b"1" * 5000, b"[" * 9000])
def test_file_that_is_no_toml_is_refused(job_file: Path, content: bytes) -> None:
    job_file.write_bytes(content)
    assert message(job_file).startswith(f"{job_file} is not a TOML file: ")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_files_of_other_systems_are_read(job_file: Path, encoding: str) -> None:
    job_file.write_bytes(
        "# Größe\r\nrun.time_limit_s = 3\r\nmethod.preset = 'sync'".encode(encoding)
    )
    assert load_job(job_file).run.time_limit_s == 3


def test_latin_1_is_refused_with_the_place_and_what_to_do(job_file: Path) -> None:
    job_file.write_bytes("run.time_limit_s = 3\nrun.output = 'Größe.h5'".encode("latin-1"))
    assert message(job_file) == (
        f"the job file {job_file} is not UTF-8 text: line 2, column 17 holds the byte 0xf6 "
        "('run.output = 'Größe.h5'' if it is Latin-1); save it as UTF-8"
    )


def test_paths_of_a_job_are_those_that_a_shell_would_make(
    job_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/people/ada")
    monkeypatch.setenv("SCRATCH", "/scratch")
    job_file.write_text(
        "run = { time_limit_s = 3, output = '~/runs/{job}.h5' }\nmethod.preset = 'sync'\n"
        "model.initial = '$SCRATCH/a.safetensors'\nsimulate.trace = '~/trace.csv'"
    )
    job = load_job(job_file, ["data.root=${SCRATCH}/data"])
    assert str(job.output("job")) == "/people/ada/runs/job.h5"
    assert str(job.model.initial) == "/scratch/a.safetensors"
    assert str(job.simulate.trace) == "/people/ada/trace.csv"
    assert str(job.data.root) == "/scratch/data"
    assert change_job(job.model_dump(mode="json"), (), "run.h5") == job


def test_variable_that_is_not_set_is_an_error_only_where_the_run_is_to_be(job_file: Path) -> None:
    job_file.write_text("run.time_limit_s = 3\nmethod.preset = 'sync'")
    setting = ["run.output=$NOT_SET_HERE/run.h5"]
    with pytest.raises(UserError, match=r"run\.output: .*\$NOT_SET_HERE, which is not set"):
        load_job(job_file, setting)
    assert load_job(job_file, setting, elsewhere=True).run.output == "$NOT_SET_HERE/run.h5"


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nope\.toml cannot be read: No such file or directory"):
        load_job(tmp_path / "nope.toml")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_job(tmp_path)


def test_huge_file_is_refused(job_file: Path) -> None:
    job_file.write_bytes(b"#" * (1 << 21))
    assert message(job_file) == f"the job file {job_file} is larger than 1 MiB; is it one?"


@pytest.mark.parametrize("section", ["method", "method.threshold", "data.options", "optimizer"])
def test_depth_without_end_is_refused(job_file: Path, section: str) -> None:
    assert message(job_file, f"{section}{'.a' * 5000}=1")


def test_shipped_jobs_load() -> None:
    paths = Path(__file__).parents[2].glob("jobs/[!e]*.toml")  # not the experiments
    jobs = {path.stem: load_job(path) for path in paths}
    paper = jobs["cifar10"]
    at = paper.as_protocol().threshold
    every = 3 / paper.optimizer.initial_learning_rate
    assert [at(Progress(round(n), 0, 0.0)) for n in (0, every - 1, every, 24 * every)] == [
        *(1.0, 1.0, 2.0, 25.0)
    ]
    assert (paper.data.batch_size, paper.run.time_limit_s) == (32, 100)
    assert paper.delays.fraction == 0.0


def accepted_or_told(tree_or_path: dict[str, Any] | Path, *sets: str) -> None:
    """Load a job, which may only raise UserError; an accepted one must be able to run."""
    with suppress(UserError):
        if isinstance(tree_or_path, Path):
            job = load_job(tree_or_path, sets)
        else:
            job = parse_job(tree_or_path, "job")
        method = job.as_protocol()
        for progress in (Progress(0, 0, 0.0), Progress(1, 1, 0.1), Progress(10**9, 10**6, 1e5)):
            assert 1 <= threshold(method.threshold, progress, 25) <= 25
            assert 0 <= method.learning_rate(progress) < math.inf


SECTIONS = ("run", "method", "data", "model", "optimizer", "delays", "evaluation")
FIELDS = ("seed", "time_limit_s", "output", "preset", "threshold", "stale", "learning_rate")
PARAMETERS = ("schedule", "every", "initial", "final", "value", "pieces", "boundaries", "unit")
OTHERS = ("momentum", "root", "options", "augmentation", "min_s", "batch_size", "a")
NAMES = st.sampled_from([*SECTIONS, *FIELDS, *PARAMETERS, *OTHERS])
WORDS = st.sampled_from(
    ["3/lr", "lr", "0/lr", "step", "join", "linear", "constant", "workers", "sync", "discard", ""]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
QUICK = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(
    st.lists(NAMES, min_size=1, max_size=4),
    WORDS | st.text(max_size=20) | st.sampled_from(["nan", "0x" + "f" * 4000, "[[]]", "{a=1}"]),
)
def test_no_setting_does_anything_but_be_accepted_or_told(
    job_file: Path, keys: list[str], value: str
) -> None:
    accepted_or_told(job_file, f"{'.'.join(keys)}={value}")


@QUICK
@given(st.text(max_size=30))
def test_no_text_behind_set_does_anything_but_be_accepted_or_told(
    job_file: Path, setting: str
) -> None:
    accepted_or_told(job_file, setting)


@QUICK
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_file_does_anything_but_be_accepted_or_told(job_file: Path, content: bytes) -> None:
    job_file.write_bytes(content)
    accepted_or_told(job_file)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 50) | st.just("3/lr")
KINDS = st.sampled_from(["constant", "step", "linear", "polynomial", "exponential"])
NEEDED = ("value", "every", "slope", "final", "power", "duration", "factor")
PIECES = st.fixed_dictionaries(
    {"schedule": KINDS, **dict.fromkeys(NEEDED, NUMBERS)},
    optional=dict.fromkeys(["initial", "increment"], NUMBERS),
)


@QUICK
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=5), max_size=5))
def test_no_tree_does_anything_but_be_accepted_or_told(tree: dict[str, Any]) -> None:
    accepted_or_told(tree)
    accepted_or_told({"run": {"time_limit_s": 1.0}, **tree})


@settings(max_examples=500)
@given(PIECES, st.sampled_from(["threshold", "learning_rate"]))
def test_accepted_schedule_has_a_value_everywhere(piece: dict[str, Any], place: str) -> None:
    method = {"preset": "hybrid", "threshold": {"schedule": "constant", "value": 1}}
    tree: dict[str, Any] = {"run": {"step_limit": 1}, "method": method, "optimizer": {}}
    allowed = SCHEDULES[piece["schedule"]].model_fields
    table = {key: value for key, value in piece.items() if key in allowed}
    tree["method" if place == "threshold" else "optimizer"][place] = table
    accepted_or_told(tree)


@pytest.mark.parametrize("config", [[], "job", None, {"method": []}])
def test_what_is_no_job_cannot_be_changed(config: object) -> None:
    with pytest.raises(UserError, match=r"run\.h5 holds no job"):
        change_job(config, ["method.preset=sync", "run.gradient_limit=3"], "run.h5")


@pytest.mark.parametrize(("data", "expected"), [({}, "keep"), ({"last_batch": "drop"}, "drop")])
def test_recorded_job_keeps_to_what_was_done_before_a_field_existed(
    data: dict[str, str], expected: str
) -> None:
    tree = {"run": {"step_limit": 1}, "method": {"preset": "sync"}, "data": data}
    assert change_job(tree, (), "run.h5").data.last_batch == expected
    del tree["data"]
    assert change_job(tree, (), "run.h5").data.last_batch == "keep"
    assert parse_job(tree, "job").data.last_batch == "spread"
