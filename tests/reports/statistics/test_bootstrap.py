"""Against a plain loop over draws, and against standard errors with a formula."""

import numpy as np
import pytest

from reports.statistics.bootstrap import bootstrap_means, percentile_interval


def test_it_is_the_loop_over_draws() -> None:
    random = np.random.default_rng(0)
    first, second = random.random((2, 3, 5)), random.random((2, 3, 4))
    draws = bootstrap_means(blocks=[first, second], resamples=20, seed=7)
    again = np.random.default_rng(7)
    of_seeds = again.multinomial(3, [1 / 3] * 3, size=20)
    chosen = [again.multinomial(size, np.full(size, 1 / size), size=20) for size in (5, 4)]
    for number in range(20):
        seeds = np.repeat(np.arange(3), of_seeds[number])
        for arm in range(2):
            means = []
            for table, counts in zip((first, second), chosen, strict=True):
                problems = np.repeat(np.arange(table.shape[2]), counts[number])
                means.append(np.mean([table[arm, s, g] for s in seeds for g in problems]))
            assert draws[number, arm] == pytest.approx(np.mean(means))


def test_over_problems_it_has_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(1).normal(size=(1, 1, 300))
    draws = bootstrap_means(blocks=[values], resamples=4000)[:, 0]
    assert draws.std() == pytest.approx(values.std() / np.sqrt(300), rel=0.05)
    low, high = percentile_interval(draws=draws)
    assert high - low == pytest.approx(3.92 * values.std() / np.sqrt(300), rel=0.06)


def test_arms_share_their_draws() -> None:
    values = np.random.default_rng(1).random((1, 3, 30))
    draws = bootstrap_means(blocks=[np.concatenate([values, values + 0.25])], resamples=50)
    assert draws[:, 1] - draws[:, 0] == pytest.approx(np.full(50, 0.25))


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="same arms and seeds"):
        bootstrap_means(blocks=[np.zeros((2, 3, 4)), np.zeros((2, 1, 4))])
