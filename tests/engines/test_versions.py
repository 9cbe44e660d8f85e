"""Each version of the parameters is kept once, and as long as somebody needs it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from hybridmpi.engines.versions import Versions


def step(versions: Versions, version: int) -> None:
    """Publish a vector whose elements are all `version`."""
    versions.next_vector().fill_(version)
    versions.publish(version)


def test_version_that_nobody_holds_is_stepped_in_place() -> None:
    initial = torch.zeros(3)
    versions = Versions(initial)
    step(versions, 1)
    assert versions.newest.data_ptr() == initial.data_ptr()
    assert versions.newest.tolist() == [1, 1, 1]
    assert len(versions) == 1


def test_held_version_is_kept_once_until_the_last_lets_go() -> None:
    versions = Versions(torch.zeros(3))
    versions.hold(0, 2)
    versions.hold(0)
    step(versions, 1)
    for _ in range(2):
        versions.let_go(0)
        assert versions[0].tolist() == [0, 0, 0]
        assert len(versions) == 2
    versions.let_go(0)
    assert len(versions) == 1
    assert versions.newest.tolist() == [1, 1, 1]


def test_newest_version_stays_though_nobody_holds_it() -> None:
    versions = Versions(torch.zeros(3))
    versions.hold(0)
    versions.let_go(0)
    assert versions[0].tolist() == versions.newest.tolist() == [0, 0, 0]


def test_vector_of_a_version_that_is_gone_is_used_again() -> None:
    versions = Versions(torch.zeros(3))
    versions.hold(0)
    first = versions[0].data_ptr()
    step(versions, 1)
    versions.hold(1)
    versions.let_go(0)
    step(versions, 2)
    assert versions.newest.data_ptr() == first
    assert versions[1].tolist() == [1, 1, 1]


@given(st.data())
def test_what_is_held_stays_as_it_was_and_nothing_else_is_kept(data: st.DataObject) -> None:
    versions, newest = Versions(torch.zeros(2)), 0
    held: list[int] = []
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["hold", "let go", "step"] if held else ["hold", "step"])):
            case "hold":
                held.append(newest)
                versions.hold(newest)
            case "let go":
                versions.let_go(held.pop(data.draw(st.integers(0, len(held) - 1))))
            case "step":
                newest += 1
                step(versions, newest)
        for version in {*held, newest}:
            assert versions[version].tolist() == [version] * 2
        assert len(versions) == len({*held, newest})
