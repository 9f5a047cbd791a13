"""Against scipy's permutation test, an exact McNemar test by hand, and the paper's own z."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.statistics.paired_tests import mcnemar_mid_p, sign_flip_test, two_proportion_z


def _scipy(values: np.ndarray, resamples: float) -> float:
    found = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=resamples, rng=np.random.default_rng(1)
    )
    return float(found.pvalue)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(differences=st.lists(st.integers(-3, 3), min_size=2, max_size=9).filter(any))
def test_few_problems_are_exact(differences: list[int]) -> None:
    values = np.array(differences) / 16
    assert sign_flip_test(differences=values)[0] == pytest.approx(_scipy(values, np.inf))


def test_many_problems_come_close_to_scipy() -> None:
    values = np.random.default_rng(0).normal(0.12, 1.0, size=(200, 3))
    for p, column in zip(sign_flip_test(differences=values), values.T, strict=True):
        assert p == pytest.approx(_scipy(column, 9999), abs=0.02)


def test_arms_do_not_depend_on_each_other_and_lack_problems() -> None:
    values = np.random.default_rng(0).normal(size=(40, 2))
    values[5:, 1] = np.nan
    both = sign_flip_test(differences=values)
    assert both[0] == sign_flip_test(differences=values[:, 0])[0]
    assert both[1] == pytest.approx(_scipy(values[:5, 1], np.inf))
    assert sign_flip_test(differences=np.zeros((3, 2))).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("won", "lost"), [(0, 5), (1, 9), (4, 4), (30, 12), (0, 0)])
def test_mcnemar_by_hand(won: int, lost: int) -> None:
    total, fewer = won + lost, min(won, lost)
    chances = [math.comb(total, count) / 2**total for count in range(total + 1)]
    by_hand = 1.0 if won == lost else 2 * (sum(chances[:fewer]) + chances[fewer] / 2)
    assert mcnemar_mid_p(only_treated=won, only_reference=lost) == pytest.approx(by_hand)
    assert mcnemar_mid_p(only_treated=won, only_reference=lost) == mcnemar_mid_p(only_treated=lost, only_reference=won)


def test_the_papers_z_is_not_what_it_says() -> None:
    # The paper reports z of about 1.4 and p of about 0.16 for 48.59 % against 47.81 % of 500 x 16 samples.
    right = [round(share * 8000) for share in (0.4859, 0.4781)]
    z, p = two_proportion_z(
        treated_correct=right[0], treated_samples=8000, reference_correct=right[1], reference_samples=8000
    )
    assert z == pytest.approx(0.987, abs=0.01)
    assert p == pytest.approx(0.324, abs=0.005)
    assert all(
        math.isnan(value)
        for value in two_proportion_z(treated_correct=0, treated_samples=5, reference_correct=0, reference_samples=5)
    )
