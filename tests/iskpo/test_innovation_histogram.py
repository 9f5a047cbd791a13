"""Bins are exact, quantiles lie where the histogram says, and counts of parts add up."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo.innovation_histogram import BINS, MULTIPLES, RESOLUTION, InnovationHistogram, bin_bounds
from iskpo.innovations import count_ratios

ratios = st.lists(
    st.floats(-40, 25).map(lambda exponent: 2.0**exponent) | st.sampled_from([0.0, *MULTIPLES, 2.0**-30, 2.0**20]),
    min_size=1,
    max_size=200,
)


def _histogram(values: list[float]) -> InnovationHistogram:
    ratio = torch.tensor([values], dtype=torch.float64)
    counts = count_ratios(ratio, torch.ones(ratio.shape, dtype=torch.bool)).tolist()
    return InnovationHistogram(counts=tuple(counts[:BINS]), exceeding=tuple(counts[BINS:]))


def test_bins_tile_the_line_and_are_as_narrow_as_stated() -> None:
    bounds = [bin_bounds(index) for index in range(BINS)]
    assert bounds[0] == (0.0, 2.0**-30)
    assert bounds[-1] == (2.0**20, math.inf)
    for (_, end), (start, stop) in itertools.pairwise(bounds):
        assert end == start < stop
    assert max(high / low - 1 for low, high in bounds[1:-1]) == RESOLUTION


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values=ratios)
def test_every_value_is_counted_in_the_bin_that_holds_it(values: list[float]) -> None:
    histogram = _histogram(values)
    expected = [sum(low <= value < high for value in values) for low, high in map(bin_bounds, range(BINS))]
    assert list(histogram.counts) == expected
    assert histogram.exceeding == tuple(sum(value > multiple for value in values) for multiple in MULTIPLES)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values=ratios, share=st.sampled_from([0.0, 0.5, 0.99, 0.999, 1.0]) | st.floats(0, 1))
def test_a_quantile_lies_between_its_bounds(values: list[float], share: float) -> None:
    histogram = _histogram(values)
    low, high = histogram.quantile_bounds(share)
    exact = np.quantile(values, share, method="inverted_cdf")
    assert low <= exact < high
    if 2**-30 <= exact < 2**20:
        assert histogram.quantile(share) == pytest.approx(exact, rel=RESOLUTION / 2)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(values=ratios, cut=st.integers(0, 200))
def test_parts_add_up(values: list[float], cut: int) -> None:
    merged = _histogram(values[:cut]).merge(_histogram(values[cut:]))
    assert merged == _histogram(values)
    assert merged.tokens == len(values)


def test_metrics_name_the_bins_that_hold_anything() -> None:
    assert _histogram([0.0, 1.0, 1.05, 3e6]).as_metrics() == {
        "innovation_histogram/0": 1.0,
        "innovation_histogram/481": 2.0,
        f"innovation_histogram/{BINS - 1}": 1.0,
    }


def test_tokens_that_do_not_count_are_left_out() -> None:
    ratio = torch.tensor([[0.2, math.nan, 4.0]], dtype=torch.float64)
    counts = count_ratios(ratio, torch.tensor([[True, False, False]]))
    assert counts[:BINS].sum() == 1
    assert counts[BINS:].tolist() == [1, 0, 0, 0, 0, 0]


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        InnovationHistogram().quantile(0.5)
    with pytest.raises(ValueError, match=r"share .*1\.5"):
        _histogram([1.0]).quantile(1.5)
