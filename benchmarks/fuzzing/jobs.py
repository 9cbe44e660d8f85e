"""Job files and settings: the project's own jobs, altered as text and by structure."""

import tomllib
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.case import Case
from fuzzing.damage import damaged
from fuzzing.toml_values import altered, number, schedule, value
from hybridmpi.config import Job, load_job
from hybridmpi.config.experiment import load_experiment
from hybridmpi.config.job import Job as AnyJob
from hybridmpi.config.resolved import resolved
from hybridmpi.core.schedule import Progress
from hybridmpi.core.threshold import threshold

JOBS = Path(__file__).parents[2] / "jobs"
_NEEDED = (
    *(("constant", ("value",)), ("step", ("every",)), ("linear", ("slope",))),
    *(("polynomial", ("final", "duration")), ("exponential", ("factor", "every"))),
)
_PROGRESS = (
    *(Progress(0, 0, 0.0), Progress(1, 0, 1e-9), Progress(7, 3, 0.5), Progress(1000, 999, 99.0)),
    Progress(10**9, 10**8, 1e7),
)


class Jobs:
    """Job files, and experiment files now and then."""

    most_mib = 200

    def __init__(self, folder: Path) -> None:
        del folder
        self._jobs = [path.read_text() for path in JOBS.glob("*.toml") if _is_job(path)]
        self._experiments = [p.read_text() for p in JOBS.glob("*.toml") if not _is_job(p)]

    def case(self, rng: Random, folder: Path) -> Case:
        is_job = rng.random() < 0.85
        text = rng.choice(self._jobs if is_job else self._experiments)
        what, content = _changed(rng, text)
        path = folder / "job.toml"
        path.write_bytes(content)
        if not is_job:
            return Case(f"experiment: {what}", lambda: load_experiment(path))
        settings = [setting(rng) for _ in range(rng.choice((0, 0, 1, 3)))]
        (folder / "settings.txt").write_text("\n".join(settings))
        return Case(f"{what}, {settings}", lambda: use(load_job(path, settings)))


class Schedules:
    """Settings of the threshold and the learning rate, over a job that is right."""

    most_mib = 200

    def __init__(self, folder: Path) -> None:
        del folder

    def case(self, rng: Random, folder: Path) -> Case:
        fields = ["method.threshold", "optimizer.learning_rate"]
        given = [f"{field}={_expression(rng)}" for field in rng.sample(fields, rng.choice((1, 2)))]
        if rng.random() < 0.2:
            given = [altered(rng, text) for text in given]
        (folder / "settings.txt").write_text("\n".join(given), errors="surrogatepass")
        return Case(str(given), lambda: use(load_job(JOBS / "quickstart.toml", given)))


def use(job: Job) -> None:
    """Ask of a job what a run asks of it."""
    resolved(job)
    job.output("name")
    method = job.as_protocol()
    job.limits(1000)
    for progress in _PROGRESS:
        for workers in (1, 1000):
            threshold(method.threshold, progress, workers)
        rate = method.learning_rate(progress)
        if not rate >= 0:
            raise ArithmeticError(f"the learning rate is {rate} at {progress}")


def setting(rng: Random) -> str:
    """Return what may stand behind --set."""
    section = rng.choice(list(AnyJob.model_fields))
    model = AnyJob.model_fields[section].annotation
    names = list(getattr(model, "model_fields", {"x": None}))
    field = rng.choice((f"{section}.{rng.choice(names)}", section, "run", "", ".", "a.b.c.d", "=="))
    text = f"{field}={value(rng)}"
    return altered(rng, text) if rng.random() < 0.2 else text


def _is_job(path: Path) -> bool:
    return "method" in tomllib.loads(path.read_text())


def _expression(rng: Random) -> str:
    match rng.randrange(6):
        case 0:
            return schedule(rng)
        case 1:
            return value(rng)
        case 2:
            factor = rng.choice(("3", "0", "-1", "1e3", ".5", "5.", "1.2.3", "", "9" * 500, "٣"))
            return rng.choice((f"{factor}/lr", f"{factor}*lr", f"{factor} * lr", f"lr*{factor}"))
        case _:
            name, needed = rng.choice(_NEEDED)
            fields = [f"{field} = {number(rng)}" for field in needed]
            extra = rng.choice(("initial", "increment", "final", "every", "unit"))
            held = value(rng) if rng.random() < 0.5 else number(rng)
            fields += [f"{extra} = {held}"] * (extra not in needed)
            return f'{{ schedule = "{name}", {", ".join(fields)} }}'


def _changed(rng: Random, text: str) -> tuple[str, bytes]:
    match rng.randrange(4):
        case 0:
            return "bytes", damaged(rng, text.encode())
        case 1:
            return "text", altered(rng, text).encode(errors="surrogatepass")
        case 2:
            return "lines", _shuffled(rng, text).encode()
    return "structure", _rewritten(rng, tomllib.loads(text)).encode()


def _shuffled(rng: Random, text: str) -> str:
    lines = text.splitlines()
    for _ in range(rng.randrange(1, 5)):
        line = lines.pop(rng.randrange(len(lines)))
        if rng.random() < 0.6:
            for _ in range(rng.choice((1, 1, 2))):
                lines.insert(rng.randrange(len(lines) + 1), line)
    return "\n".join(lines)


def _rewritten(rng: Random, tree: dict[str, Any]) -> str:
    """Write a tree as TOML again, with odd values here and there."""
    share = rng.choice((0.02, 0.1, 0.3))
    lines: list[str] = []
    for name, section in tree.items():
        if rng.random() < share:
            lines.insert(0, f"{name} = {value(rng)}")  # before all tables
            continue
        lines.append(f"[{name}]")
        lines += _fields(rng, section if isinstance(section, dict) else {}, share)
    if rng.random() < 0.2:
        lines += [f"[{rng.choice(list(AnyJob.model_fields))}.x]", f"y = {value(rng)}"]
    return "\n".join(lines)


def _fields(rng: Random, section: dict[str, Any], share: float) -> list[str]:
    lines = [
        f"{name} = {value(rng) if rng.random() < share else _plain(held)}"
        for name, held in section.items()
        if rng.random() > share / 3
    ]
    if rng.random() < share:
        lines.append(f"{rng.choice(('x', 'seed', 'name', 'schedule'))} = {value(rng)}")
    return lines


def _plain(held: Any) -> str:
    if isinstance(held, dict):
        return "{" + ", ".join(f"{key} = {_plain(inner)}" for key, inner in held.items()) + "}"
    if isinstance(held, list):
        return f"[{', '.join(map(_plain, held))}]"
    if isinstance(held, bool):
        return str(held).lower()
    return f'"{held}"' if isinstance(held, str) else repr(held)
