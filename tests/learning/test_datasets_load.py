import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from hybridmpi.errors import UserError
from hybridmpi.learning.datasets import DataSet, load_dataset


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'cifar-10' is unknown .*; did you mean 'cifar10'"):
        load_dataset("cifar-10")


def test_options_are_for_synthetic_only() -> None:
    with pytest.raises(UserError, match="'digits' takes no options, but was given samples"):
        load_dataset("digits", options={"samples": 100})


def test_reading_imports_neither_torchvision_nor_scikit_learn() -> None:
    script = (
        "import sys; from hybridmpi.learning.datasets import load_dataset; load_dataset('digits');"
        "sys.exit(bool({'torchvision', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_digits_are_those_of_scikit_learn_on_a_scale_to_255() -> None:
    data_set = load_dataset("digits")
    images, labels = load_digits(return_X_y=True)
    first = data_set.train_inputs[:4].reshape(4, 64)
    assert torch.equal(first.double(), torch.from_numpy(images[:4] * 255 / 16).round())
    assert data_set.train_labels[:4].tolist() == labels[:4].tolist()
    assert len(data_set.train_labels) + len(data_set.test_labels) == len(labels)
    assert data_set.train_inputs.max() == 255


def test_digits_hold_back_every_fifth_of_each_class() -> None:
    data_set = load_dataset("digits")
    _, labels = load_digits(return_X_y=True)
    held_back = [(labels == label).sum() // 5 for label in range(10)]
    assert data_set.test_labels.bincount().tolist() == held_back
    fifth_zero = load_digits().images[labels == 0][4]
    assert torch.equal(
        data_set.test_inputs[data_set.test_labels == 0][0, 0].double(),
        torch.from_numpy(fifth_zero * 255 / 16).round(),
    )


def test_digits_are_normalised_by_their_training_part() -> None:
    data_set = load_dataset("digits")
    inputs = data_set.train_inputs.double() / 255
    assert data_set.mean == (round(float(inputs.mean()), 4),)
    assert data_set.std == (round(float(inputs.std()), 4),)


def synthetic(**options: object) -> DataSet:
    return load_dataset("synthetic", options=options)


def nearest_centre_accuracy(data_set: DataSet) -> float:
    train, test = (x.flatten(1) for x in (data_set.train_inputs, data_set.test_inputs))
    labels = data_set.train_labels
    centres = torch.stack([train[labels == c].mean(0) for c in range(data_set.num_classes)])
    guesses = torch.cdist(test, centres).argmin(1)
    return float((guesses == data_set.test_labels).float().mean())


def test_synthetic_classes_can_be_learned_but_overlap() -> None:
    assert 0.95 < nearest_centre_accuracy(synthetic(samples=5_000)) < 1


def test_synthetic_has_the_size_asked_for() -> None:
    data_set = synthetic(samples=40, shape=(3, 5, 6), classes=4)
    assert data_set.train_inputs.shape == (40, 3, 5, 6)
    assert data_set.test_inputs.shape == (8, 3, 5, 6)
    assert data_set.train_inputs.dtype == torch.float32
    assert data_set.train_labels.bincount().tolist() == [10] * 4


def test_synthetic_depends_on_its_seed_alone() -> None:
    same = [synthetic(samples=50, seed=3).train_inputs for _ in range(2)]
    other = synthetic(samples=50, seed=4).train_inputs
    assert torch.equal(*same)
    assert not torch.equal(same[0], other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 49}, "samples holds 49, but must be a whole number of at least 50"),
        ({"samples": 1e3}, "samples holds 1000.0"),
        ({"classes": 1}, "classes holds 1, but must be a whole number of at least 2"),
        ({"seed": -1}, "seed holds -1"),
        ({"shape": [8, 8]}, r"shape is \[8, 8\], but must be \[channels, height, width\]"),
        ({"shape": 8}, "shape is 8"),
        ({"shape": [0, 8, 8]}, "shape holds 0"),
        ({"sample": 100}, "no option 'sample'; did you mean 'samples'"),
    ],
)
def test_synthetic_refuses_unfit_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        synthetic(**options)


OWN = """
import torch
from hybridmpi.learning.datasets import DataSet

def good(root, scale=1) -> DataSet:
    inputs = scale * torch.arange(4.0).reshape(4, 1, 1, 1)
    labels = torch.tensor([0, 1, 0, 1])
    return DataSet(str(root), inputs, labels, inputs, labels, num_classes=2)

def unfit(root) -> "DataSet":
    inputs = torch.zeros(4, 1, 1, 1)
    return DataSet("flawed", inputs, torch.zeros(3).long(), inputs, torch.zeros(4).long(), 2)

def broken(root) -> DataSet:
    return {}["missing key"]

def wrong(root) -> "datasets.DataSet":
    return [1, 2]

def silent(root):
    raise SystemExit("was called")
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_data_module.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return "own_data_module"


def test_own_function_is_called_with_root_and_options(own_module: str) -> None:
    data_set = load_dataset(f"{own_module}:good", Path("some/root"), options={"scale": 3})
    assert data_set.name == str(Path("some/root"))
    assert data_set.train_inputs.flatten().tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("unfit", "data set 'flawed': train_labels .* must be torch.int64 of shape"),
        ("broken", r"raised KeyError: 'missing key' \(.*own_data_module.py, line 15\)"),
        ("wrong", "returned list; it must return a hybridmpi.learning.datasets.DataSet"),
        ("silent", "does not say that it returns a data set; annotate it"),
        ("god", "no function 'god'; did you mean 'good'"),
    ],
)
def test_own_function_that_fails_is_told(own_module: str, function: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_dataset(f"{own_module}:{function}")


def test_example_in_the_documentation_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs" / "own-data-and-models.md"
    section = page.read_text().split("## Your own data set")[1]
    source = section.split("```python\n")[1].split("```")[0]
    (tmp_path / "leaves.py").write_text(source)
    np.savez(
        tmp_path / "leaves.npz",
        train_images=np.full((6, 3, 4, 5), 51, np.uint8),
        train_species=np.arange(6) % 3,
        test_images=np.zeros((3, 3, 4, 5), np.uint8),
        test_species=np.arange(3),
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    data_set = load_dataset("leaves:load", tmp_path)
    assert data_set.shape == (3, 4, 5)
    assert data_set.num_classes == 3
