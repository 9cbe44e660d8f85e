from typing import Any

from hybridmpi.config.overlay import field_as_table, overlay

STEP = {"schedule": "step", "initial": 1, "every": 3}
BASE: dict[str, Any] = {
    "method": {"preset": "hybrid", "threshold": STEP, "aggregation": "sum"},
    "delays": {"fraction": 0.5, "max_s": 1},
}


def test_fields_are_laid_over_fields() -> None:
    table = {"method": {"threshold": {"every": 5}}, "delays": {"max_s": 2}}
    changed = overlay(BASE, table)
    assert changed["method"] == BASE["method"] | {"threshold": STEP | {"every": 5}}
    assert changed["delays"] == {"fraction": 0.5, "max_s": 2}


def test_another_preset_leaves_nothing_of_the_method() -> None:
    assert overlay(BASE, {"method": {"preset": "async"}})["method"] == {"preset": "async"}


def test_same_preset_leaves_the_rest_of_the_method() -> None:
    assert overlay(BASE, {"method": {"preset": "hybrid"}}) == BASE


def test_preset_that_is_not_given_is_the_default_one() -> None:
    base = {"method": {"aggregation": "sum"}}
    changed = overlay(base, {"method": {"preset": "hybrid"}})
    assert changed == {"method": {"aggregation": "sum", "preset": "hybrid"}}


def test_schedule_replaces_the_whole_schedule() -> None:
    linear = {"schedule": "linear", "slope": "lr"}
    assert overlay(BASE, {"method": {"threshold": linear}})["method"]["threshold"] == linear


def test_base_stays_as_it_was() -> None:
    overlay(BASE, {"delays": {"max_s": 9}})
    assert BASE["delays"]["max_s"] == 1


def test_dotted_name_becomes_nested_tables() -> None:
    assert field_as_table("method.threshold.every", 3) == {"method": {"threshold": {"every": 3}}}
