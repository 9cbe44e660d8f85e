"""Thinning a long table to what a figure can show."""

import pandas as pd
from pandas.api.typing import DataFrameGroupBy

NUM_BINS = 300


def time_bins(table: pd.DataFrame) -> DataFrameGroupBy:
    """Group rows into at most `NUM_BINS` equal spans of `time_s`; few rows stay single.

    Args:
        table: Rows with `time_s`, seconds.

    Returns:
        The groups, in the order of time; empty spans have none.
    """
    if len(table) <= NUM_BINS:
        return table.groupby(pd.RangeIndex(len(table)))
    time_s = table.time_s
    span_s = max(time_s.max() - time_s.min(), 1e-9)
    numbers = ((time_s - time_s.min()) / span_s * NUM_BINS).astype(int).clip(upper=NUM_BINS - 1)
    return table.groupby(numbers.to_numpy())
