import numpy as np

from hybridmpi.runlog.schema import EVENTS, GRADIENTS, Column


def test_text_that_fits_is_kept_with_the_zero_that_ends_it() -> None:
    assert Column("host", "S7", "").encode("zürich") == b"z\xc3\xbcric"
    assert Column("host", "S8", "").encode("zürich") == "zürich".encode()


def test_long_text_is_cut_between_characters() -> None:
    assert Column("detail", "S4", "").encode("aüü") == "aü".encode()
    assert Column("detail", "S5", "").encode("aüü") == "aü".encode()


def test_text_that_utf8_cannot_hold_is_replaced() -> None:
    assert Column("detail", "S4", "").encode("a\udc80") == b"a?"


def test_rows_become_an_array_with_text_as_bytes() -> None:
    rows = EVENTS.to_array([[1.5, "lost", 3, "gone", 7], (2.5, "late", 1, "ä" * 200, 9)])
    assert rows.dtype == EVENTS.dtype
    assert rows["time_s"].tolist() == [1.5, 2.5]
    assert rows["kind"].tolist() == [b"lost", b"late"]
    assert rows["detail"][1].decode() == "ä" * 119


def test_gradients_have_the_columns_of_the_design() -> None:
    assert GRADIENTS.dtype.names == (
        *("time_s", "worker", "batch", "version", "staleness", "accepted", "weight", "step"),
        *("loss", "samples", "compute_s", "wait_s", "server_s", "assignment"),
    )
    assert GRADIENTS.dtype["accepted"] == np.dtype(bool)
