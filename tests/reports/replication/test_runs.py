"""What a run gave: shares of whole counts, and how much of its spread is known from within it."""

import math

import numpy as np
import pandas as pd
import pytest

from reports.replication import runs


def _verdicts(correct: dict[int, list[int]], samples: int = 4) -> pd.DataFrame:
    rows = [
        {"arm": "a", "seed": seed, "benchmark": "b", "problem_id": f"p{number}", "correct": right, "samples": samples}
        for seed, counts in correct.items()
        for number, right in enumerate(counts)
    ]
    return pd.DataFrame(rows)


def test_accuracies_are_the_runs_own() -> None:
    average, passed = runs.accuracy_runs(_verdicts({0: [4, 2, 0], 1: [4, 0, 0]}), samples=4, problems=3)
    assert average.values.to_dict() == pytest.approx({0: 0.5, 1: 1 / 3})
    assert passed.values.to_dict() == pytest.approx({0: 2 / 3, 1: 1 / 3})


@pytest.mark.parametrize("probability", [[0.5, 0.9, 0.02], [0.3, 0.3, 0.3]])
def test_the_noise_within_a_run_is_what_drawing_its_answers_again_gives(probability: list[float]) -> None:
    samples, repeats = 4, 40_000
    draws = np.random.default_rng(1).binomial(samples, probability, size=(repeats, len(probability)))
    # As if so many seeds had the same policy: what differs between them is sampling alone.
    average, passed = runs.accuracy_runs(
        _verdicts({seed: row.tolist() for seed, row in enumerate(draws[:4000])}, samples), samples=samples, problems=3
    )
    assert average.noise == pytest.approx((draws.mean(axis=1) / samples).var(), rel=0.05)
    assert passed.noise == pytest.approx((draws > 0).mean(axis=1).var(), rel=0.05)


def test_other_problems_or_samples_are_other_quantities() -> None:
    verdicts = _verdicts({0: [4, 2, 0]})
    assert runs.accuracy_runs(verdicts, samples=4, problems=500)[0].values.empty
    average, passed = runs.accuracy_runs(verdicts, samples=16, problems=3)
    assert (len(average.values), len(passed.values)) == (1, 0)


def _steps(**columns: list[float]) -> pd.DataFrame:
    length = len(next(iter(columns.values())))
    return pd.DataFrame({"seed": [0] * length, "step": range(1, length + 1), **columns})


def test_shares_of_a_run_are_of_all_its_tokens_and_none_clipped_is_not_never() -> None:
    steps = _steps(
        **{"kalman/clip_fraction": [0.0, 0.1], "kalman/tokens": [900.0, 100.0], "kalman/gain_mean": [0.1, 0.2]}
    )
    assert runs.clipped_in_run(steps).values[0] == pytest.approx(0.01)
    assert runs.most_clipped_step(steps).values[0] == pytest.approx(0.1)
    assert runs.gain_in_run(steps).values[0] == pytest.approx(0.11)
    none = runs.clipped_at(steps, 1)
    assert none.values[0] == 0
    assert none.noise == pytest.approx(0.5 / 900**2)


def test_differences_are_of_runs_with_the_same_seed() -> None:
    one = runs.Runs(pd.Series({0: 0.5, 1: 0.6, 2: 0.9}), noise=0.01)
    other = runs.Runs(pd.Series({1: 0.4, 2: 0.5, 3: 0.1}), noise=0.02)
    difference = one - other
    assert difference.values.to_dict() == pytest.approx({1: 0.2, 2: 0.4})
    assert difference.noise == pytest.approx(0.03)


def test_what_was_not_recorded_is_nothing() -> None:
    empty = pd.DataFrame({"seed": [0], "step": [1]})
    for of in (runs.clipped_in_run, runs.gain_in_run, runs.largest_in_run, runs.threshold_over_largest(3.0)):
        assert of(empty).values.empty
    assert math.isclose(runs.threshold_over_largest(3.0)(_steps(**{"innovation/max_abs": [0.5, 0.4]})).values[0], 6.0)
