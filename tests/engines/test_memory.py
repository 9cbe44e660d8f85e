import pytest

from hybridmpi.engines.memory import MemoryPlan, check_fits, mib, server_plan, worker_plan
from hybridmpi.errors import UserError


def test_server_holds_what_its_transport_does_and_snapshots() -> None:
    plan = server_plan(1000, 13, snapshots=2, data_bytes=500, evaluation_bytes=70)
    assert plan.bytes_by_purpose["gradients and parameters"] == 13 * 4000
    assert plan.bytes_by_purpose["snapshots"] == 2 * 4000
    assert plan.total_bytes == (13 + 4 + 2) * 4000 + 570  # 4 for an optimizer with state


def test_worker_holds_what_its_transport_does_its_shard_and_a_batch() -> None:
    assert worker_plan(1000, 3, data_bytes=500, batch_bytes=70).total_bytes == 3 * 4000 + 570
    assert worker_plan(1000, 0, data_bytes=500, batch_bytes=0).total_bytes == 500


def test_plan_names_what_it_needs_and_leaves_out_the_rest() -> None:
    plan = MemoryPlan({"data": 3 << 20, "snapshots": 0})
    assert str(plan) == "3.0 MiB (data 3.0 MiB)"


def test_plan_that_does_not_fit_is_refused() -> None:
    check_fits(100, 100, "here")
    with pytest.raises(UserError, match=r"needs 200 MiB on here, but 100 MiB are available"):
        check_fits(200 << 20, 100 << 20, "here")


def test_large_sizes_have_no_decimals() -> None:
    assert mib(1536 << 20) == "1,536 MiB"
