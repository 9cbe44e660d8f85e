import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import LAYOUT

from hybridmpi import read_run
from hybridmpi.errors import UserError
from hybridmpi.runlog.state_dict import state_dict
from hybridmpi.runlog.writer import RunWriter


def test_tensors_have_their_names_shapes_and_types(small_run: Path) -> None:
    tensors = state_dict(read_run(small_run))
    assert list(tensors) == ["w", "seen"]
    assert tensors["w"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert tensors["w"].dtype == np.float32
    assert tensors["seen"].shape == ()
    assert tensors["seen"].dtype == np.int64
    assert tensors["seen"] == 41


def test_weights_in_channels_last_order_come_out_in_their_shape(
    new_run: Callable[..., RunWriter],
) -> None:
    weight = {"name": "w", "shape": [1, 2, 1, 3], "is_channels_last": True}
    entries = [LAYOUT["entries"][0] | weight, LAYOUT["entries"][1]]
    writer = new_run(layout_json=json.dumps(LAYOUT | {"entries": entries}))
    writer.final(np.arange(7, dtype=np.float32), 1)
    writer.close("complete")
    tensors = state_dict(read_run(writer.path))
    assert tensors["w"].tolist() == [[[[0, 2, 4]], [[1, 3, 5]]]]
    assert tensors["w"].flags.c_contiguous


def test_run_without_final_parameters_is_refused(new_run: Callable[..., RunWriter]) -> None:
    writer = new_run()
    with pytest.raises(UserError, match=r"has no final parameters .*'running'"):
        state_dict(read_run(writer.path))
