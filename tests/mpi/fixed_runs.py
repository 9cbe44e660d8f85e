"""Makes fixed runs and prints a hash of what each computed; see test_fixed_runs.py.

The variables of `CONDITIONS` have every x86-64 processor compute the same bits.
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridmpi import read_run
from hybridmpi.config.load import parse_job
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.runlog.run import Run

CONDITIONS = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OMP_NUM_THREADS": "1",
}
# What is computed; times are not, under MPI.
COMPUTED = {
    "gradients": ("worker", "batch", "version", "accepted", "weight", "step", "loss", "samples"),
    "steps": ("version", "threshold", "gradients", "learning_rate", "train_loss"),
    "evaluations": ("version", "epoch", "train_loss", "test_loss", "test_accuracy"),
}
GROWING = {"schedule": "step", "initial": 1, "increment": 1, "every": 12}
SYNTHETIC = {"samples": 210, "shape": [2, 6, 6], "classes": 3}
JOBS: dict[str, dict[str, Any]] = {
    "digits": {
        "run": {"gradient_limit": 60, "seed": 3, "keep_snapshots": True},
        "method": {"preset": "hybrid", "threshold": GROWING},
        "data": {"dataset": "digits", "augmentation": ["flip", "crop"]},
        "model": {"name": "lenet"},
        "optimizer": {"momentum": 0.9, "clip_norm": 1.0},
        "evaluation": {"every_steps": 5},
        "simulate": {"workers": 4, "jitter": {"distribution": "exponential"}},
    },
    "synthetic": {
        "run": {"gradient_limit": 60, "seed": 5},
        "method": {"preset": "async", "stale": {"rule": "inverse-sqrt"}},
        "data": {
            "dataset": "synthetic",
            "options": SYNTHETIC,
            "batch_size": 8,
            "last_batch": "keep",
            "validation": 0.2,
            "shards": "dirichlet",
        },
        "model": {"name": "fixed_runs:Statistical"},
        "optimizer": {"name": "adamw", "weight_decay": 0.1},
        "evaluation": {"every_steps": 7, "batch_size": 11},
        "simulate": {"workers": 3, "slowness": [1.0, 2.5]},
    },
    "bfloat16": {
        "run": {"epoch_limit": 1.0},
        "method": {"preset": "k-sync", "threshold": {"schedule": "constant", "value": 2}},
        "data": {"dataset": "synthetic", "options": SYNTHETIC, "shards": "dirichlet-equal"},
        "model": {"name": "fixed_runs:Statistical", "precision": "bfloat16"},
        "simulate": {"workers": 3, "jitter": {"distribution": "lognormal", "sigma": 0.5}},
    },
}


class Statistical(nn.Module):
    """Has running statistics, dropout and a parameter that it uses directly."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(shape[0], 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.dropout = nn.Dropout(0.3)
        self.dense = nn.Linear(4 * (shape[1] - 2) * (shape[2] - 2), classes)
        self.scale = nn.Parameter(torch.ones(classes))

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.scale * self.dense(self.dropout(self.features(inputs)).flatten(1))
        return output


def hash_of(run: Run) -> str:
    """Return a hash of the columns that were computed, and of the final parameters."""
    digest = hashlib.sha256()
    for name, columns in COMPUTED.items():
        table = getattr(run, name)
        for column in columns:
            digest.update(table[column].to_numpy().tobytes())
    assert run.final is not None
    digest.update(run.final.tobytes())
    return digest.hexdigest()[:16]


def main() -> None:
    """Print the hashes of the simulated runs as JSON."""
    hashes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, tree in JOBS.items():
            path = Path(folder) / f"{name}.h5"
            Simulation(parse_job(tree, name)).run(path)
            hashes[name] = hash_of(read_run(path))
    print(json.dumps(hashes))
