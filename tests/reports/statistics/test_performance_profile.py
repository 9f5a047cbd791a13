"""Against counting, and the accuracy that is its mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.statistics.mean_share import mean_share
from reports.statistics.performance_profile import performance_profile


@settings(max_examples=30, deadline=None, derandomize=True)
@given(shape=st.tuples(st.integers(1, 3), st.integers(2, 20)), samples=st.integers(1, 12), seed=st.integers(0, 2**16))
def test_every_level_counts_the_problems_above(shape: tuple[int, int], samples: int, seed: int) -> None:
    right = np.random.default_rng(seed).integers(0, samples + 1, size=shape)
    profile = performance_profile(values=right / samples, samples=samples)
    assert profile["level"].tolist() == [count / samples for count in range(samples)]
    for count, row in enumerate(profile.itertuples()):
        expected = mean_share(values=right > count)
        assert (row.share, row.low, row.high) == pytest.approx(
            (expected.value, expected.low, expected.high), nan_ok=True
        )
    assert profile["share"].mean() == pytest.approx(right.mean() / samples)


def test_of_many_levels_some_are_kept() -> None:
    profile = performance_profile(values=np.linspace(0, 1, 257), samples=256)
    assert len(profile) == 32
    assert (profile["share"].diff().dropna() < 0).all()
