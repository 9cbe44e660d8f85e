import pwd
from pathlib import Path

import pytest

from hybridmpi.errors import UserError
from hybridmpi.paths import expanded

ENVIRONMENT = {"DATA": "/data", "A_1": "a", "EMPTY": ""}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("~", "/people/ada"),
        ("~/x.h5", "/people/ada/x.h5"),
        ("~root/x.h5", f"{pwd.getpwnam('root').pw_dir}/x.h5"),
        ("$DATA/x.h5", "/data/x.h5"),
        ("runs/${A_1}b/{seed}.h5", "runs/ab/{seed}.h5"),
        ("costs $.h5", "costs $.h5"),
        ("a~/b", "a~/b"),
        ("", ""),
    ],
)
def test_path_is_what_a_shell_would_make_of_it(
    given: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/people/ada")
    assert expanded(given, ENVIRONMENT) == meant


@pytest.mark.parametrize(("given", "name"), [("$NONE/x", "NONE"), ("a/${EMPTY}/b", "EMPTY")])
def test_variable_that_is_not_set_is_named(given: str, name: str) -> None:
    with pytest.raises(UserError, match=rf"'.*' names \${name}, which is not set"):
        expanded(given, ENVIRONMENT)


def test_user_who_does_not_exist_is_named() -> None:
    with pytest.raises(UserError, match="begins with ~nobody_here, but there is no such user"):
        expanded("~nobody_here/x.h5")


def test_names_that_exist_as_they_are_written_are_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cost$x").mkdir()
    (tmp_path / "~draft.h5").touch()
    assert expanded("cost$x/run.h5", ENVIRONMENT) == "cost$x/run.h5"
    assert expanded("~draft.h5", ENVIRONMENT) == "~draft.h5"
