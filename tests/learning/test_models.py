import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hybridmpi.errors import UserError
from hybridmpi.learning.building import load_initial
from hybridmpi.learning.flat import Layout, flatten, state_dict
from hybridmpi.learning.problems.images import build_model

OWN = """
import torch
from torch import nn

def dense(input_shape, num_classes):
    channels, height, width = input_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, num_classes))

def double(input_shape, num_classes):
    return dense(input_shape, num_classes).double()

def raising(input_shape, num_classes):
    raise KeyError("depth")

def no_module(input_shape, num_classes):
    return [1]

def no_parameters(input_shape, num_classes):
    return nn.Flatten()

def lazy(input_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

def frozen(input_shape, num_classes):
    return dense(input_shape, num_classes).requires_grad_(False)

def one_too_many(input_shape, num_classes):
    return dense(input_shape, num_classes + 1)

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(1, 1)

    def forward(self, x):
        return x, x

def two_outputs(input_shape, num_classes):
    return Two()
"""


@pytest.fixture(scope="module", autouse=True)
def own_models(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_models.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield
    sys.modules.pop("own_models", None)


def build(name: str, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> nn.Module:
    return build_model(name, input_shape=shape, num_classes=10, seed=seed)


@pytest.mark.parametrize(
    ("name", "shape", "num_parameters"),
    [
        ("mnist_cnn", (1, 28, 28), 1_227_274),
        # conv 320 + 18,496; dense 64 x 2 x 2 x 128 + 128 and 1,290
        ("mnist_cnn", (1, 8, 8), 121_354),
        # conv 896 + 18,496; dense 64 x 14 x 14 x 128 + 128 and 1,290
        ("mnist_cnn", (3, 32, 32), 1_596_490),
        ("lenet", (3, 32, 32), 62_006),
        ("lenet", (1, 28, 28), 61_706),  # as above without 2 x 6 x 25 weights
        ("lenet", (1, 8, 8), 61_706),
        ("lenet", (1, 28, 40), 80_906),  # 16 x 5 x 7 instead of 16 x 5 x 5 dense inputs
        ("resnet18", (3, 32, 32), 11_181_642),
        ("own_models:dense", (1, 8, 8), 650),
    ],
)
def test_number_of_parameters(name: str, shape: tuple[int, int, int], num_parameters: int) -> None:
    model = build(name, shape)
    assert Layout.of(model).num_parameters == num_parameters
    assert model(torch.zeros(3, *shape)).shape == (3, 10)


def test_lenet_sees_the_middle_of_a_framed_image() -> None:
    model = build("lenet", (1, 27, 28))
    framed = model.get_submodule("0")(torch.ones(1, 1, 27, 28))
    assert framed.shape == (1, 1, 32, 32)
    assert framed[0, 0].sum() == 27 * 28
    assert framed[0, 0, 2:29, 2:30].all()


@pytest.mark.parametrize("name", ["lenet", "own_models:dense"])
def test_initial_parameters_depend_on_the_seed_alone(name: str) -> None:
    first = flatten(build(name, seed=5))
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert torch.equal(flatten(build(name, seed=5)), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(flatten(build(name, seed=6)), first)


def test_check_of_the_output_leaves_running_statistics_as_they_are() -> None:
    views = dict(build("resnet18", (3, 32, 32)).named_buffers())
    assert views["bn1.num_batches_tracked"] == 0
    assert not views["bn1.running_mean"].any()


def test_double_model_becomes_float32() -> None:
    assert {p.dtype for p in build("own_models:double").parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lennet", "'lennet', but must be mnist_cnn or lenet, .* did you mean 'lenet'"),
        ("resnet81", "did you mean .*'resnet18'"),
        ("resnet18", r"can't take inputs of shape \[2, 1, 8, 8\] .*3 channels"),
        ("own_models:dens", "has no function 'dens'; did you mean 'dense'"),
        ("no_such_module_here:dense", "no_such_module_here can't be found"),
        ("own_models:raising", r"raising\(input_shape=\(1, 8, 8\), num_classes=10\) raised KeyErr"),
        ("own_models:no_module", "returned list; return a torch.nn.Module"),
        ("own_models:no_parameters", "has no parameters; assign its layers"),
        ("own_models:lazy", r"'1\.weight' has no shape yet; call the model once"),
        ("own_models:frozen", "all parameters of its model are frozen .*; leave at least one"),
        ("own_models:one_too_many", r"has shape \[2, 11\], but must have \[2, 10\]"),
        ("own_models:two_outputs", "output in training is tuple, but must be one tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_unusable_model_is_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(name)


@pytest.mark.parametrize("name", ["mnist_cnn", "lenet"])
def test_image_below_8_x_8_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="at least 8 x 8, but the data's are 9 x 7"):
        build(name, (1, 9, 7))


def test_initial_file_sets_parameters_and_buffers(tmp_path: Path) -> None:
    saved = build("resnet18", (3, 32, 32), seed=1)
    layout = Layout.of(saved)
    vector = flatten(saved)
    vector[layout.num_parameters :] = 3.0
    save_file(state_dict(layout, vector), tmp_path / "initial.safetensors")
    model = build("resnet18", (3, 32, 32), seed=2)
    load_initial(model, tmp_path / "initial.safetensors")
    assert torch.equal(flatten(model), vector)


def test_initial_file_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "initial.safetensors"
    save_file({"1.weight": torch.zeros(9, 64), "other": torch.zeros(2)}, path)
    with pytest.raises(UserError) as caught:
        load_initial(build("own_models:dense"), path)
    message = str(caught.value)
    assert "it lacks 1.bias; it has, but the model hasn't, other; " in message
    assert "it has with other shapes 1.weight ([9, 64] instead of [10, 64]); take a" in message


def test_unreadable_initial_file_is_refused(tmp_path: Path) -> None:
    model = build("own_models:dense")
    with pytest.raises(UserError, match="can't be read"):
        load_initial(model, tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(UserError, match="can't be read"):
        load_initial(model, tmp_path / "text.safetensors")


def test_documented_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "own-data-and-models.md").read_text()
    section = page.split("## Your own model")[1]
    (tmp_path / "my_models.py").write_text(section.split("```python\n")[1].split("```")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    model = build("my_models:small_net", (3, 8, 8))
    # conv 3 x 16 x 9 + 16, batch normalization 2 x 16, dense 160 + 10
    assert Layout.of(model).num_parameters == 448 + 32 + 170
