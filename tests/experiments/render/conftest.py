"""A report as a comparison gives it: 3 methods in 4 cells, 8 figures; the numbers are made up."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridmpi.experiments.document import Document, Note, Picture, Section, TableOf, Tone

METHODS = {"async": "#0072B2", "sync": "#E69F00", "hybrid 3/lr": "#009E73"}
CELLS = [(32, 0.01), (32, 0.05), (64, 0.01), (64, 0.05)]
TIME_S = np.linspace(0, 100, 21)


@pytest.fixture(scope="session")
def comparison() -> Document:
    return Document(
        "Hybrid, synchronous and asynchronous SGD on CIFAR-10",
        summary=(
            Note(
                "hybrid 3/lr is better than async at batch 32, rate 0.05: +1.42 points of test "
                "accuracy, 95 % interval +0.97 to +1.87, adjusted p = 0.004.",
                "good",
            ),
            Note("hybrid 3/lr is worse than async at batch 32, rate 0.01: -8.31 points.", "bad"),
            Note("Undecided in 2 of 8 comparisons."),
            Note(
                "5 pairs cannot reach the level 0.05 (the smallest possible p is 0.0625), so there "
                "is no verdict for batch 64; runs/3f1c2a9be07754d0a1c6e2d9b8f4471c.h5 is missing.",
                "warning",
            ),
        ),
        sections=(
            Section("What was compared", (_setting(),)),
            Section(
                "The paper's tables",
                (
                    Note("Interval means over 100 s, each method minus async, paired by seed."),
                    _differences("test-accuracy", "test accuracy (points)", 1.0),
                    _differences("test-loss", "test loss", -0.03),
                    _curves("test-accuracy", "test accuracy"),
                    _curves("test-loss", "test loss"),
                ),
            ),
            Section(
                "Time to target",
                (
                    Note("sync never reached 60 % at rate 0.01: it never learned.", "warning"),
                    _targets(),
                ),
            ),
            Section(
                "The course of the runs",
                (
                    _curves("threshold", "threshold (gradients)"),
                    _curves("staleness", "staleness (versions)"),
                    _bars(),
                    _scatter(),
                ),
            ),
            Section("Where hybrid wins", (_heat_map("win-map"), _heat_map("best-rate"))),
        ),
    )


def _setting() -> TableOf:
    shown = pd.DataFrame(
        {
            "setting": ["data set", "model", "workers", "delayed", "engine", "seeds"],
            "value": ["cifar10", "lenet", "25", "12 of 25", "simulate", "100 to 111"],
        }
    )
    return TableOf("setting", "What all runs share.", shown, shown)


def _differences(name: str, quantity: str, scale: float) -> TableOf:
    draw = np.random.default_rng(len(name))
    numbers = pd.DataFrame(
        [(method, *cell) for method in list(METHODS)[1:] for cell in CELLS],
        columns=["variant", "batch_size", "learning_rate"],
    )
    numbers["mean"] = scale * draw.normal(0.2, 2, len(numbers))
    numbers["half_width"] = abs(scale) * draw.uniform(0.2, 1.2, len(numbers))
    numbers["p_value"] = draw.uniform(0, 0.2, len(numbers))
    numbers["variance_ratio"] = draw.uniform(0.1, 1, len(numbers))
    decided = numbers.p_value < 0.05
    is_gain = numbers["mean"] * scale > 0
    decision = np.where(decided, np.where(is_gain, "better", "worse"), "undecided")
    shown = pd.DataFrame(
        {
            "method": numbers.variant,
            "batch": numbers.batch_size.astype(str),
            "rate": numbers.learning_rate.astype(str),
            f"{quantity}, mean": [f"{mean:+.3f}" for mean in numbers["mean"]],
            "95 % interval": [
                f"[{mean - half:+.2f}, {mean + half:+.2f}]"
                for mean, half in zip(numbers["mean"], numbers.half_width, strict=True)
            ],
            "at 100 s": [f"{mean * 1.1:+.3f}" for mean in numbers["mean"]],
            "best": [f"{mean * 0.9:+.3f}" for mean in numbers["mean"]],
            "paired / unpaired variance": [f"{ratio:.2f}" for ratio in numbers.variance_ratio],
            "p, adjusted": [f"{p:.4f}" for p in numbers.p_value],
            "pairs": "12",
            "verdict": decision,
        }
    )
    tone: dict[str, Tone] = {"better": "good", "worse": "bad", "undecided": "neutral"}
    tones = {(row, "verdict"): tone[text] for row, text in enumerate(decision)}
    caption = f"Difference to async: interval mean of {quantity}, and what is decided about it."
    return TableOf(name, caption, shown, numbers, tones)


def _targets() -> TableOf:
    numbers = pd.DataFrame(
        {"variant": list(METHODS), "share": [1.0, 0.0, 11 / 12], "mean_s": [41.2, 100.0, 38.9]}
    )
    shown = pd.DataFrame(
        {
            "method": numbers.variant,
            "reached 60 %": ["12 of 12", "0 of 12", "11 of 12"],
            "mean of min(time, 100 s)": ["41.2 s", "-", "38.9 s"],
        }
    )
    tones: dict[tuple[int, str], Tone] = {(1, "reached 60 %"): "warning"}
    return TableOf("time-to-60", "Seconds of training until 60 % accuracy.", shown, numbers, tones)


def _curves(name: str, quantity: str) -> Picture:
    figure, panels = _panels(1, 2)
    for panel, batch in zip(panels, (32, 64), strict=True):
        panel.set(title=f"batch {batch}", xlabel="training time (s)", ylabel=quantity)
        for speed, (method, color) in enumerate(METHODS.items(), 1):
            middle = 1 - np.exp(-TIME_S * speed / batch)
            panel.fill_between(TIME_S, middle - 0.03, middle + 0.03, color=color, alpha=0.2, lw=0)
            panel.plot(TIME_S, middle, color=color, label=method)
    panels[0].legend(frameon=False)
    return Picture(name, f"Mean and 95 % band of {quantity} over 12 seeds.", figure)


def _bars() -> Picture:
    figure, (panel,) = _panels(1, 1)
    panel.bar(np.arange(25), np.random.default_rng(1).dirichlet(np.full(25, 20)), color="#0072B2")
    panel.set(xlabel="worker", ylabel="share of gradients")
    return Picture("share-per-worker", "Delayed workers push less.", figure)


def _scatter() -> Picture:
    figure, (panel,) = _panels(1, 1)
    compute_s, staleness = np.random.default_rng(2).gamma(4, size=(2, 5000))
    panel.scatter(compute_s, staleness, s=2, color="#D55E00")
    panel.set(xlabel="compute time (s)", ylabel="staleness (versions)")
    return Picture("gradients", "Every gradient of one run: 5,000 points.", figure)


def _heat_map(name: str) -> Picture:
    figure, (panel,) = _panels(1, 1)
    image = panel.imshow(np.add.outer(np.arange(6), np.arange(8)) / 4 - 1.5, cmap="RdBu")
    figure.colorbar(image, label="hybrid minus better (points)")
    panel.set(xlabel="mean delay (s)", ylabel="learning rate")
    return Picture(name, "Blue: hybrid wins.", figure)


def _panels(rows: int, columns: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)
