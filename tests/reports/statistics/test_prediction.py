"""Where one more run comes out: how often the interval holds it, and what it is where runs say little."""

import math

import numpy as np
import pytest
from scipy import stats

from reports.statistics.prediction import next_run


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_it_holds_one_more_run_as_often_as_it_says(runs: int) -> None:
    draws = np.random.default_rng(runs).normal(0.5, 0.02, size=(4000, runs + 1))
    found = [next_run(values=row[:-1]) for row in draws]
    held = np.mean([one.low <= row[-1] <= one.high for one, row in zip(found, draws, strict=True)])
    # Four standard errors of 4,000 repeats.
    assert abs(held - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


def test_ends_are_students() -> None:
    values = [0.48, 0.52, 0.47]
    found = next_run(values=values)
    half = stats.t.ppf(0.975, 2) * np.std(values, ddof=1) * math.sqrt(4 / 3)
    assert (found.low, found.value, found.high) == pytest.approx((0.49 - half, 0.49, 0.49 + half))
    assert found.runs == 3


def test_runs_that_came_out_alike_leave_what_sampling_allows() -> None:
    alike = next_run(values=[0.25, 0.25, 0.25, 0.25], noise=0.01**2)
    assert (alike.low, alike.high) == pytest.approx(
        (0.25 - 1.96 * 0.01 * math.sqrt(1.25), 0.25 + 1.96 * 0.01 * math.sqrt(1.25)), abs=1e-5
    )
    one = next_run(values=[0.25], noise=0.01**2)
    assert one.high - one.low == pytest.approx(2 * 1.96 * 0.01 * math.sqrt(2), abs=1e-4)


def test_one_run_of_which_nothing_is_known_from_within_has_no_ends() -> None:
    found = next_run(values=[17.0], geometric=True)
    assert found.value == pytest.approx(17.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    nothing = next_run(values=[math.nan])
    assert (nothing.runs, math.isnan(nothing.value)) == (0, True)


def test_logarithms_keep_the_interval_positive_and_its_middle_geometric() -> None:
    found = next_run(values=[1.0, 100.0], geometric=True)
    assert found.value == pytest.approx(10.0)
    assert found.low > 0
    assert found.low * found.high == pytest.approx(100.0)
