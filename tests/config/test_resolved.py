import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridmpi.config import Job
from hybridmpi.config.load import load_job, parse_job
from hybridmpi.config.resolved import resolved

JOBS = sorted(Path(__file__).parents[2].glob("jobs/[!e]*.toml"))  # not the experiments
BASE: dict[str, Any] = {"run": {"time_limit_s": 1.0}, "method": {"preset": "sync"}}
STEP = {"schedule": "step", "initial": 1, "every": "3/lr"}
JOIN = {
    "schedule": "join",
    "unit": "seconds",
    "pieces": [STEP, {"schedule": "constant", "value": "workers"}],
    "boundaries": [30.5],
}


def lines(**sections: Any) -> list[str]:
    return resolved(parse_job(BASE | sections, "job")).splitlines()


def read_again(job: Job, width: int = 100) -> Job:
    return parse_job(tomllib.loads(resolved(job, width)), "resolved")


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
@pytest.mark.parametrize("width", [40, 100])
def test_shipped_job_read_again_is_the_same(path: Path, width: int) -> None:
    job = load_job(path)
    assert read_again(job, width) == job


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"method": {"preset": "hybrid", "threshold": JOIN}},
        {"method": {"preset": "m-sync", "threshold": {"schedule": "constant", "value": 3}}},
        {"method": {"preset": "ringmaster", "stale": {"rule": "discard", "limit": 9}}},
        {"optimizer": {"name": "adam", "betas": [0.9, 0.99], "eps": 1e-08, "amsgrad": True}},
        {"optimizer": {"learning_rate": {"schedule": "exponential", "factor": 0.5, "every": 10}}},
        {"data": {"root": "a folder", "augmentation": ["flip", "crop"]}},
        {"data": {"dataset": "my.data:load", "options": {"x y": {"deep": [1, 'a\x7f\n"b\\']}}}},
    ],
)
def test_job_read_again_is_the_same(sections: dict[str, Any]) -> None:
    job = parse_job(BASE | sections, "job")
    assert read_again(job) == job


@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8")), st.floats(0, 1e300, exclude_min=True))
def test_any_text_and_number_survives(text: str, number: float) -> None:
    job = parse_job(
        {
            "run": {"epoch_limit": number},
            "method": {"preset": "sync"},
            "model": {"name": text},
            "data": {"options": {text: text, "number": number}},
        },
        "job",
    )
    assert read_again(job) == job


def test_values_are_the_resolved_ones() -> None:
    job = lines(method={"preset": "hybrid", "threshold": STEP}, optimizer={"learning_rate": 0.05})
    assert any(line.startswith("every = 60.0 ") for line in job)
    assert any(line.startswith('after_push = "wait" ') for line in job)


def test_every_field_is_there_with_its_meaning() -> None:
    job = parse_job(BASE, "job")
    text = " ".join(word for word in resolved(job).split() if word != "#")
    for name, section in job:
        assert f"[{name}]" in text
        for field, info in type(section).model_fields.items():
            assert f"{field} =" in text or f"[{name}.{field}]" in text
            assert info.description
            assert " ".join(info.description.split()) in text


def test_comment_says_where_a_value_comes_from() -> None:
    job = lines(run={"time_limit_s": 9.5, "seed": 3}, data={"batch_size": 64})
    assert "seed = 3                          # every random draw is a function of it" in job
    assert "batch_size = 64                   # samples per gradient" in job
    assert (
        "download = false                  # (default) download what is missing into root, on"
        in ("\n".join(job))
    )
    assert "# step_limit =                    # (not set) number of server steps" in job
    threshold = job.index("[method.threshold]")
    assert job[threshold - 1].startswith("# (preset) number of buffered gradients")
    assert job[threshold + 1].startswith('schedule = "constant"             # The same value')


def test_field_that_differs_from_its_preset_is_the_jobs() -> None:
    job = lines(method={"preset": "sync", "stale": "cancel"})
    assert job[job.index("[method.stale]") - 1] == "# what happens to stale pushes"


@pytest.mark.parametrize("width", [60, 100])
def test_comments_keep_to_the_width(width: int) -> None:
    text = resolved(parse_job(BASE, "job"), width)
    assert width - 12 < max(map(len, text.splitlines())) <= width
