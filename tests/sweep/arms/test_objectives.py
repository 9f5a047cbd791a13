import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.arms.objectives import DIRECTIONS, SMOOTHNESS, arm_objectives, trial_objectives, unbeaten


def test_gain_and_clip_fraction_are_over_tokens_and_accuracy_over_benchmarks():
    steps = [
        {"kalman/tokens": 100.0, "kalman/clip_fraction": 0.5, "kalman/gain_mean": 0.1, "reward/mean": 1.0},
        {"kalman/tokens": 300.0, "kalman/clip_fraction": 0.1, "kalman/gain_mean": 0.3},
    ]
    evaluation = {"eval/easy/avg_at_4": 0.8, "eval/hard/avg_at_4": 0.2, "eval/easy/pass_at_4": 1.0}
    found = trial_objectives(steps=steps, evaluation=evaluation)
    training = {name: value for name, value in found.items() if name not in SMOOTHNESS}
    assert training == pytest.approx({"accuracy": 0.5, "clip_fraction": 0.2, "realised_gain": 0.25})
    assert all(math.isnan(found[name]) for name in SMOOTHNESS)
    assert set(found) == set(DIRECTIONS)


def test_what_was_not_reported_is_nan():
    found = trial_objectives(steps=[{"loss/mode/gspo": 1.0}], evaluation={"eval/b/avg_at_1": 0.5})
    assert found["accuracy"] == 0.5
    assert math.isnan(found["realised_gain"])
    assert math.isnan(found["clip_fraction"])
    assert math.isnan(trial_objectives(steps=[], evaluation={})["accuracy"])


def test_an_arm_is_the_mean_of_its_seeds_and_a_seed_without_a_number_makes_it_none():
    trials = [{"accuracy": 0.25, "realised_gain": 0.1}, {"accuracy": 0.75, "realised_gain": math.nan}]
    found = arm_objectives(trials=trials)
    assert found["accuracy"] == 0.5
    assert math.isnan(found["realised_gain"])


_VALUES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.0, 1.0, math.nan])), max_size=12)


def _by_definition(points: list[tuple[float, ...]], maximise: list[bool]) -> list[bool]:
    def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        signed = [(x, y) if more else (y, x) for x, y, more in zip(a, b, maximise, strict=True)]
        return all(x >= y for x, y in signed) and any(x > y for x, y in signed)

    whole = [point for point in points if not any(map(math.isnan, point))]
    return [point in whole and not any(beats(other, point) for other in whole) for point in points]


@given(_VALUES, st.lists(st.booleans(), min_size=3, max_size=3))
def test_as_by_definition(points: list[tuple[float, ...]], maximise: list[bool]) -> None:
    assert unbeaten(points, maximise=maximise) == _by_definition(points, maximise)


def test_one_objective_has_its_best_and_those_that_equal_it() -> None:
    assert unbeaten([[1.0], [3.0], [3.0], [math.nan]], maximise=[True]) == [False, True, True, False]
    assert unbeaten([], maximise=[True, False]) == []
