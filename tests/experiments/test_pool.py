from pathlib import Path

import pytest

from hybridmpi.experiments.pool import pool


def test_processes_take_pythons_own_modules_before_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("types", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the user\\'s own')\n")
    monkeypatch.chdir(tmp_path)
    with pool(1) as executor:
        assert executor.submit(sum, (1, 2)).result(60) == 3
