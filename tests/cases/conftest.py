"""Small inputs of the kind that users bring, found by their modules' names."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _modules_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
