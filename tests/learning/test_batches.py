import pytest
import torch
from torch.nn.functional import pad

from hybridmpi.core.randomness import generator
from hybridmpi.errors import UserError
from hybridmpi.learning.batches import Batches
from hybridmpi.learning.problems.image_batches import normalise
from hybridmpi.learning.problems.images import image_samples


def numbered(count: int, **options: object) -> Batches:
    """Make batches of samples whose only pixel and whose label are their number."""
    numbers = torch.arange(count)
    settings = {"batch_size": 4, "seed": 7, "worker": 2} | options
    of_samples = {
        key: settings.pop(key) for key in {"mean", "std", "augmentation"} & options.keys()
    }
    samples = image_samples(numbers.view(-1, 1, 1, 1).float(), numbers, **of_samples)
    return Batches(samples, **settings)  # type: ignore[arg-type]


def labels(batches: Batches, n: int) -> list[int]:
    return batches.get(n)[1].tolist()


def test_epoch_passes_over_the_shard_once() -> None:
    batches = numbered(11)
    assert [len(labels(batches, n)) for n in range(4)] == [6, 5, 6, 5]
    assert sorted(labels(batches, 2) + labels(batches, 3)) == list(range(11))


def test_short_last_batch_can_be_kept() -> None:
    batches = numbered(10, last_batch="keep")
    assert [len(labels(batches, n)) for n in range(4)] == [4, 4, 2, 4]
    assert sorted(label for n in range(3, 6) for label in labels(batches, n)) == list(range(10))


def test_dropped_samples_are_others_in_another_epoch() -> None:
    batches = numbered(11, last_batch="drop")
    first, second = ({*labels(batches, n), *labels(batches, n + 1)} for n in (0, 2))
    assert len(first) == len(second) == 8
    assert first != second


def test_order_is_keyed_by_seed_worker_and_epoch() -> None:
    expected = generator(7, "batches", worker=2, n=1).permutation(10).tolist()
    batches = numbered(10)
    assert labels(batches, 2) + labels(batches, 3) == expected
    assert labels(numbered(10, worker=3), 2) != expected[:5]
    assert labels(numbered(10, seed=8), 2) != expected[:5]


def test_batch_does_not_depend_on_what_was_asked_before() -> None:
    in_order, out_of_order = numbered(10), numbered(10)
    expected = [labels(in_order, n) for n in range(8)]
    assert [labels(out_of_order, n) for n in (7, 0, 4, 1)] == [expected[n] for n in (7, 0, 4, 1)]


def test_inputs_belong_to_their_labels() -> None:
    inputs, chosen = numbered(10).get(1)
    assert inputs.shape == (5, 1, 1, 1)
    assert inputs.flatten().tolist() == chosen.tolist()


def test_uint8_is_normalised_on_the_scale_of_one() -> None:
    # 0, 51 and 255 are 0, 0.2 and 1; (x - 0.2) / 0.4 and (x - 0) / 2.
    inputs = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 2, 1, 3)
    result = normalise(inputs, (0.2, 0.0), (0.4, 2.0))
    expected = torch.tensor([[[[-0.5, 0.0, 2.0]], [[0.0, 0.1, 0.5]]]])
    torch.testing.assert_close(result, expected)


def test_float_is_normalised_as_it_is_and_left_untouched() -> None:
    inputs = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    assert normalise(inputs, (2.0,), (0.5,)).flatten().tolist() == [-2.0, 2.0]
    assert inputs.flatten().tolist() == [1.0, 3.0]


def test_without_mean_only_uint8_is_scaled() -> None:
    inputs = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert normalise(inputs).flatten().tolist() == [0.0, 1.0]
    assert normalise(inputs.float()).flatten().tolist() == [0.0, 255.0]


def test_batches_are_normalised() -> None:
    plain, _ = numbered(10).get(0)
    scaled, _ = numbered(10, mean=(1.0,), std=(2.0,)).get(0)
    assert torch.equal(scaled, (plain - 1) / 2)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.arange(1, 1 + 40 * 2 * 5 * 6).reshape(40, 2, 5, 6).float()


def augmented(images: torch.Tensor, n: int, *names: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pair each augmented image of batch n with its original."""
    samples = image_samples(images, torch.arange(40), augmentation=names)
    batches = Batches(samples, batch_size=20, seed=1, worker=1)
    inputs, chosen = batches.get(n)
    return list(zip(inputs, images[chosen], strict=True))


def test_flip_mirrors_some_images_left_to_right(images: torch.Tensor) -> None:
    pairs = augmented(images, 0, "flip")
    mirrored = [torch.equal(new, old.flip(2)) for new, old in pairs]
    unchanged = [torch.equal(new, old) for new, old in pairs]
    assert all(a != b for a, b in zip(mirrored, unchanged, strict=True))
    assert 0 < sum(mirrored) < len(mirrored)


def test_crop_shifts_within_a_border_of_four_zeros(images: torch.Tensor) -> None:
    shifts = set()
    for new, old in augmented(images, 0, "crop"):
        padded = pad(old, (4, 4, 4, 4))
        windows = {
            (top, left): padded[:, top : top + 5, left : left + 6]
            for top in range(9)
            for left in range(9)
        }
        shifts |= {shift for shift, window in windows.items() if torch.equal(new, window)}
    assert len(shifts) > 10


def test_augmentation_is_keyed_by_the_batch(images: torch.Tensor) -> None:
    first, same, later = (
        torch.stack([new for new, _ in augmented(images, n, "flip", "crop")]) for n in (0, 0, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, later)


def test_augmentation_leaves_the_shard_untouched(images: torch.Tensor) -> None:
    before = images.clone()
    augmented(images, 0, "flip", "crop")
    assert torch.equal(images, before)


def test_unknown_augmentation_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="augmentation 'flop' is unknown; did you mean 'flip'"):
        numbered(10, augmentation=("flop",))
