"""Against ratios of binomials in whole numbers."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.tasks.pass_at_k import pass_at_every_k


@settings(derandomize=True, deadline=None, max_examples=80)
@given(data=st.data(), samples=st.integers(1, 200))
def test_pass_at_every_k_is_the_ratio_of_binomials(data, samples):
    correct = data.draw(st.lists(st.integers(0, samples), min_size=1, max_size=4))
    table = pass_at_every_k(correct=correct, samples=samples)
    assert table.dtype == np.float64
    for row, right in zip(table, correct, strict=True):
        exact = [1 - Fraction(math.comb(samples - right, k), math.comb(samples, k)) for k in range(1, samples + 1)]
        np.testing.assert_allclose(row, [float(value) for value in exact], rtol=0, atol=2e-14)
        assert row[0] == pytest.approx(right / samples, abs=1e-15)
        assert row[-1] == float(right > 0)
        assert np.all(np.diff(row) >= 0)


def test_pass_at_k_stays_finite_where_binomials_overflow():
    table = pass_at_every_k(correct=[0, 1, 3000, 10_000], samples=10_000)
    assert np.isfinite(table).all()
    assert table[1, 4999] == pytest.approx(0.5, abs=1e-12)
    assert (table[0].max(), table[3].min()) == (0.0, 1.0)


@pytest.mark.parametrize(("correct", "samples"), [([5], 4), ([-1], 4), ([0.5], 4), ([0], 0), ([[1]], 4)])
def test_pass_at_k_refuses_what_is_no_count(correct, samples):
    with pytest.raises(ValueError, match="between 0 and n right samples"):
        pass_at_every_k(correct=correct, samples=samples)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(data=st.data(), samples=st.integers(1, 7))
def test_it_is_the_share_of_subsets_with_a_right_sample(data, samples):
    correct = data.draw(st.integers(0, samples))
    verdicts = [True] * correct + [False] * (samples - correct)
    for k, passed in enumerate(pass_at_every_k(correct=[correct], samples=samples)[0], start=1):
        subsets = list(itertools.combinations(verdicts, k))
        assert passed == pytest.approx(sum(any(subset) for subset in subsets) / len(subsets), abs=1e-12)
