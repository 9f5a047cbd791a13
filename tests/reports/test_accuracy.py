import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.accuracy import average_at_k, holm, paired_difference, pass_at_k

_VERDICTS = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=15)


def _samples(verdicts: list[list[bool]]) -> pd.DataFrame:
    rows = [(f"p{problem}", right) for problem, row in enumerate(verdicts) for right in row]
    return pd.DataFrame(rows, columns=["problem_id", "correct"])


@settings(max_examples=40, deadline=None)
@given(verdicts=_VERDICTS)
def test_clustered_error_is_that_of_the_problem_means(verdicts: list[list[bool]]) -> None:
    samples = _samples(verdicts)
    estimate = average_at_k(correct=samples["correct"], problem=samples["problem_id"])
    means = np.array(verdicts).mean(axis=1)
    error = means.std(ddof=1) / math.sqrt(len(means))
    half = stats.t.ppf(0.975, len(means) - 1) * error
    assert estimate.value == pytest.approx(means.mean(), abs=1e-12)
    assert estimate.standard_error == pytest.approx(error, abs=1e-9)
    assert (estimate.low, estimate.high) == pytest.approx((means.mean() - half, means.mean() + half), abs=1e-8)


def test_repeating_every_sample_does_not_narrow_the_interval() -> None:
    samples = _samples([[True, False, True], [False, False, False], [True, True, True]])
    once = average_at_k(correct=samples["correct"], problem=samples["problem_id"])
    often = pd.concat([samples] * 50)
    many = average_at_k(correct=often["correct"], problem=often["problem_id"])
    assert many.standard_error == pytest.approx(once.standard_error, rel=1e-9)


def test_one_problem_has_no_interval() -> None:
    samples = _samples([[True, False, True]])
    with pytest.raises(ValueError, match="at least two"):
        average_at_k(correct=samples["correct"], problem=samples["problem_id"])


@settings(max_examples=40, deadline=None)
@given(verdicts=_VERDICTS)
def test_pass_at_all_samples_is_any(verdicts: list[list[bool]]) -> None:
    samples = _samples(verdicts)
    expected = np.array(verdicts).any(axis=1).mean()
    assert pass_at_k(correct=samples["correct"], problem=samples["problem_id"], k=3) == pytest.approx(expected)
    average = np.array(verdicts).mean()
    assert pass_at_k(correct=samples["correct"], problem=samples["problem_id"], k=1) == pytest.approx(average)


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=15))
def test_paired_difference_is_the_paired_t_test(pairs: list[tuple[int, int]]) -> None:
    frames = [
        _samples([[number < right for number in range(3)] for right in column]) for column in zip(*pairs, strict=True)
    ]
    estimate, p = paired_difference(treated=frames[0], reference=frames[1])
    a, b = (np.array(column) / 3 for column in zip(*pairs, strict=True))
    assert estimate.value == pytest.approx((a - b).mean(), abs=1e-12)
    if np.ptp(np.round((a - b) * 3)) > 0:
        assert p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-6)
    elif np.allclose(a, b):
        assert p == 1.0


def test_pairs_need_the_same_problems() -> None:
    one, other = _samples([[True], [False]]), _samples([[True], [False], [True]])
    with pytest.raises(ValueError, match="same problems"):
        paired_difference(treated=one, reference=other)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
